"""Who owns an incident."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.visibility import sees_incident
from storage.rows import Owner


def find_owner(connection: Connection, organization_id: int, incident_id: int) -> Owner | None:
    """Returns who owns the incident, or None if nobody does."""
    row = connection.exec_driver_sql(
        "SELECT m.id, m.name, i.owned_since FROM incident i"
        " JOIN member m ON m.organization_id = i.organization_id AND m.id = i.owner_id"
        " WHERE i.organization_id = %(organization_id)s AND i.id = %(id)s",
        {"organization_id": organization_id, "id": incident_id},
    ).first()
    return None if row is None else Owner(*row)


_SET_OWNER = PreparedStatement(
    "UPDATE incident SET owner_id = %(member_id)s,"
    " owned_since = CASE WHEN %(member_id)s IS NOT NULL THEN %(now)s END"
    " WHERE organization_id = %(organization_id)s AND id = %(id)s",
    {"organization_id": "bigint", "id": "bigint", "member_id": "bigint", "now": "timestamptz"},
)


def set_owner(tx: Connection, organization_id: int, incident_id: int, member_id: int | None, now: datetime) -> None:
    """Sets who owns the incident from `now` on, with the next statement of the transaction; None for nobody."""
    _SET_OWNER.defer(tx, {"organization_id": organization_id, "id": incident_id, "member_id": member_id, "now": now})


def set_owner_of_all(
    tx: Connection, organization_id: int, incident_ids: Sequence[int], member_id: int, now: datetime
) -> None:
    """Sets who owns these incidents from `now` on."""
    tx.exec_driver_sql(
        "UPDATE incident SET owner_id = %(member_id)s, owned_since = %(now)s"
        " WHERE organization_id = %(organization_id)s AND id = ANY(%(ids)s)",
        {"organization_id": organization_id, "ids": list(incident_ids), "member_id": member_id, "now": now},
    )


_LOST = f"""
SELECT i.id, i.owner_id
FROM incident i JOIN organization o ON o.id = i.organization_id
JOIN member m ON m.organization_id = i.organization_id AND m.id = i.owner_id
WHERE i.status <> 2 AND o.incidents AND NOT {sees_incident("i.id")}
"""  # noqa: S608 - composed of constants


def lock_lost(tx: Connection, organization_id: int) -> Sequence[tuple[int, int]]:
    """Locks the open incidents of the organization whose owner may no longer see them.

    Returns the ids of each incident and its owner. Where incidents are switched off, nobody has lost them.
    """
    rows = tx.exec_driver_sql(
        f"{_LOST} AND i.organization_id = %(id)s AND i.owner_id IS NOT NULL ORDER BY i.id FOR NO KEY UPDATE OF i",
        {"id": organization_id},
    )
    return [(incident_id, owner_id) for incident_id, owner_id in rows]


def find_lost_owner(tx: Connection, organization_id: int, incident_id: int) -> int | None:
    """Returns the owner of an open incident who may no longer see it, or None."""
    row = tx.exec_driver_sql(
        f"{_LOST} AND i.organization_id = %(organization_id)s AND i.id = %(id)s",
        {"organization_id": organization_id, "id": incident_id},
    ).first()
    return None if row is None else int(row[1])
