"""Direct messages about calls: one for all the calls that are due together for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.call_rows import CalledIncident, StepKey
from storage.prepared import PreparedStatement
from storage.queries.destinations import mark_due
from storage.queries.outbox import wake_after_commit
from storage.queries.silences import is_silenced
from storage.queries.visibility import sees_incident, sees_project
from storage.rows import DESCRIPTION
from storage.values import PostKind, Status, Urgency, Work

# How long a message waits, so that calls that are due together become one.
_DEBOUNCE_S = 1.0


def create_calls(
    tx: Connection, called: Sequence[tuple[StepKey, int]], destination_of: Mapping[int, int], now: datetime
) -> None:
    """Calls members (step and member id) by direct message. A message that still waits takes in the new calls.

    The caller has locked the destinations, of which `destination_of` has the ids by member id. Messages that have
    called a member for the same incidents before are updated.
    """
    organization_ids = sorted({key.organization_id for key, _ in called})
    waiting: dict[int, int] = dict(
        tx.exec_driver_sql(
            "SELECT destination_id, max(id) FROM post"  # noqa: S608 - constants
            " WHERE organization_id = ANY(%(organization_ids)s) AND destination_id = ANY(%(ids)s)"
            f" AND kind = '{PostKind.CALL}' AND ts IS NULL AND attempted_at IS NULL AND wanted_version > drawn_version"
            " GROUP BY destination_id",
            {"organization_ids": organization_ids, "ids": list(destination_of.values())},
        ).all()
    )
    missing = sorted(set(destination_of.values()) - waiting.keys())
    if missing:
        waiting |= dict(
            tx.exec_driver_sql(
                "INSERT INTO post (organization_id, destination_id, kind, urgency, due_at, date_added)"  # noqa: S608
                f" SELECT w.organization_id, d.id, '{PostKind.CALL}', {Urgency.URGENT:d},"
                "  %(now)s::timestamptz + make_interval(secs => %(wait)s), %(now)s::timestamptz"
                " FROM workspace w JOIN destination d ON d.workspace_id = w.id"
                " WHERE w.organization_id = ANY(%(organization_ids)s) AND d.id = ANY(%(ids)s)"
                " RETURNING destination_id, id",
                {"organization_ids": organization_ids, "ids": missing, "now": now, "wait": _DEBOUNCE_S},
            ).all()
        )
    keys = [key for key, _ in called]
    members = [member_id for _, member_id in called]
    posts = [waiting[destination_of[member_id]] for member_id in members]
    parameters = {
        "organization_ids": [key.organization_id for key in keys],
        "incident_ids": [key.incident_id for key in keys],
        "rounds": [key.round for key in keys],
        "steps": [key.step for key in keys],
        "repetitions": [key.repetition for key in keys],
        "members": members,
        "posts": posts,
        "now": now,
        "bulk": int(Urgency.BULK),
    }
    tx.exec_driver_sql(
        "INSERT INTO call_recipient (organization_id, incident_id, round, step, repetition, member_id, post_id)"
        " SELECT * FROM unnest(%(organization_ids)s::bigint[], %(incident_ids)s::bigint[], %(rounds)s::smallint[],"
        "  %(steps)s::smallint[], %(repetitions)s::bigint[], %(members)s::bigint[], %(posts)s::bigint[])",
        parameters,
    )
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = p.wanted_version + 1, date_done = NULL, urgency = %(bulk)s,"  # noqa: S608 - constants
        " due_at = %(now)s"
        " WHERE (p.organization_id, p.id) IN (SELECT r.organization_id, r.post_id"
        "  FROM unnest(%(organization_ids)s::bigint[], %(incident_ids)s::bigint[],"
        "   %(members)s::bigint[], %(posts)s::bigint[]) AS n(organization_id, incident_id, member_id, post_id)"
        "  JOIN call_recipient r ON r.organization_id = n.organization_id AND r.incident_id = n.incident_id"
        "   AND r.member_id = n.member_id AND r.post_id <> n.post_id)"
        f" AND p.kind = '{PostKind.CALL}' AND p.ts IS NOT NULL",
        parameters,
    )


# Posts p that call for one of the incidents. One that is being sent may show a state that is no longer the present one.
_SHOWS = f"""
p.organization_id = ANY(%(organization_ids)s)
AND p.id IN (SELECT r.post_id FROM call_recipient r
             WHERE r.organization_id = p.organization_id AND r.incident_id = ANY(%(ids)s))
AND p.kind = '{PostKind.CALL}' AND (p.ts IS NOT NULL OR p.attempted_at IS NOT NULL)
"""  # noqa: S608 - composed of constants


# Has the messages that call for these incidents updated, as `redraw_messages` in storage/queries/expansion.py says.
REDRAW = PreparedStatement(
    f"""
