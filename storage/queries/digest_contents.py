"""Reads what digests show. The number of statements does not depend on the number of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from storage.digest_rows import (
    IncidentName,
    News,
    OpenCounts,
    OpenLine,
    OpenPage,
    OpenSeries,
)
from storage.queries.activity import NEWS, get_mentions, parse_entry
from storage.queries.list_filter import build_like_pattern
from storage.rows import Mentions
from storage.values import Status

SEEN_NAMED = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """Which incidents a digest covers."""

    organization_id: int
    project_ids: Sequence[int]  # never more than the owner sees
    status: Status | None = None  # only this severity
    words: tuple[str, ...] = ()
    team_ids: tuple[int, ...] | None = None  # NO_TEAM stands for "no team owns it"
    environment: str | None = None
    until: datetime | None = None  # leaves out what started after
    unseen: bool = False  # only what nobody has acknowledged


# The severity of a resolved incident is the one before closing; CLOSED is never stored there.
_SEVERITY = "CASE WHEN i.status = 2 THEN coalesce(i.status_before_closing, 1) ELSE i.status END"


class _Statement:
    """Builds statements over the incidents of a scope, and holds their parameters."""

    def __init__(self, scope: Scope) -> None:
        self.parameters: dict[str, Any] = {
            "organization_id": scope.organization_id,
            "project_ids": list(scope.project_ids),
        }
        of_link = ["ip.project_id = ANY(%(project_ids)s)"]
        self._of_incident: list[str] = []
        if scope.team_ids is not None:
            of_link.append("ip.team_id = ANY(%(team_ids)s)")
            self.parameters["team_ids"] = list(scope.team_ids)
        if scope.until is not None:
            of_link.append("ip.started <= %(until)s")
            self.parameters["until"] = scope.until
        if scope.status is not None:
            self._of_incident.append(f"{_SEVERITY} = %(status)s")
            self.parameters["status"] = int(scope.status)
        for number, word in enumerate(scope.words):
            self._of_incident.append(f"i.title ILIKE %(word{number})s")
            self.parameters[f"word{number}"] = build_like_pattern(word)
        if scope.environment is not None:
            self._of_incident.append("lower(i.environment) = lower(%(environment)s)")
            self.parameters["environment"] = scope.environment
        self._unseen = scope.unseen
        self._of_link = " AND ".join(of_link)

    def of_open(self, select: str) -> str:
        """Builds a statement in which `select` reads the CTE `shown`: the open incidents, and whether they are seen."""
        conditions = [*self._of_incident, "i.status <> 2"]
        unseen = "WHERE NOT shown_all.seen" if self._unseen else ""
        return f"""WITH shown AS MATERIALIZED (SELECT * FROM (
          SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, team.name AS team,
                 EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id) AS seen
          FROM (SELECT DISTINCT ip.incident_id FROM incident_project ip
                WHERE {self._of_link} AND ip.status <> 2) link
          JOIN incident i ON i.id = link.incident_id LEFT JOIN team ON team.id = i.team_id
          WHERE {" AND ".join(conditions)}) shown_all {unseen}) {select}"""  # noqa: S608

    def of_lately(self, select: str) -> str:
        """Builds a statement in which `select` reads the CTE `lately`: what is open, or was resolved since `%(since)s`.

        OFFSET 0 makes PostgreSQL look up the projects of each resolved incident, where a join would read all resolved
        incidents. `+ 0` keeps the index on projects out, which would be searched once for each array element.
        """
        looked_up = self._of_link.replace("ip.project_id =", "ip.project_id + 0 =")
        conditions = " AND ".join(self._of_incident) or "true"
        columns = f"i.id, i.identifier, i.title, {_SEVERITY} AS severity, i.date_started, i.date_added, i.date_closed"
        return f"""WITH lately AS MATERIALIZED (
          SELECT {columns}
          FROM (SELECT DISTINCT ip.incident_id FROM incident_project ip
                WHERE {self._of_link} AND ip.status <> 2) link
          JOIN incident i ON i.id = link.incident_id WHERE i.status <> 2 AND {conditions}
          UNION ALL
          SELECT {columns} FROM incident i
          WHERE i.organization_id = %(organization_id)s AND i.status = 2 AND i.date_closed > %(since)s
            AND EXISTS (SELECT FROM incident_project ip
                        WHERE ip.incident_id = i.id AND {looked_up} OFFSET 0)
            AND {conditions}) {select}"""  # noqa: S608


def count_open(connection: Connection, scope: Scope) -> OpenCounts:
    """Counts the open incidents of a scope, by status and team."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        statement.of_open(
            "SELECT team, status, count(*), count(*) FILTER (WHERE NOT seen), min(date_started)"
            " FROM shown GROUP BY team, status"
        ),
        statement.parameters,
    ).all()
    by_status: dict[Status, int] = {}
    by_team: dict[str | None, int] = {}
    for team, status, count, _, _ in rows:
        by_status[Status(status)] = by_status.get(Status(status), 0) + count
        by_team[team] = by_team.get(team, 0) + count
    return OpenCounts(by_status, by_team, sum(row[3] for row in rows), min((row[4] for row in rows), default=None))


