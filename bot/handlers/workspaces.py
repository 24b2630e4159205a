"""`workspaces`: the Slack workspaces of the organization, connected by its owners."""

from __future__ import annotations

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


def handle_command(context: Context, request: Command, _words: str) -> Response:
    """`workspaces`."""
    return Answer(_render(context, request.person.user_id))


def handle_press(context: Context, request: Press) -> Response:
    """`Workspaces`."""
    return redraw.turn(request, _render(context, request.person.user_id))


def handle_connect(context: Context, request: Press) -> Response:
    """`Connect`, confirmed."""
    with context.write() as tx:
        found = rules.connect(tx, context.access, request.value, context.now)
        name = context.access.organization_name
    return redraw.turn(request, text_message(f"You connected {messages.render_name(found)} to {escape(name)}."))


def handle_decline(context: Context, request: Press) -> Response:
    """`Decline`."""
    with context.write() as tx:
        found = rules.decline(tx, context.access, request.value, context.now)
    return redraw.turn(request, text_message(f"You declined {messages.render_name(found)}. Nobody there is answered."))


def _render(context: Context, user_id: str) -> Message:
    found = rules.list_workspaces(context.connection, context.access)
    service = context.services.installations
    url = service.build_link(context.access, user_id, context.now) if service else None
    return messages.render_list(found, context.access.organization_name, url)


HANDLES = (
    Verb(
        name="workspaces",
        usage="workspaces",
        summary="Shows the Slack workspaces of the organization, connects those that wait, and has a link to add one."
        " For owners.",
        examples=("workspaces",),
        group=Group.MEMBERS,
        aliases=("workspace",),
        command=handle_command,
        buttons={
            "workspaces": handle_press,  # Workspaces
            "workspace_connect": handle_connect,  # Connect
            "workspace_decline": handle_decline,  # Decline
        },
    ),
)
