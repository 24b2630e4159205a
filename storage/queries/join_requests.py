"""Requests of people who are no members to be let in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from storage.member_rows import JoinRequestRow
from storage.queries.destinations import mark_due
from storage.queries.outbox import wake_after_commit
from storage.values import Urgency, Work

_SELECT = """
SELECT r.organization_id, r.id, r.workspace_id, r.user_id, r.name, r.date_added, r.date_decided, r.admitted,
       d.name, f.date_removed,
       (SELECT e.origin = 'slack' FROM audit_entry e WHERE e.organization_id = f.organization_id
        AND e.subject_member_id = f.id AND e.action = 'member.remove' ORDER BY e.id DESC LIMIT 1),
       CASE WHEN EXISTS (SELECT FROM workspace o WHERE o.organization_id = r.organization_id AND o.id <> r.workspace_id)
            THEN coalesce((SELECT coalesce(iw.name, i.name) FROM installation_workspace iw
                           JOIN installation i ON i.id = iw.installation_id
                           WHERE iw.workspace_id = r.workspace_id AND i.date_ended IS NULL ORDER BY i.id LIMIT 1),
                          r.workspace_id) END
FROM join_request r
LEFT JOIN member d ON d.organization_id = r.organization_id AND d.id = r.decided_by_id
LEFT JOIN member f ON f.organization_id = r.organization_id AND f.id = r.former_member_id
WHERE r.organization_id = %(organization_id)s
"""


def find_request(
    connection: Connection, organization_id: int, request_id: int, *, lock: bool = False
) -> JoinRequestRow | None:
    """Returns a request of the organization; with `lock`, its row is locked until the transaction ends."""
    parameters = {"organization_id": organization_id, "id": request_id}
    if lock:
        # A statement of its own: one that had waited would see the row as it is now, but who decided as joined before.
        connection.exec_driver_sql(
            "SELECT FROM join_request WHERE organization_id = %(organization_id)s AND id = %(id)s FOR NO KEY UPDATE",
            parameters,
        )
    row = connection.exec_driver_sql(_SELECT + " AND r.id = %(id)s", parameters).first()
    return None if row is None else JoinRequestRow(*row)


def list_organizations_with_old(connection: Connection, before: datetime) -> list[int]:
    """Returns the organizations that have requests which were decided before a moment."""
    return list(
        connection.exec_driver_sql(
            "SELECT DISTINCT organization_id FROM join_request WHERE date_decided < %(before)s ORDER BY 1",
            {"before": before},
        ).scalars()
    )


def delete_old(tx: Connection, organization_id: int, before: datetime) -> None:
    """Deletes the requests that were decided before a moment."""
    tx.exec_driver_sql(
        "DELETE FROM join_request WHERE organization_id = %(organization_id)s AND date_decided < %(before)s",
        {"organization_id": organization_id, "before": before},
    )


def find_latest(connection: Connection, organization_id: int, workspace_id: str, user_id: str) -> JoinRequestRow | None:
    """Returns the latest request of a Slack user, or None."""
    row = connection.exec_driver_sql(
        _SELECT + " AND r.workspace_id = %(workspace_id)s AND r.user_id = %(user_id)s ORDER BY r.id DESC LIMIT 1",
        {"organization_id": organization_id, "workspace_id": workspace_id, "user_id": user_id},
    ).first()
    return None if row is None else JoinRequestRow(*row)


def insert_request(
    tx: Connection,
    organization_id: int,
    workspace_id: str,
    user_id: str,
    *,
    name: str,
    former_member_id: int | None,
    now: datetime,
) -> int | None:
    """Inserts an open request and returns its id; None if the user has one already."""
    id_: int | None = tx.exec_driver_sql(
        "INSERT INTO join_request (organization_id, workspace_id, user_id, name, former_member_id, date_added)"
        " VALUES (%(organization_id)s, %(workspace_id)s, %(user_id)s, %(name)s, %(former_member_id)s, %(now)s)"
        " ON CONFLICT (organization_id, workspace_id, user_id) WHERE date_decided IS NULL DO NOTHING RETURNING id",
        {
            "organization_id": organization_id,
            "workspace_id": workspace_id,
            "user_id": user_id,
            "name": name,
            "former_member_id": former_member_id,
            "now": now,
        },
    ).scalar()
    return id_


def link_posts(tx: Connection, organization_id: int, request_id: int, post_ids: Sequence[int]) -> None:
    """Records which posts are the messages about a request."""
    tx.exec_driver_sql(
        "UPDATE join_request SET post_ids = %(post_ids)s WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": organization_id, "id": request_id, "post_ids": list(post_ids)},
    )


def list_open(tx: Connection, organization_id: int, workspace_id: str, user_id: str) -> list[int]:
    """Returns the ids of the open requests of a Slack user, and locks them."""
    return list(
        tx.exec_driver_sql(
            "SELECT id FROM join_request WHERE organization_id = %(organization_id)s"
            " AND workspace_id = %(workspace_id)s AND user_id = %(user_id)s AND date_decided IS NULL"
            " FOR NO KEY UPDATE",
            {"organization_id": organization_id, "workspace_id": workspace_id, "user_id": user_id},
        ).scalars()
    )


def decide(
    tx: Connection, organization_id: int, request_id: int, *, admitted: bool, decided_by_id: int, now: datetime
) -> None:
    """Records who has decided a request, and has the messages about it updated."""
    post_ids = tx.exec_driver_sql(
        "UPDATE join_request SET date_decided = %(now)s, admitted = %(admitted)s, decided_by_id = %(decided_by_id)s"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s RETURNING post_ids",
        {
            "organization_id": organization_id,
            "id": request_id,
            "admitted": admitted,
            "decided_by_id": decided_by_id,
            "now": now,
        },
    ).scalar_one()
    # In this order, so that two transactions that lock several cannot deadlock.
    destination_ids = list(
        tx.exec_driver_sql(
            "SELECT d.id FROM workspace w JOIN destination d ON d.workspace_id = w.id"
            " WHERE w.organization_id = %(organization_id)s AND d.id IN (SELECT p.destination_id FROM post p"
            "  WHERE p.organization_id = %(organization_id)s AND p.id = ANY(%(ids)s))"
            " ORDER BY d.id FOR NO KEY UPDATE OF d",
            {"organization_id": organization_id, "ids": post_ids},
        ).scalars()
    )
    tx.exec_driver_sql(
        "UPDATE post SET wanted_version = wanted_version + 1, due_at = %(now)s"
        " WHERE organization_id = %(organization_id)s AND id = ANY(%(ids)s) AND date_done IS NULL",
        {"organization_id": organization_id, "ids": post_ids, "now": now},
    )
    mark_due(tx, destination_ids, Urgency.NEWS, now)
    wake_after_commit(tx, Work.POSTS)
