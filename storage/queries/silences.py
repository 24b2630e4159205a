"""Silences: which incidents they hold, which exist, and which are due to end.

`incident.silence_id` names the silence that matched an incident last. It holds the incident until its `date_ended`,
and while its maker sees the incident. So nothing needs to be written to thousands of incidents for a silence to end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extras import Json
from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.visibility import of_given_projects, sees_incident, sees_project
from storage.silence_rows import HeldIncident, OtherSilence, SilencedAlert, SilenceRow
from storage.values import ActivityType, PostKind

ALERTMANAGER = "alertmanager"  # the source of its alerts
FOLLOWED_WITHIN = timedelta(seconds=60)


def _holding(incident: str) -> str:
    """For FROM: the silence s, by member m, that holds an incident, given by its alias."""
    return (
        "silence s LEFT JOIN member m ON m.id = s.member_id JOIN organization o ON o.id = s.organization_id"
        f" WHERE s.organization_id = {incident}.organization_id AND s.id = {incident}.silence_id"
        f" AND s.date_ended IS NULL AND (s.member_id IS NULL OR {sees_incident(f'{incident}.id')})"
    )


# The name of who made silence s; member m is who made it in Slack.
_MAKER = "coalesce(m.name, s.made_by || ' in Alertmanager')"


# The silence that holds incident i, and its end.
SILENCE_OF_INCIDENT = f"SELECT s.id, s.ends, {_MAKER} AS maker, s.reason FROM {_holding('i')}"  # noqa: S608
SILENCED_UNTIL = f"(SELECT s.ends FROM {_holding('i')})"  # noqa: S608

_ENDS = PreparedStatement(
    f"SELECT i.id, s.ends FROM incident i CROSS JOIN LATERAL (SELECT s.ends FROM {_holding('i')}) s"  # noqa: S608
    " WHERE i.id = ANY(%(incident_ids)s)",
    {"incident_ids": "bigint[]"},
)


def find_ends(connection: Connection, incident_ids: Collection[int]) -> dict[int, datetime]:
    """Returns until when a silence holds each of these incidents, for those that one holds."""
    return dict(_ENDS.rows(connection, {"incident_ids": incident_ids}))


def is_silenced(incident: str) -> str:
    """Returns the condition that a silence holds an incident, given by its alias. It costs nothing where none did."""
    return f"({incident}.silence_id IS NOT NULL AND EXISTS (SELECT FROM {_holding(incident)}))"


def has_silences(organization: str) -> str:
    """Returns the condition that an organization, given by its id, has silences in force: one probe of their index."""
    return f"EXISTS (SELECT FROM silence v WHERE v.organization_id = {organization} AND v.date_ended IS NULL)"


# What describes an alert: a silence matches what contains its matchers. The team is the one that the card shows.
_DESCRIBED = """
jsonb_build_object(
  'source', i.source, 'key', i.alert_key, 'labels', coalesce(i.details -> 'labels', '{}'::jsonb),
  'environment', lower(i.environment), 'team', coalesce(i.team_id, (
    SELECT min(pt.team_id) FROM incident_project ip JOIN project_team pt ON pt.project_id = ip.project_id
    WHERE ip.incident_id = i.id HAVING count(DISTINCT pt.team_id) = 1)))
"""


# The silence s, by member m of organization o, matches incident i.
_FROM_BOTH = """
silence s JOIN incident i ON i.organization_id = s.organization_id
LEFT JOIN member m ON m.id = s.member_id JOIN organization o ON o.id = s.organization_id
"""
_MATCHES = f"""
i.source IS NOT NULL
AND CASE WHEN s.member_id IS NULL THEN i.source = '{ALERTMANAGER}' AND i.alert_key = ANY(s.alertmanager_keys)
    ELSE {_DESCRIBED} @> s.matchers
         AND EXISTS (SELECT FROM incident_project ip WHERE ip.incident_id = i.id
                     AND (s.project_id IS NULL OR ip.project_id = s.project_id)
                     AND {sees_project("ip.project_id")} OFFSET 0)
         AND {sees_incident("i.id")} END
"""


def _build_hold(only: str) -> str:
    """Builds the statement that has silences hold open incidents. Of several, the one that ends last holds one.

    It must not lock FOR UPDATE: that waits for whoever has inserted something that refers to the incident, and who may
    be waiting for a card that this transaction has changed. `expansion.redraw_unseen_changes` finds the cards that are
    being inserted meanwhile.
    """
    return f"""
