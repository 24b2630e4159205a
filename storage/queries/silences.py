"""Silences: which incidents they hold, which exist, and which are due to end.

`incident.silence_id` names the one of the silences that match an incident which ends last. It holds the incident while
its maker sees that, until its `date_ended`, or until its end has reached the incident: `release_after` goes through
what it holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extras import Json
from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.visibility import of_given_projects, sees_incident, sees_project
from storage.silence_rows import OtherSilence, SilencedAlert, SilenceRow

ALERTMANAGER = "alertmanager"  # the source of its alerts
FOLLOWED_WITHIN = timedelta(seconds=60)


def _holding(incident: str) -> str:
    """For FROM: the silence s, by member m, that holds an incident, given by its alias."""
    return (
        "silence s LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id"
        " JOIN organization o ON o.id = s.organization_id"
        f" WHERE s.organization_id = {incident}.organization_id AND s.id = {incident}.silence_id"
        f" AND (s.date_ended IS NULL OR {incident}.id > s.release_after)"
        f" AND (s.member_id IS NULL OR {sees_incident(f'{incident}.id')})"
    )


# The name of who made silence s; member m is who made it in Slack.
_MAKER = "coalesce(m.name, s.made_by || ' in Alertmanager')"


# The silence that holds incident i, and its end.
SILENCE_OF_INCIDENT = f"SELECT s.id, s.ends, {_MAKER} AS maker, s.reason FROM {_holding('i')}"  # noqa: S608
SILENCED_UNTIL = f"(SELECT s.ends FROM {_holding('i')})"  # noqa: S608

_ENDS = PreparedStatement(
    f"SELECT i.id, s.ends FROM incident i CROSS JOIN LATERAL (SELECT s.ends FROM {_holding('i')}) s"  # noqa: S608
    " WHERE i.organization_id = %(organization_id)s AND i.id = ANY(%(incident_ids)s)",
    {"organization_id": "bigint", "incident_ids": "bigint[]"},
)


def find_ends(connection: Connection, organization_id: int, incident_ids: Collection[int]) -> dict[int, datetime]:
    """Returns until when a silence holds each of these incidents, for those that one holds."""
    return dict(_ENDS.rows(connection, {"organization_id": organization_id, "incident_ids": incident_ids}))


def is_silenced(incident: str) -> str:
    """Returns the condition that a silence holds an incident, given by its alias. It costs nothing where none did."""
    return f"({incident}.silence_id IS NOT NULL AND EXISTS (SELECT FROM {_holding(incident)}))"


def is_held_longer(incident: str, ends: str, silence: str) -> str:
    """Returns the condition that a silence in force holds an incident, given by its alias, longer than another would.

    The other one is given by its end and its id.
    """
    return (
        f"({incident}.silence_id IS NOT NULL AND EXISTS (SELECT FROM {_holding(incident)} AND s.date_ended IS NULL"
        f" AND (s.ends, s.id) > ({ends}, {silence})))"
    )


def has_silences(organization: str) -> str:
    """Returns the condition that an organization, given by its id, has silences in force: one probe of their index."""
    return f"EXISTS (SELECT FROM silence v WHERE v.organization_id = {organization} AND v.date_ended IS NULL)"


_FIND_HELD = PreparedStatement(
    "SELECT i.id FROM incident i WHERE i.organization_id = %(organization_id)s::bigint"  # noqa: S608
    f" AND i.id = ANY(%(incident_ids)s::bigint[]) AND {is_silenced('i')}"
)


def find_held(connection: Connection, organization_id: int, incident_ids: Collection[int]) -> set[int]:
    """Returns those of the incidents that a silence holds now: they make no cards, no calls and no messages."""
    if not incident_ids:
        return set()
    given = {"organization_id": organization_id, "incident_ids": sorted(incident_ids)}
    return {row[0] for row in _FIND_HELD.rows(connection, given)}


def find_holder(connection: Connection, organization_id: int, incident_id: int) -> OtherSilence | None:
    """Returns the silence that holds an incident; None if none does."""
    row = connection.exec_driver_sql(
        f"SELECT s.id, s.ends FROM incident i CROSS JOIN LATERAL ({SILENCE_OF_INCIDENT}) s"  # noqa: S608 - constants
        " WHERE i.organization_id = %(organization_id)s AND i.id = %(id)s",
        {"organization_id": organization_id, "id": incident_id},
    ).first()
    return None if row is None else OtherSilence(*row)


def find_alert(
    connection: Connection, organization_id: int, identifier: int, project_ids: Sequence[int]
) -> SilencedAlert | None:
    """Returns what describes the alert of an incident; None if it has none, or the caller does not see it."""
    row = connection.exec_driver_sql(
        "SELECT i.source, i.alert_key, i.alert_project_id, i.details -> 'labels' FROM incident i"  # noqa: S608
        " WHERE i.organization_id = %(organization_id)s AND i.identifier = %(identifier)s"
        f" AND i.alert_key IS NOT NULL AND {of_given_projects('i.organization_id', 'i.id')}",
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


COLUMNS = f"""
s.organization_id, s.id, s.workspace_id, s.member_id, {_MAKER}, s.matchers, s.reason, s.ends,
i.identifier, i.title,
(SELECT pr.name FROM project pr WHERE pr.organization_id = s.organization_id AND pr.id = s.project_id),
(SELECT t.name FROM team t
 WHERE t.organization_id = s.organization_id AND t.id = (s.matchers ->> 'team')::bigint),
