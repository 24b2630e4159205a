"""Which organization a workspace belongs to, and which workspaces wait for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from storage.installation_rows import WorkspaceRow
from storage.models import Member, Organization, Workspace, WorkspaceRequest
from storage.queries.installations import find_installation_of
from storage.queries.organization_changes import count_change, insert_workspace
from storage.values import Role


def find_organizations_of(connection: Connection, workspace_ids: Collection[str]) -> dict[str, int]:
    """Returns the organization of each workspace that is connected to one."""
    rows = connection.execute(
        select(Workspace.id, Workspace.organization_id).where(
            Workspace.id.in_(list(workspace_ids)), Workspace.date_disconnected.is_(None)
        )
    )
    return {row.id: row.organization_id for row in rows}


def find_organization_of_owner(connection: Connection, organization_id: int, member_id: int) -> str | None:
    """Returns the name of the organization; None if the member is no owner of it now."""
    if not is_owner(connection, organization_id, member_id):
        return None
    return connection.scalar(select(Organization.name).where(Organization.id == organization_id))


def is_owner(connection: Connection, organization_id: int, member_id: int) -> bool:
    """Whether a member is an owner of the organization now."""
    found = connection.scalar(
        select(Member.id).where(
            Member.organization_id == organization_id,
            Member.id == member_id,
            Member.role == Role.OWNER,
            Member.date_removed.is_(None),
        )
    )
    return found is not None


def request_workspaces(
    tx: Connection, organization_id: int, workspace_ids: Collection[str], installed_by: str, now: datetime
) -> list[str]:
    """Has workspaces wait for an owner of the organization. Returns those that belong to no organization yet."""
    taken = find_organizations_of(tx, workspace_ids)
    waiting = [one for one in workspace_ids if one not in taken]
    if waiting:
        statement = insert(WorkspaceRequest).values(
            [
                {
                    "organization_id": organization_id,
                    "workspace_id": workspace_id,
                    "installed_by": installed_by,
                    "date_added": now,
                }
                for workspace_id in waiting
            ]
        )
        tx.execute(
            statement.on_conflict_do_update(
                index_elements=["organization_id", "workspace_id"],
                set_={"installed_by": statement.excluded.installed_by, "date_added": statement.excluded.date_added},
            )
        )
    return waiting


_WORKSPACES = """
SELECT w.id, w.connected, w.installed_by, w.date_added, coalesce(live.name, past.name) AS name,
       live.id IS NOT NULL AS installed, live.id IS NULL AND past.id IS NOT NULL AS removed
FROM ({workspaces}) w
LEFT JOIN LATERAL (
  SELECT i.id, coalesce(iw.name, i.name) AS name FROM installation_workspace iw
  JOIN installation i ON i.id = iw.installation_id
  WHERE iw.workspace_id = w.id AND i.date_ended IS NULL ORDER BY i.id LIMIT 1) live ON true
LEFT JOIN installation past ON past.id = w.id
ORDER BY w.connected, w.date_added NULLS FIRST, w.id
"""
_CONNECTED = (
    "SELECT id, true AS connected, NULL AS installed_by, date_added FROM workspace"
    " WHERE organization_id = %(organization_id)s AND date_disconnected IS NULL"
)
_REQUESTED = (
    "SELECT workspace_id AS id, false AS connected, installed_by, date_added FROM workspace_request"
    " WHERE organization_id = %(organization_id)s"
)
_ALL_WORKSPACES = _WORKSPACES.format(workspaces=f"{_CONNECTED} UNION ALL {_REQUESTED}")
_ONE_REQUESTED = _WORKSPACES.format(workspaces=f"{_REQUESTED} AND workspace_id = %(workspace_id)s")


def list_workspaces(connection: Connection, organization_id: int) -> list[WorkspaceRow]:
    """Returns the workspaces that wait for an organization, and those that it has."""
    return _read_workspaces(connection, _ALL_WORKSPACES, {"organization_id": organization_id})


def _read_workspaces(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> list[WorkspaceRow]:
    rows = connection.exec_driver_sql(statement, dict(parameters)).mappings()
    return [WorkspaceRow(**row) for row in rows]


def lock_request(tx: Connection, organization_id: int, workspace_id: str) -> WorkspaceRow | None:
    """Locks and returns a workspace that waits for an organization; None if it does not."""
    parameters = {"organization_id": organization_id, "workspace_id": workspace_id}
    locked = tx.exec_driver_sql(
        "SELECT 1 FROM workspace_request"
        " WHERE organization_id = %(organization_id)s AND workspace_id = %(workspace_id)s FOR UPDATE",
        parameters,
    ).first()
    found = _read_workspaces(tx, _ONE_REQUESTED, parameters) if locked else []
    return found[0] if found else None


# What a workspace may have very many of: messages, and replies in the threads of cards.
_ABANDONED = ("post", "thread_reply")
_DELETE_ABANDONED = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
  SELECT a.ctid FROM workspace w JOIN destination d ON d.workspace_id = w.id JOIN {table} a ON a.destination_id = d.id
  WHERE w.id = %(workspace_id)s AND w.organization_id <> %(organization_id)s AND w.date_disconnected IS NOT NULL
  LIMIT %(most)s))
"""