WITH best AS (
  SELECT DISTINCT ON (i.id) i.id, s.id AS silence_id, s.member_id
  FROM {_FROM_BOTH}
  WHERE s.date_ended IS NULL AND s.ends > %(now)s AND {only} AND i.status <> 2 AND {_MATCHES}
  ORDER BY i.id, s.ends DESC, s.id DESC
), locked AS (
  SELECT i.id, best.silence_id, best.member_id FROM incident i JOIN best ON best.id = i.id
  WHERE i.silence_id IS DISTINCT FROM best.silence_id ORDER BY i.id FOR NO KEY UPDATE OF i
), held AS (
  UPDATE incident i SET silence_id = locked.silence_id FROM locked WHERE i.id = locked.id
  RETURNING i.organization_id, i.id, locked.member_id
), logged AS (
  INSERT INTO incident_activity (organization_id, incident_id, member_id, type, value, date_added)
  SELECT organization_id, id, member_id, {ActivityType.SILENCE:d}, 1, %(now)s FROM held ORDER BY id
)
SELECT id FROM held
"""  # noqa: S608 - composed of constants


_HOLD_INCIDENTS = PreparedStatement(
    _build_hold("i.id = ANY(%(incident_ids)s)"), {"incident_ids": "bigint[]", "now": "timestamptz"}
)
_HOLD_BY_SILENCE = PreparedStatement(
    _build_hold("s.organization_id = %(organization_id)s AND s.id = %(id)s"),
    {"organization_id": "bigint", "id": "bigint", "now": "timestamptz"},
)


def hold_incidents(tx: Connection, incident_ids: Collection[int], now: datetime) -> list[int]:
    """Has the silences in force hold those of the incidents that they match. Returns the ids that this changed."""
    if not incident_ids:
        return []
    return [row[0] for row in _HOLD_INCIDENTS.rows(tx, {"incident_ids": sorted(incident_ids), "now": now})]


_FIND_HELD = PreparedStatement(
    f"SELECT i.id FROM incident i WHERE i.id = ANY(%(incident_ids)s::bigint[]) AND {is_silenced('i')}"  # noqa: S608
)


def find_held(connection: Connection, incident_ids: Collection[int]) -> set[int]:
    """Returns those of the incidents that a silence holds now: they make no cards, no calls and no messages."""
    if not incident_ids:
        return set()
    return {row[0] for row in _FIND_HELD.rows(connection, {"incident_ids": sorted(incident_ids)})}


def hold_matching(tx: Connection, organization_id: int, silence_id: int, now: datetime) -> list[int]:
    """Has a new silence hold the open incidents that it matches. Returns the ids that this changed."""
    parameters = {"organization_id": organization_id, "id": silence_id, "now": now}
    return [row[0] for row in _HOLD_BY_SILENCE.rows(tx, parameters)]


def lock_openings(tx: Connection, organization_id: int) -> None:
    """Waits for the transactions that open incidents of an organization; others wait for this one.

    Lock incidents first: an intake has locked its incidents when it opens others.
    """
    tx.exec_driver_sql(
        "SELECT FROM organization WHERE id = %(organization_id)s FOR NO KEY UPDATE",
        {"organization_id": organization_id},
    )


def find_alert(
    connection: Connection, organization_id: int, identifier: int, project_ids: Sequence[int]
) -> SilencedAlert | None:
    """Returns what describes the alert of an incident; None if it has none, or the caller does not see it."""
    row = connection.exec_driver_sql(
        "SELECT i.source, i.alert_key, i.alert_project_id, i.details -> 'labels' FROM incident i"  # noqa: S608
        " WHERE i.organization_id = %(organization_id)s AND i.identifier = %(identifier)s"
        f" AND i.alert_key IS NOT NULL AND {of_given_projects('i.id')}",
        {"organization_id": organization_id, "identifier": identifier, "project_ids": list(project_ids)},
    ).first()
    return None if row is None else SilencedAlert(row[0], row[1], row[2], row[3] or {})


def insert_silence(
    tx: Connection,
    *,
    organization_id: int,
    workspace_id: str,
    project_id: int | None,
    incident_id: int | None,
    member_id: int,
    matchers: Mapping[str, Any],
    reason: str | None,
    ends: datetime,
    now: datetime,
) -> int:
    """Inserts a silence that is in force at once, and returns its id."""
    id_: int = tx.exec_driver_sql(
        "INSERT INTO silence (organization_id, workspace_id, project_id, incident_id, member_id, matchers, reason,"
        "                     starts, ends)"
        " VALUES (%(organization_id)s, %(workspace_id)s, %(project_id)s, %(incident_id)s, %(member_id)s, %(matchers)s,"
        "         %(reason)s, %(now)s, %(ends)s) RETURNING id",
        {
            "organization_id": organization_id,
            "workspace_id": workspace_id,
            "project_id": project_id,
            "incident_id": incident_id,
            "member_id": member_id,
            "matchers": Json(dict(matchers)),
            "reason": reason,
            "ends": ends,
            "now": now,
        },
    ).scalar_one()
    return id_


_COLUMNS = f"""
s.organization_id, s.id, s.workspace_id, s.member_id, {_MAKER}, s.matchers, s.reason, s.ends,
i.identifier, i.title,
(SELECT pr.name FROM project pr WHERE pr.id = s.project_id),
(SELECT t.name FROM team t WHERE t.id = (s.matchers ->> 'team')::bigint),
CASE WHEN i.id IS NULL THEN o.incidents AND m.date_removed IS NULL ELSE {sees_incident("i.id")} END,
s.alertmanager_id IS NOT NULL
"""  # noqa: S608
_FROM = (
    "FROM silence s LEFT JOIN member m ON m.id = s.member_id JOIN organization o ON o.id = s.organization_id"
    " LEFT JOIN incident i ON i.id = s.incident_id"
)
# A silence is seen by who sees its project. One for all projects that its maker sees is seen by who sees one of them,
# of its team where it has one, or an incident that it holds. One made in Alertmanager is seen by what it holds alone.
_IS_SEEN = f"""
(s.project_id = ANY(%(project_ids)s) OR (s.project_id IS NULL AND (
  EXISTS (SELECT FROM unnest(%(project_ids)s::bigint[]) AS p(id)
          WHERE s.member_id IS NOT NULL AND {sees_project("p.id")}
          AND (s.matchers -> 'team' IS NULL OR EXISTS (
            SELECT FROM project_team t WHERE t.project_id = p.id AND t.team_id = (s.matchers ->> 'team')::bigint)))
  OR EXISTS (SELECT FROM incident h WHERE h.organization_id = s.organization_id AND h.silence_id = s.id
             AND {of_given_projects("h.id")}))))
