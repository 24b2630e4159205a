"""Which organization a workspace belongs to: an owner of it connects the workspace, and nobody else.

The bot may be installed anywhere by whoever may do that at Slack. Until an owner has connected the workspace, nobody
there is answered. A workspace belongs to one organization.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.installation_rows import WorkspaceRow
from storage.queries import audit, pacing
from storage.queries import workspaces as queries
from storage.values import Role

DISCONNECTED = "disconnected"  # why a workspace is paused
_PAUSE = timedelta(days=36500)  # until it is connected again
_AT_ONCE = 2000  # messages or replies in a transaction: a second's work of a slow database
_WORKSPACE_ID = re.compile(r"T[A-Z0-9]{1,31}")


class MayNotConnect(Refusal):
    """Only owners decide which workspaces belong to their organization."""

    def __init__(self) -> None:
        super().__init__("Only owners of the organization can see and connect its workspaces.")


class NotWaiting(Refusal):
    """The workspace does not wait for this organization. The sentence does not reveal whether it waits for another."""

    def __init__(self) -> None:
        super().__init__("This workspace does not wait to be connected to your organization, so nothing was changed.")


class BelongsElsewhere(Refusal):
    """The workspace belongs to another organization."""

    def __init__(self) -> None:
        super().__init__("This workspace already belongs to another organization, so nothing was changed.")


class NotConnectedHere(Refusal):
    """The workspace is none of this organization. The sentence does not reveal whether it is one of another."""

    def __init__(self) -> None:
        super().__init__("This workspace is not connected to your organization, so nothing was changed.")


class OfEnvironment(Refusal):
    """The bot works in the workspace by a token in its settings."""

    def __init__(self) -> None:
        super().__init__(
            "Tocsin uses this workspace through SLACK_BOT_TOKEN in its settings, so it cannot be disconnected here."
            " The people who run Tocsin can remove the token."
        )


class OnlyWorkspace(Refusal):
    """The organization would have no workspace."""

    def __init__(self) -> None:
        super().__init__("This is the only workspace of your organization. Connect another one first.")


def check_owns(access: Access) -> None:
    """Raises MayNotConnect unless the caller is an owner."""
    if access.role is not Role.OWNER:
        raise MayNotConnect


def list_workspaces(connection: Connection, access: Access) -> Sequence[WorkspaceRow]:
    """The workspaces of the organization, and those that wait. Raises MayNotConnect."""
    check_owns(access)
    return queries.list_workspaces(connection, access.organization_id)


def clear(tx: Connection, access: Access, workspace_id: str) -> bool:
    """Deletes some of what another organization has in a workspace that it disconnected and that waits for this one.

    Returns False when none is left. Each call is a transaction of its own, before `connect`. Raises Refusal.
    """
    _get_installed(tx, access, workspace_id)
    return queries.delete_abandoned(tx, access.organization_id, workspace_id, _AT_ONCE)


def connect(tx: Connection, access: Access, workspace_id: str, now: datetime) -> WorkspaceRow:
    """Connects a workspace that waits. Raises Refusal."""
    found = _get_installed(tx, access, workspace_id)
    if not queries.connect_workspace(tx, access.organization_id, workspace_id, now):
        raise BelongsElsewhere
    pacing.resume_workspace(tx, workspace_id)
    _record(tx, access, AuditAction.WORKSPACE_ADD, workspace_id, after={"name": found.name}, now=now)
    return found


def decline(tx: Connection, access: Access, workspace_id: str, now: datetime) -> WorkspaceRow:
    """Declines a workspace that waits. Raises Refusal."""
    found = _get_waiting(tx, access, workspace_id)
    queries.delete_request(tx, access.organization_id, workspace_id)
    _record(tx, access, AuditAction.WORKSPACE_REMOVE, workspace_id, before={"waited": True}, now=now)
    return found


def disconnect(
    tx: Connection, access: Access, workspace_id: str, now: datetime, *, of_environment: bool
) -> WorkspaceRow:
    """Disconnects a workspace: nobody there is answered any more, and nothing is sent. Raises Refusal.

    `of_environment`: it is the workspace of SLACK_BOT_TOKEN.
    """
    check_owns(access)
    if not queries.is_owner(tx, access.organization_id, access.member_id):
        raise MayNotConnect
    connected = queries.lock_workspaces(tx, access.organization_id)
    if workspace_id not in connected:
        raise NotConnectedHere
    if of_environment:
        raise OfEnvironment
    if len(connected) == 1:
        raise OnlyWorkspace
    (found,) = [one for one in queries.list_workspaces(tx, access.organization_id) if one.id == workspace_id]
    queries.disconnect_workspace(tx, access.organization_id, workspace_id, now)
    pacing.pause_workspace(tx, workspace_id, DISCONNECTED, _PAUSE.total_seconds(), now)
    _record(tx, access, AuditAction.WORKSPACE_REMOVE, workspace_id, before={"name": found.name}, now=now)
    return found


def _get_waiting(tx: Connection, access: Access, workspace_id: str) -> WorkspaceRow:
    """The workspace that waits. The role is read again: it may have changed since the button was drawn."""
    check_owns(access)
    if not _WORKSPACE_ID.fullmatch(workspace_id):
        raise NotWaiting
    if not queries.is_owner(tx, access.organization_id, access.member_id):
        raise MayNotConnect
    found = queries.lock_request(tx, access.organization_id, workspace_id)
    if found is None:
        raise NotWaiting
    return found


def _get_installed(tx: Connection, access: Access, workspace_id: str) -> WorkspaceRow:
    """The workspace that waits, and where Tocsin is installed. Raises Refusal."""
    found = _get_waiting(tx, access, workspace_id)
    if not found.installed:
        raise InvalidInput("Tocsin was removed from this workspace. Have it installed there again first.")
    return found


def _record(
    tx: Connection,
    access: Access,
    action: AuditAction,
    workspace_id: str,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
    now: datetime,
) -> None:
    actor = Actor(AuditOrigin.SLACK, access.member_id, workspace_id=access.workspace_id)
    audit.record(
        tx, access.organization_id, actor, [AuditChange(action, workspace_id, before=before, after=after)], now
    )