def delete_abandoned(tx: Connection, organization_id: int, workspace_id: str, most: int) -> bool:
    """Deletes some of what another organization has in a workspace that it disconnected. Returns whether it did.

    `connect_workspace` deletes the rest in one statement, which would take too long for very many rows.
    """
    parameters = {"organization_id": organization_id, "workspace_id": workspace_id, "most": most}
    return any(
        tx.exec_driver_sql(_DELETE_ABANDONED.format(table=table), parameters).rowcount > 0 for table in _ABANDONED
    )


def connect_workspace(tx: Connection, organization_id: int, workspace_id: str, now: datetime) -> bool:
    """Gives a workspace to an organization, and forgets that it waited. Returns False if another one has it."""
    added = insert_workspace(tx, organization_id, workspace_id, now, in_slack=True)
    if added:
        tx.execute(delete(WorkspaceRequest).where(WorkspaceRequest.workspace_id == workspace_id))
    return added


def lock_workspaces(tx: Connection, organization_id: int) -> list[str]:
    """Locks and returns the connected workspaces of an organization."""
    rows = tx.execute(
        select(Workspace.id)
        .where(Workspace.organization_id == organization_id, Workspace.date_disconnected.is_(None))
        .order_by(Workspace.id)
        .with_for_update(key_share=True)
    )
    return list(rows.scalars())


def disconnect_workspace(tx: Connection, organization_id: int, workspace_id: str, now: datetime) -> None:
    """Disconnects a workspace of an organization. It waits for its owners from then on, who may connect it again."""
    tx.execute(
        update(Workspace)
        .where(Workspace.organization_id == organization_id, Workspace.id == workspace_id)
        .values(date_disconnected=now)
    )
    installation = find_installation_of(tx, workspace_id)
    if installation is not None:
        request_workspaces(tx, organization_id, [workspace_id], installation.installed_by, now)
    count_change(tx, workspace_id)


def list_disconnected(connection: Connection) -> set[str]:
    """Returns the workspaces that an owner has disconnected."""
    return set(connection.scalars(select(Workspace.id).where(Workspace.date_disconnected.is_not(None))))


def delete_request(tx: Connection, organization_id: int, workspace_id: str) -> None:
    """Forgets that a workspace waits for an organization."""
    tx.execute(
        delete(WorkspaceRequest).where(
            WorkspaceRequest.organization_id == organization_id, WorkspaceRequest.workspace_id == workspace_id
        )
    )


def list_owners(connection: Connection, organization_id: int) -> list[tuple[str, int]]:
    """Returns the owners of an organization, each as the workspace where a message reaches them and the member's id."""
    rows = connection.exec_driver_sql(
        "SELECT coalesce((SELECT p.workspace_id FROM slack_person p JOIN workspace w ON w.id = p.workspace_id"
        "   WHERE p.member_id = m.id AND w.organization_id = m.organization_id AND w.date_disconnected IS NULL"
        "   ORDER BY p.date_checked DESC NULLS LAST, p.workspace_id LIMIT 1),"
        "  (SELECT min(w.id) FROM workspace w WHERE w.organization_id = m.organization_id"
        "   AND w.date_disconnected IS NULL)) AS workspace_id, m.id"
        " FROM member m WHERE m.organization_id = %(organization_id)s AND m.role = 'owner' AND m.date_removed IS NULL"
        " ORDER BY m.id",
        {"organization_id": organization_id},
    )
    return [(workspace_id, member_id) for workspace_id, member_id in rows if workspace_id is not None]