"""  # noqa: S608
_VISIBLE = f"""
SELECT {_COLUMNS}, (SELECT count(*) FROM incident h WHERE h.organization_id = s.organization_id
                    AND h.silence_id = s.id AND h.status <> 2 AND {of_given_projects("h.id")}) {_FROM}
WHERE s.organization_id = %(organization_id)s AND s.date_ended IS NULL AND {_IS_SEEN}
"""  # noqa: S608


def list_silences(
    connection: Connection, organization_id: int, project_ids: Sequence[int], most: int, *, skip: int = 0
) -> list[SilenceRow]:
    """Returns at most `most` silences in force for these projects, the one that ends first before the others."""
    rows = connection.exec_driver_sql(
        _VISIBLE + " ORDER BY s.ends, s.id LIMIT %(most)s OFFSET %(skip)s",
        {"organization_id": organization_id, "project_ids": list(project_ids), "most": most, "skip": skip},
    )
    return [SilenceRow(*row) for row in rows]


def find_silence(
    tx: Connection, organization_id: int, silence_id: int, project_ids: Sequence[int]
) -> SilenceRow | None:
    """Returns a silence in force for one of these projects, and locks its row until the transaction ends."""
    row = tx.exec_driver_sql(
        _VISIBLE + " AND s.id = %(id)s FOR NO KEY UPDATE OF s",
        {"organization_id": organization_id, "id": silence_id, "project_ids": list(project_ids)},
    ).first()
    return None if row is None else SilenceRow(*row)


def lock_due_silences(tx: Connection, now: datetime, most: int) -> list[SilenceRow]:
    """Locks silences in force whose end has passed, without those that another transaction holds.

    One that stands in Alertmanager is ended by who follows it there, and here only if that does not happen.
    """
    rows = tx.exec_driver_sql(
        f"SELECT {_COLUMNS}, 0 {_FROM} WHERE s.date_ended IS NULL"
        " AND s.ends <= %(now)s AND (s.alertmanager_id IS NULL OR s.ends <= %(followed)s)"
        " ORDER BY s.ends LIMIT %(most)s FOR NO KEY UPDATE OF s SKIP LOCKED",
        {"now": now, "followed": now - FOLLOWED_WITHIN, "most": most},
    )
    return [SilenceRow(*row) for row in rows]


def lock_blind_silences(tx: Connection, most: int) -> list[SilenceRow]:
    """Locks silences in force whose maker was removed or no longer sees their project: they hold nothing any more."""
    rows = tx.exec_driver_sql(
        f"SELECT {_COLUMNS}, 0 {_FROM} WHERE s.date_ended IS NULL AND (m.date_removed IS NOT NULL"
        f" OR (m.id IS NOT NULL AND s.project_id IS NOT NULL AND NOT {sees_project('s.project_id')}))"
        " ORDER BY s.ends LIMIT %(most)s FOR NO KEY UPDATE OF s SKIP LOCKED",
        {"most": most},
    )
    return [SilenceRow(*row) for row in rows]


_END = f"""
WITH ended AS (
  UPDATE silence SET date_ended = %(now)s, ended_by = %(member_id)s
  WHERE organization_id = %(organization_id)s AND id = %(id)s
), logged AS (
  INSERT INTO incident_activity (organization_id, incident_id, member_id, type, value, date_added)
  SELECT i.organization_id, i.id, %(member_id)s, {ActivityType.SILENCE:d}, 0, %(now)s FROM incident i
  WHERE i.organization_id = %(organization_id)s AND i.silence_id = %(id)s AND i.status <> 2 ORDER BY i.id
)
SELECT i.id, i.status <> 2, EXISTS (SELECT FROM post p WHERE p.incident_id = i.id AND p.kind = '{PostKind.CARD}'
                                    AND p.ts IS NOT NULL),
       %(project_ids)s::bigint[] IS NULL OR EXISTS (
         SELECT FROM incident_project ip WHERE ip.incident_id = i.id AND ip.project_id = ANY(%(project_ids)s))
