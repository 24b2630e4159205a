"""`workspaces`: the Slack workspaces of the organization, connected by its owners."""

from __future__ import annotations

from dataclasses import replace

from bot.handlers import redraw
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents.markup import escape
from bot.installations import workspaces as rules
from bot.messages import workspaces as messages
from bot.messages.blocks import Message, text_message
from bot.messages.help import Group
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.installation_rows import WorkspaceRow


def handle_command(context: Context, request: Command, _words: str) -> Response:
    """`workspaces`."""
    return Answer(_render(context, request.person.user_id))


def handle_press(context: Context, request: Press) -> Response:
    """`Workspaces`."""
    return redraw.turn(request, _render(context, request.person.user_id))


def handle_connect(context: Context, request: Press) -> Response:
    """`Connect`, confirmed."""
    context.reading.end()
    # Not limited to rows of this organization: it may get what another one has disconnected.
    store, more = context.services.store, True
    while more:  # where that was very much, the answer comes late
        with store.write() as tx:
            more = rules.clear(tx, context.access, request.value)
    with store.write() as tx:
        found = rules.connect(tx, context.access, request.value, context.now)
        name = context.access.organization_name
    _read_installations(context)
    found = _name(context, found)
    return redraw.turn(request, text_message(f"You connected {messages.render_name(found)} to {escape(name)}."))


def handle_decline(context: Context, request: Press) -> Response:
    """`Decline`."""
    with context.write() as tx:
        found = rules.decline(tx, context.access, request.value, context.now)
    return redraw.turn(request, text_message(f"You declined {messages.render_name(found)}. Nobody there is answered."))


def handle_disconnect(context: Context, request: Press) -> Response:
    """`Disconnect`, confirmed."""
    installation = context.services.clients.find(request.value)
    of_environment = installation is not None and installation.installation_id is None
    with context.write() as tx:
        found = rules.disconnect(tx, context.access, request.value, context.now, of_environment=of_environment)
        name = context.access.organization_name
    found = _name(context, found)
    _read_installations(context)
    sentence = (
        f"You disconnected {messages.render_name(found)} from {escape(name)}. Nothing is sent there any more. What it"
        " has is kept, and an owner can connect it again."
    )
    return redraw.turn(request, text_message(sentence))


def _read_installations(context: Context) -> None:
    """Has this process know at once in which workspaces it works; others look within seconds."""
    if context.services.installations:
        context.services.installations.on_change()


def _render(context: Context, user_id: str) -> Message:
    found = [_name(context, one) for one in rules.list_workspaces(context.connection, context.access)]
    service = context.services.installations
    url = service.build_link(context.access, user_id, context.now) if service else None
    return messages.render_list(found, context.access.organization_name, url)


def _name(context: Context, workspace: WorkspaceRow) -> WorkspaceRow:
    """The workspace with its name. Slack has told that of SLACK_BOT_TOKEN to the process, and not to the database."""
    installation = context.services.clients.find(workspace.id)
    if workspace.name or installation is None:
        return workspace
    return replace(workspace, name=installation.authorization.team)


HANDLES = (
    Verb(
        name="workspaces",
        usage="workspaces",
        summary="Shows, connects and disconnects the Slack workspaces of the organization, and has a link to add one."
        " For owners.",
        examples=("workspaces",),
        group=Group.MEMBERS,
        aliases=("workspace",),
        command=handle_command,
        buttons={
            "workspaces": handle_press,  # Workspaces
            "workspace_connect": handle_connect,  # Connect
            "workspace_decline": handle_decline,  # Decline
            "workspace_disconnect": handle_disconnect,  # Disconnect
        },
    ),
)
