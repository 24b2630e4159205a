"""Which organization a workspace belongs to: an owner of it connects the workspace, and nobody else.

The bot may be installed anywhere by whoever may do that at Slack. Until an owner has connected the workspace, nobody
there is answered. A workspace belongs to one organization.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.incidents.errors import InvalidInput, Refusal
from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.installation_rows import WorkspaceRow
from storage.queries import audit, pacing
from storage.queries import installations as queries
from storage.values import Role

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


def check_owns(access: Access) -> None:
    """Raises MayNotConnect unless the caller is an owner."""
    if access.role is not Role.OWNER:
        raise MayNotConnect


def list_workspaces(connection: Connection, access: Access) -> Sequence[WorkspaceRow]:
    """The workspaces of the organization, and those that wait. Raises MayNotConnect."""
    check_owns(access)
    return queries.list_workspaces(connection, access.organization_id)


def connect(tx: Connection, access: Access, workspace_id: str, now: datetime) -> WorkspaceRow:
    """Connects a workspace that waits. Raises Refusal."""
    found = _get_waiting(tx, access, workspace_id)
    if not found.installed:
        raise InvalidInput("Tocsin was removed from this workspace. Have it installed there again first.")
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
