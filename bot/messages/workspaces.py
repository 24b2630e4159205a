"""The Slack workspaces of an organization: their list, and the message about one that waits to be connected."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.markup import escape
from bot.messages.blocks import (
    Block,
    Message,
    actions,
    bold,
    button,
    confirm,
    context,
    format_date,
    link,
    message,
    section,
    truncate,
)
from storage.installation_rows import WorkspaceRow

MAX_SHOWN = 12  # each takes up to three blocks
_MAX_NAME = 100


def render_list(workspaces: Sequence[WorkspaceRow], organization: str, invite_url: str | None) -> Message:
    """The connected workspaces, and those that wait. `invite_url`: where another one is installed."""
    connected = [one for one in workspaces if one.connected]
    waiting = [one for one in workspaces if not one.connected]
    heading = f"{len(connected)} workspace{'' if len(connected) == 1 else 's'} of {escape(organization)}"
    blocks: list[Block] = [section(bold(heading))]
    for one in waiting[:MAX_SHOWN]:
        blocks += _render_waiting(one, organization)
    for one in connected[:MAX_SHOWN]:
        blocks.append(_render_connected(one, organization, only=len(connected) == 1))
    if left := len(waiting[MAX_SHOWN:]) + len(connected[MAX_SHOWN:]):
        blocks.append(context(f"And {left} more."))
    if invite_url is not None:
        text = (
            f"To add a workspace, send {link(invite_url, 'this link')} to somebody who may install apps there. It is"
            " valid for 24 hours and for your organization only."
        )
        blocks.append(section(text))
    return message(heading, blocks)


def render_name(workspace: WorkspaceRow) -> str:
    """How a workspace is called: by its name, where that is known, and its id."""
    name = truncate(workspace.name or "", _MAX_NAME)
    return f"{bold(escape(name))} ({escape(workspace.id)})" if name else bold(escape(workspace.id))


def _render_state(workspace: WorkspaceRow) -> str:
    if workspace.removed:
        return "Tocsin was removed from it. Nothing is sent there until it is installed again."
    return "Connected." if workspace.date_added is None else f"Connected {format_date(workspace.date_added)}."


def _render_connected(workspace: WorkspaceRow, organization: str, *, only: bool) -> Block:
    text = f"{render_name(workspace)}\n{_render_state(workspace)}"
    if only:
        return section(text)
    question = confirm(
        "Disconnect this workspace?",
        f"Nobody in {workspace.name or workspace.id} ({workspace.id}) can use Tocsin then, and nothing is sent there."
        f" The incidents and members of {organization} stay, and an owner can connect it again.",
        "Disconnect",
    )
    return section(text, accessory=button("Disconnect", "workspace_disconnect", workspace.id, confirm=question))


def _render_waiting(workspace: WorkspaceRow, organization: str) -> list[Block]:
    by = f" by {escape(workspace.installed_by)}" if workspace.installed_by else ""
    since = f" {format_date(workspace.date_added)}" if workspace.date_added else ""
    text = f"{render_name(workspace)}\nInstalled{by}{since}, and waits to be connected."
    question = confirm(
        "Connect this workspace?",
        f"Members of {organization} can then use Tocsin there, and see incidents there. Connect only a workspace that"
        f" you know: {workspace.name or ''} ({workspace.id}).",
        "Connect",
    )
    return [
        section(text),
        actions(
            [
                button("Connect", "workspace_connect", workspace.id, style="primary", confirm=question),
                button("Decline", "workspace_decline", workspace.id),
            ]
        ),
    ]


def render_installed(name: str | None, installation_id: str, count: int, *, of_enterprise: bool) -> Message:
    """The direct message to the owner whose link was used."""
    what = f"{bold(escape(truncate(name or installation_id, _MAX_NAME)))} ({escape(installation_id)})"
    if of_enterprise:
        workspaces = "1 workspace waits" if count == 1 else f"{count} workspaces wait"
        text = f"Tocsin was installed in the Enterprise organization {what}. {workspaces} for you to connect."
    else:
        text = f"Tocsin was installed in {what}. The workspace waits for you to connect it."
    return message(
        f"Tocsin was installed in {truncate(name or installation_id, _MAX_NAME)}",
        [section(text), actions([button("Workspaces", "workspaces", "1")])],
    )


def render_granted(enterprise: str | None, count: int) -> Message:
    """The direct message to the owners when an Enterprise organization has given the app more workspaces."""
    name = bold(escape(truncate(enterprise or "", _MAX_NAME)))
    workspaces = "1 more workspace. It waits" if count == 1 else f"{count} more workspaces. They wait"
    text = f"Tocsin was added to {workspaces} for an owner to connect. Enterprise organization: {name}."
    return message(
        "Tocsin was added to more workspaces", [section(text), actions([button("Workspaces", "workspaces", "1")])]
    )
