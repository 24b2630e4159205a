"""Acknowledging incidents. What a person does to one is one statement, with everything that it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries import incidents, outbox
from storage.queries.direct_messages import build_hurry
from storage.rows import IncidentHead
from storage.values import ActivityType, Work

_OF = "%(organization_id)s"
_ACTING = "(SELECT id FROM acting)"
ACKNOWLEDGE = PreparedStatement(
    f"""
WITH head AS MATERIALIZED (
  SELECT h.*, CASE WHEN %(shown)s IS NOT NULL THEN coalesce((
    SELECT a.id FROM incident_activity a
    WHERE a.organization_id = %(organization_id)s AND a.incident_id = h.id AND a.type = {ActivityType.STATUS_CHANGE:d}
      AND a.date_deleted IS NULL
    ORDER BY a.id DESC LIMIT 1), 0) END AS state
  FROM ({incidents.HEAD_SQL}) h
), acting AS MATERIALIZED (
  SELECT id FROM head WHERE state IS NOT DISTINCT FROM %(shown)s
), seen AS (
  INSERT INTO incident_seen (organization_id, incident_id, member_id, first_seen, last_seen)
  SELECT %(organization_id)s, id, %(member_id)s, %(now)s, %(now)s FROM acting
  ON CONFLICT (incident_id, member_id) DO UPDATE SET last_seen = GREATEST(incident_seen.last_seen, EXCLUDED.last_seen)
  RETURNING incident_id, xmax = 0 AS first
), entry AS (
  INSERT INTO incident_activity (organization_id, incident_id, member_id, type, date_added)
  SELECT %(organization_id)s, incident_id, %(member_id)s, {ActivityType.ACKNOWLEDGED:d}, %(now)s FROM seen WHERE first
), cards AS ({outbox.redraw_cards_of(_OF, _ACTING, "false")}
), recorded AS (
  INSERT INTO outbox (organization_id, incident_id, date_added)
  SELECT %(organization_id)s, id, %(now)s FROM acting WHERE {outbox.is_shown(_OF, "acting.id")} RETURNING id
), {build_hurry(_OF, _ACTING)}
SELECT head.*, (SELECT first FROM seen), EXISTS (SELECT FROM recorded), EXISTS (SELECT FROM hurried) FROM head
""",  # noqa: S608 - composed of constants
    {**incidents.HEAD_TYPES, "shown": "bigint", "member_id": "bigint", "now": "timestamptz"},
)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What became of an acknowledgement."""

    incident: IncidentHead
    state: int | None  # the id of the last change of its status, if the caller named one
    first: bool  # whether it was the member's first of this incident


def acknowledge(
    tx: Connection,
    organization_id: int,
    identifier: int,
    project_ids: Sequence[int],
    *,
    member_id: int,
    shown: int | None,
    now: datetime,
) -> Acknowledged | None:
    """Marks an incident seen by a member, in one message. Returns None if the member does not see the incident.

    If `shown` is given and is not the incident's state, nothing is changed. The statement follows the lock of the
    incident, so it sees what was committed while it waited.
    """
    given = {"organization_id": organization_id, "identifier": identifier, "project_ids": project_ids}
    incidents.lock_incident(tx, given)
    row = ACKNOWLEDGE.row(tx, {**given, "shown": shown, "member_id": member_id, "now": now})
    if row is None:
        return None
    state, first, recorded, hurried = row[7:]
    if recorded:
        outbox.wake_after_commit(tx, Work.CHANGES)
    if hurried:
        outbox.wake_after_commit(tx, Work.POSTS)
    return Acknowledged(incidents.parse_head(organization_id, row[:7]), state, bool(first))


_MARK_SEEN = PreparedStatement(
    "INSERT INTO incident_seen (organization_id, incident_id, member_id, first_seen, last_seen)"
    " VALUES (%(organization_id)s, %(incident_id)s, %(member_id)s, %(now)s, %(now)s)"
    " ON CONFLICT (incident_id, member_id)"
    " DO UPDATE SET last_seen = GREATEST(incident_seen.last_seen, EXCLUDED.last_seen) RETURNING xmax = 0",
    {"organization_id": "bigint", "incident_id": "bigint", "member_id": "bigint", "now": "timestamptz"},
)


def mark_seen(connection: Connection, organization_id: int, incident_id: int, member_id: int, now: datetime) -> bool:
    """Records an acknowledgement. Returns True if it is the member's first of this incident."""
    given = {"organization_id": organization_id, "incident_id": incident_id, "member_id": member_id, "now": now}
    row = _MARK_SEEN.row(connection, given)
    return bool(row and row[0])


def mark_all_seen(
    tx: Connection, organization_id: int, incident_ids: Sequence[int], member_id: int, now: datetime
) -> list[int]:
    """Records that a member acknowledges these incidents. Returns those that they have not acknowledged before."""
    rows = tx.exec_driver_sql(
        "INSERT INTO incident_seen (organization_id, incident_id, member_id, first_seen, last_seen)"
        " SELECT %(organization_id)s, i.id, %(member_id)s, %(now)s, %(now)s FROM unnest(%(ids)s::bigint[]) AS i(id)"
        " ON CONFLICT (incident_id, member_id)"
        " DO UPDATE SET last_seen = GREATEST(incident_seen.last_seen, EXCLUDED.last_seen)"
        " RETURNING incident_id, xmax = 0",
        {"organization_id": organization_id, "ids": list(incident_ids), "member_id": member_id, "now": now},
    )
    return [incident_id for incident_id, is_first in rows if is_first]