def get_open_page(connection: Connection, scope: Scope, workspace_id: str, *, skip: int, size: int) -> OpenPage:
    """Returns `size` open incidents after the first `skip`, by team; unacknowledged first, then the oldest."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        statement.of_open(f"""SELECT p.id, p.identifier, p.title, p.status, p.environment, p.date_started, p.team,
             ARRAY(SELECT m.name FROM incident_seen s JOIN member m ON m.id = s.member_id
                   WHERE s.incident_id = p.id ORDER BY s.last_seen DESC, s.member_id LIMIT %(seen_named)s),
             (SELECT count(*) FROM incident_seen s WHERE s.incident_id = p.id),
             latest.id, latest.type, latest.member_id, latest.name, latest.value, latest.previous_value,
             latest.comment, latest.date_added, latest.date_edited
           FROM (SELECT * FROM shown ORDER BY team IS NULL, team, seen, date_started, id
                 LIMIT %(size)s OFFSET %(skip)s) p
           LEFT JOIN LATERAL (SELECT a.*, m.name FROM incident_activity a LEFT JOIN member m ON m.id = a.member_id
                              WHERE a.incident_id = p.id AND {NEWS}
                              ORDER BY a.date_added DESC, a.id DESC LIMIT 1) latest ON true
           ORDER BY p.team IS NULL, p.team, p.seen, p.date_started, p.id"""),  # noqa: S608
        {**statement.parameters, "skip": skip, "size": size, "seen_named": SEEN_NAMED},
    ).all()
    lines = [
        OpenLine(
            id=row[0],
            identifier=row[1],
            title=row[2],
            status=Status(row[3]),
            environment=row[4],
            date_started=row[5],
            team=row[6],
            seen_by=row[7],
            seen_count=row[8],
            latest=None if row[9] is None else parse_entry(row[9:18]),
        )
        for row in rows
    ]
    comments = [line.latest.id for line in lines if line.latest and line.latest.comment is not None]
    return OpenPage(lines, get_mentions(connection, comments, workspace_id) if comments else Mentions())


def get_news(connection: Connection, scope: Scope, since: datetime, *, named: int) -> News:
    """Returns what happened since a moment, with the names of the latest `named` opened and resolved incidents."""
    statement = _Statement(scope)
    row = connection.exec_driver_sql(
        statement.of_lately(""", opened AS (SELECT * FROM lately WHERE date_added > %(since)s),
             resolved AS (SELECT * FROM lately WHERE date_closed > %(since)s)
           SELECT (SELECT count(*) FROM opened), (SELECT count(*) FROM resolved),
             (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(epoch FROM s.first_seen - l.date_started))
              FROM lately l CROSS JOIN LATERAL (SELECT min(first_seen) AS first_seen FROM incident_seen s
                                                WHERE s.incident_id = l.id) s WHERE s.first_seen > %(since)s),
             (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(epoch FROM date_closed - date_started))
              FROM resolved),
             ARRAY(SELECT identifier FROM opened ORDER BY date_added DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT title FROM opened ORDER BY date_added DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT identifier FROM resolved ORDER BY date_closed DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT title FROM resolved ORDER BY date_closed DESC, id DESC LIMIT %(named)s)"""),
        {**statement.parameters, "since": since, "named": named},
    ).one()
    return News(
        since,
        row[0],
        row[1],
        _seconds(row[2]),
        _seconds(row[3]),
        [IncidentName(*pair) for pair in zip(row[4], row[5], strict=True)],
        [IncidentName(*pair) for pair in zip(row[6], row[7], strict=True)],
    )


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=max(0.0, float(value)))


def count_open_at(connection: Connection, scope: Scope, moments: Sequence[datetime]) -> OpenSeries:
    """Counts what was open at each of these moments (ascending), by severity."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        statement.of_lately("""SELECT severity, width_bucket(date_started, %(moments)s::timestamptz[]),
                     width_bucket(date_closed, %(moments)s::timestamptz[]), count(*)
              FROM lately GROUP BY 1, 2, 3"""),
        {**statement.parameters, "since": moments[0], "moments": list(moments)},
    )
    counts: dict[Status, list[int]] = {status: [0] * len(moments) for status in Status if status is not Status.CLOSED}
    for severity, started, closed, count in rows:
        # A bucket is the number of moments before it: the incident was open from the first moment after its start
        # to the last one before its end.
        for place in range(started, len(moments) if closed is None else closed):
            counts[Status(severity)][place] += count
    return OpenSeries(tuple(moments), counts)