CASE WHEN i.id IS NULL THEN o.incidents AND m.date_removed IS NULL ELSE {sees_incident("i.id")} END,
s.alertmanager_id IS NOT NULL, s.hold_after IS NOT NULL
"""  # noqa: S608
FROM = (
    "FROM silence s LEFT JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id"
    " JOIN organization o ON o.id = s.organization_id"
    " LEFT JOIN incident i ON i.organization_id = s.organization_id AND i.id = s.incident_id"
)
# A silence is seen by who sees its project. One for all projects that its maker sees is seen by who sees one of them,
# of its team where it has one, or an incident that it holds. One made in Alertmanager is seen by who sees an incident
# that it matches: another one may hold that.
_IS_SEEN = f"""
(s.project_id = ANY(%(project_ids)s) OR (s.project_id IS NULL AND (
  EXISTS (SELECT FROM unnest(%(project_ids)s::bigint[]) AS p(id)
          WHERE s.member_id IS NOT NULL AND {sees_project("p.id")}
          AND (s.matchers -> 'team' IS NULL OR EXISTS (
            SELECT FROM project_team t
            WHERE t.organization_id = s.organization_id AND t.project_id = p.id
              AND t.team_id = (s.matchers ->> 'team')::bigint)))
  OR EXISTS (SELECT FROM incident h WHERE h.organization_id = s.organization_id AND h.silence_id = s.id
             AND {of_given_projects("h.organization_id", "h.id")})
  OR (s.member_id IS NULL AND EXISTS (
    SELECT FROM incident h WHERE h.organization_id = s.organization_id AND h.status <> 2
      AND h.source = '{ALERTMANAGER}' AND h.alert_key = ANY(s.alertmanager_keys)
      AND {of_given_projects("h.organization_id", "h.id")})))))
"""  # noqa: S608
_VISIBLE = f"""
SELECT {COLUMNS}, (SELECT count(*) FROM incident h WHERE h.organization_id = s.organization_id
                    AND h.silence_id = s.id AND h.status <> 2
                    AND {of_given_projects("h.organization_id", "h.id")}) {FROM}
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


def lock_due_silence(tx: Connection, now: datetime) -> SilenceRow | None:
    """Locks a silence in force whose end has passed, except those that another transaction has locked.

    One that stands in Alertmanager is ended by who follows it there, and here only if that does not happen.
    """
    row = tx.exec_driver_sql(
        f"SELECT {COLUMNS}, 0 {FROM} WHERE s.date_ended IS NULL"
        " AND s.ends <= %(now)s AND (s.alertmanager_id IS NULL OR s.ends <= %(followed)s)"
        " ORDER BY s.ends LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED",
        {"now": now, "followed": now - FOLLOWED_WITHIN},
    ).first()
    return None if row is None else SilenceRow(*row)


def lock_blind_silence(tx: Connection) -> SilenceRow | None:
    """Locks a silence in force whose maker was removed or no longer sees its project: it holds nothing any more."""
    row = tx.exec_driver_sql(
        f"SELECT {COLUMNS}, 0 {FROM} WHERE s.date_ended IS NULL AND (m.date_removed IS NOT NULL"
        f" OR (m.id IS NOT NULL AND s.project_id IS NOT NULL AND NOT {sees_project('s.project_id')}))"
        " ORDER BY s.ends LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED"
    ).first()
    return None if row is None else SilenceRow(*row)


def count_ending(connection: Connection, organization_id: int, project_ids: Sequence[int], before: datetime) -> int:
    """Counts the silences in force for these projects that end before a moment."""
    count: int = connection.exec_driver_sql(
        f"SELECT count(*) {FROM} WHERE s.organization_id = %(organization_id)s AND s.date_ended IS NULL"
        f" AND s.ends < %(before)s AND {_IS_SEEN}",
        {"organization_id": organization_id, "project_ids": list(project_ids), "before": before},
    ).scalar_one()
    return count


def lock_silence(tx: Connection, organization_id: int, silence_id: int) -> SilenceRow | None:
    """Returns a silence in force, and locks its row until the transaction ends."""
    row = tx.exec_driver_sql(
        f"SELECT {COLUMNS}, 0 {FROM} WHERE s.organization_id = %(organization_id)s AND s.id = %(id)s"
        " AND s.date_ended IS NULL FOR NO KEY UPDATE OF s",
        {"organization_id": organization_id, "id": silence_id},
    ).first()
    return None if row is None else SilenceRow(*row)
