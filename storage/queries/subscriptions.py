"""Who follows an incident."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement


def subscribe_to_all(
    tx: Connection, organization_id: int, incident_ids: Sequence[int], member_id: int, now: datetime
) -> None:
    """Subscribes a member to these incidents."""
    tx.exec_driver_sql(
        "INSERT INTO incident_subscription (organization_id, incident_id, member_id, date_added)"
        " SELECT %(organization_id)s, i.id, %(member_id)s, %(now)s FROM unnest(%(ids)s::bigint[]) AS i(id)"
        " ON CONFLICT DO NOTHING",
        {"organization_id": organization_id, "ids": list(incident_ids), "member_id": member_id, "now": now},
    )


_SUBSCRIBE = PreparedStatement(
    "INSERT INTO incident_subscription (organization_id, incident_id, member_id, date_added)"
    " SELECT %(organization_id)s, %(incident_id)s, id, %(now)s"
    " FROM unnest(%(member_ids)s) AS m(id)"
    " ON CONFLICT DO NOTHING RETURNING member_id",
    {"organization_id": "bigint", "incident_id": "bigint", "member_ids": "bigint[]", "now": "timestamptz"},
)


def subscribe(
    connection: Connection, organization_id: int, incident_id: int, member_ids: Sequence[int], now: datetime
) -> set[int]:
    """Subscribes these members and returns those who were not subscribed before."""
    if not member_ids:
        return set()
    given = {
        "organization_id": organization_id,
        "incident_id": incident_id,
        "member_ids": sorted(set(member_ids)),
        "now": now,
    }
    return {row[0] for row in _SUBSCRIBE.rows(connection, given)}


def ensure_subscribed(
    tx: Connection, organization_id: int, incident_id: int, member_ids: Collection[int], now: datetime
) -> None:
    """Subscribes these members, with the next statement of the transaction."""
    if member_ids:
        given = {
            "organization_id": organization_id,
            "incident_id": incident_id,
            "member_ids": sorted(set(member_ids)),
            "now": now,
        }
        _SUBSCRIBE.defer(tx, given)


def unsubscribe(connection: Connection, organization_id: int, incident_id: int, member_id: int) -> bool:
    """Deletes a subscription. Returns False if there was none."""
    return bool(
        connection.exec_driver_sql(
            "DELETE FROM incident_subscription WHERE organization_id = %(organization_id)s"
            " AND incident_id = %(incident_id)s AND member_id = %(member_id)s",
            {"organization_id": organization_id, "incident_id": incident_id, "member_id": member_id},
        ).rowcount
    )


def unsubscribe_members(tx: Connection, organization_id: int, incident_id: int, member_ids: Sequence[int]) -> None:
    """Deletes the subscriptions of members who may no longer see the incident."""
    tx.exec_driver_sql(
        "DELETE FROM incident_subscription WHERE organization_id = %(organization_id)s"
        " AND incident_id = %(incident_id)s AND member_id = ANY(%(ids)s)",
        {"organization_id": organization_id, "incident_id": incident_id, "ids": list(member_ids)},
    )