FROM incident i WHERE i.organization_id = %(organization_id)s AND i.silence_id = %(id)s
"""  # noqa: S608 - composed of constants


def end_silence(
    tx: Connection, silence: SilenceRow, member_id: int | None, now: datetime, project_ids: Sequence[int] | None
) -> list[HeldIncident]:
    """Ends a silence whose row is locked, and returns the incidents that it held.

    `project_ids` are those that the member sees who ends it; None: its time has come.
    """
    rows = tx.exec_driver_sql(
        _END,
        {
            "organization_id": silence.organization_id,
            "id": silence.id,
            "member_id": member_id,
            "now": now,
            "project_ids": None if project_ids is None else list(project_ids),
        },
    )
    return [HeldIncident(*row) for row in rows]


_OTHERS = f"""
WITH silenced AS (
  SELECT incident_id AS id FROM silence WHERE organization_id = %(organization_id)s AND id = %(id)s
  UNION SELECT id FROM incident WHERE organization_id = %(organization_id)s AND silence_id IS NOT NULL AND status <> 2
), matched AS (
  SELECT i.id FROM {_FROM_BOTH} JOIN silenced ON silenced.id = i.id
  WHERE s.organization_id = %(organization_id)s AND s.id = %(id)s AND {_MATCHES}
    AND (%(project_ids)s::bigint[] IS NULL OR {of_given_projects("i.id")})
)
SELECT DISTINCT s.id, s.ends FROM {_FROM_BOTH} JOIN matched ON matched.id = i.id
WHERE s.organization_id = %(organization_id)s AND s.id <> %(id)s AND s.date_ended IS NULL AND s.ends > %(now)s
  AND {_MATCHES}
ORDER BY s.ends DESC, s.id DESC
"""  # noqa: S608 - composed of constants


def list_others(
    tx: Connection, silence: SilenceRow, now: datetime, project_ids: Sequence[int] | None
) -> list[OtherSilence]:
    """Returns the other silences in force that match what an ending one matches, the one that ends last first.

    `project_ids` are those that the member sees who ends it; None: its time has come.
    """
    rows = tx.exec_driver_sql(
        _OTHERS,
        {
            "organization_id": silence.organization_id,
            "id": silence.id,
            "now": now,
            "project_ids": None if project_ids is None else list(project_ids),
        },
    )
    return [OtherSilence(*row) for row in rows]


def count_ending(connection: Connection, organization_id: int, project_ids: Sequence[int], before: datetime) -> int:
    """Counts the silences in force for these projects that end before a moment."""
    count: int = connection.exec_driver_sql(
        f"SELECT count(*) {_FROM} WHERE s.organization_id = %(organization_id)s AND s.date_ended IS NULL"
        f" AND s.ends < %(before)s AND {_IS_SEEN}",
        {"organization_id": organization_id, "project_ids": list(project_ids), "before": before},
    ).scalar_one()
    return count


def lock_silence(tx: Connection, organization_id: int, silence_id: int) -> SilenceRow | None:
    """Returns a silence in force, and locks its row until the transaction ends."""
    row = tx.exec_driver_sql(
        f"SELECT {_COLUMNS}, 0 {_FROM} WHERE s.organization_id = %(organization_id)s AND s.id = %(id)s"
        " AND s.date_ended IS NULL FOR NO KEY UPDATE OF s",
        {"organization_id": organization_id, "id": silence_id},
    ).first()
    return None if row is None else SilenceRow(*row)


def list_held(tx: Connection, organization_id: int, silence_id: int) -> list[int]:
    """Returns the ids of the open incidents that matched a silence last."""
    rows = tx.exec_driver_sql(
        "SELECT id FROM incident WHERE organization_id = %(organization_id)s AND silence_id = %(id)s AND status <> 2",
        {"organization_id": organization_id, "id": silence_id},
    )
    return [row[0] for row in rows]