UPDATE post p SET wanted_version = wanted_version + 1, date_done = NULL,
  urgency = CASE WHEN wanted_version > drawn_version THEN urgency ELSE {Urgency.NEWS:d} END,
  due_at = CASE WHEN wanted_version > drawn_version THEN due_at ELSE %(now)s + interval '0.5 s' END
WHERE {_SHOWS} AND p.destination_id = ANY(%(locked)s)
""",  # noqa: S608 - composed of constants
    {"organization_ids": "bigint[]", "ids": "bigint[]", "locked": "bigint[]", "now": "timestamptz"},
)
_HURRY = PreparedStatement(
    f"""
WITH locked AS (
  SELECT d.id FROM destination d
  WHERE d.workspace_id IN (SELECT w.id FROM workspace w WHERE w.organization_id = ANY(%(organization_ids)s))
    AND d.member_id = %(member_id)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE post p SET wanted_version = wanted_version + 1, date_done = NULL, slot_at = NULL,
  urgency = LEAST(urgency, {Urgency.CHANGE:d}), due_at = CASE WHEN ts IS NULL THEN due_at ELSE %(now)s END
FROM locked WHERE p.destination_id = locked.id AND {_SHOWS} RETURNING p.destination_id
""",  # noqa: S608 - composed of constants
    {"organization_ids": "bigint[]", "ids": "bigint[]", "member_id": "bigint", "now": "timestamptz"},
)


def hurry_for_member(
    tx: Connection, organization_id: int, incident_ids: Collection[int], member_id: int, now: datetime
) -> None:
    """Has the messages that call a member for these incidents updated before others: the member waits for it.

    Nobody waits here for delivery: a conversation that it has locked is left out.
    """
    given = {"organization_ids": [organization_id], "ids": sorted(incident_ids), "member_id": member_id, "now": now}
    rows = _HURRY.rows(tx, given)
    for destination_id in {row[0] for row in rows}:
        mark_due(tx, [destination_id], Urgency.CHANGE, now)
    if rows:
        wake_after_commit(tx, Work.POSTS)


_INCIDENTS = f"""
SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed,
       ARRAY(SELECT pr.name FROM incident_project ip
         JOIN project pr ON pr.organization_id = ip.organization_id AND pr.id = ip.project_id
             WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
               AND {sees_project("ip.project_id")} ORDER BY pr.name),
       CASE WHEN i.details -> 'facts' -> 0 ->> 0 = '{DESCRIPTION}' THEN i.details -> 'facts' -> 0 ->> 1 END,
       t.name, c.who, (SELECT b.name FROM member b WHERE b.organization_id = i.organization_id
         AND b.id = i.owner_id), i.owned_since,
       coalesce(i.owner_id = m.id, false), {is_silenced("i")}, r.declined,
       EXISTS (SELECT FROM call_recipient l WHERE l.organization_id = r.organization_id
               AND l.incident_id = r.incident_id AND l.member_id = m.id AND l.post_id > %(post_id)s)
FROM (SELECT DISTINCT ON (organization_id, incident_id) *,
             bool_and(date_declined IS NOT NULL) OVER (PARTITION BY organization_id, incident_id) AS declined
      FROM call_recipient
      WHERE organization_id = %(organization_id)s AND post_id = %(post_id)s AND member_id = %(member_id)s
      ORDER BY organization_id, incident_id, round DESC, step DESC, repetition DESC) r
JOIN call_step c USING (organization_id, incident_id, round, step, repetition)
JOIN incident i ON i.organization_id = r.organization_id AND i.id = r.incident_id
JOIN team t ON t.organization_id = c.organization_id AND t.id = c.team_id
JOIN organization o ON o.id = r.organization_id JOIN member m ON m.id = r.member_id AND m.organization_id = o.id
WHERE {sees_incident("i.id")}
ORDER BY i.status = {Status.CLOSED:d}, i.owner_id IS NOT NULL, i.status DESC, i.date_started, i.id
"""  # noqa: S608 - composed of constants


def list_called_incidents(tx: Connection, organization_id: int, post_id: int, member_id: int) -> list[CalledIncident]:
    """Returns the incidents for which a message calls a member, as far as they may see them.

    First those that nobody has, the most severe and the oldest of them first.
    """
    given = {"organization_id": organization_id, "post_id": post_id, "member_id": member_id}
    rows = tx.exec_driver_sql(_INCIDENTS, given)
    return [_parse_called(row) for row in rows]


def _parse_called(row: Sequence[Any]) -> CalledIncident:
    values: list[Any] = list(row)
    values[3] = Status(values[3])
    return CalledIncident(*values)
