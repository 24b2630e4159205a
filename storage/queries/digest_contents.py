"""Reads what digests show. The number of statements does not depend on the number of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from storage.digest_rows import (
    DailyCounts,
    IncidentName,
    News,
    OpenCounts,
    OpenLine,
    OpenPage,
)
from storage.queries.activity import NEWS, get_mentions, parse_entry
from storage.queries.incident_columns import only_team, project_names
from storage.queries.list_filter import build_like_pattern
from storage.queries.silences import is_silenced
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
    owned_by: int | None = None  # a member's id: only what they own
    unowned: bool = False  # only what nobody owns


# The severity of a resolved incident is the one before closing; CLOSED is never stored there.
_SEVERITY = "CASE WHEN i.status = 2 THEN coalesce(i.status_before_closing, 1) ELSE i.status END"
_SEEN = "EXISTS (SELECT FROM incident_seen s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id)"
_ORDER = "o.status DESC, o.started DESC, o.id DESC"


class _Statement:
    """Builds parts of statements over the incidents of a scope, and holds their parameters.

    What is open is found by the indexes of open incidents, and what happened since a moment by the time when it
    happened. So neither depends on how many others there are. `seen` and `silenced` are worked out only where they are
    asked for.
    """

    def __init__(self, scope: Scope) -> None:
        of_status = [int(one) for one in Status if one is not Status.CLOSED and scope.status in (None, one)]
        self.parameters: dict[str, Any] = {
            "organization_id": scope.organization_id,
            "project_ids": list(scope.project_ids),
            "of_status": of_status,
            "open": [int(one) for one in Status if one is not Status.CLOSED],
        }
        of_link = ["ip.project_id = ANY(%(project_ids)s)"]
        self._of_severity: list[str] = []
        of_incident: list[str] = []
        if scope.team_ids is not None:
            of_link.append("ip.team_id = ANY(%(team_ids)s)")
            self.parameters["team_ids"] = list(scope.team_ids)
        if scope.until is not None:
            of_link.append("ip.started <= %(until)s")
            self.parameters["until"] = scope.until
        if scope.status is not None:
            self._of_severity.append(f"{_SEVERITY} = %(status)s")
            self.parameters["status"] = int(scope.status)
        for number, word in enumerate(scope.words):
            of_incident.append(f"i.title ILIKE %(word{number})s")
            self.parameters[f"word{number}"] = build_like_pattern(word)
        if scope.environment is not None:
            of_incident.append("lower(i.environment) = lower(%(environment)s)")
            self.parameters["environment"] = scope.environment
        if scope.owned_by is not None:
            of_incident.append("i.owner_id = %(owned_by)s")
            self.parameters["owned_by"] = scope.owned_by
        if scope.unowned:
            of_incident.append("i.owner_id IS NULL")
        self._of_incident = of_incident
        self._is_found_by_index = bool(scope.words) or scope.owned_by is not None
        self._unseen = scope.unseen
        self._of_link = " AND ".join(of_link)

    def select_open(self, *, with_silenced: bool = False) -> str:
        """Builds the query of the open incidents: id, status, started, owner_id, seen, silenced.

        Silenced incidents are left out unless `with_silenced`.
        """
        conditions = ["i.organization_id = %(organization_id)s", "i.status <> 2"]
        if not with_silenced:
            conditions.append(f"NOT {is_silenced('i')}")
        unseen = "WHERE NOT o.seen" if self._unseen else ""
        return f"""SELECT * FROM (
          SELECT i.id, i.status, i.date_started AS started, i.owner_id,
                 {_SEEN} AS seen,
                 {is_silenced("i")} AS silenced
          FROM incident i
          WHERE {" AND ".join([*conditions, *self._of_severity, *self._of_incident])}
            AND EXISTS (SELECT FROM incident_project ip
                        WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
                          AND {self._of_link} AND ip.status <> 2)
          OFFSET 0) o {unseen}"""  # noqa: S608

    def select_in_order(self) -> str:
        """Builds the query of the open incidents that are not silenced, in the order of the pages.

        An index of their projects orders them, and they are looked up one after the other until the page is full. What
        an index of titles or owners finds is ordered afterwards.
        """
        if self._is_found_by_index:
            return f"SELECT o.id, o.status, o.started FROM ({self.select_open()}) o ORDER BY {_ORDER}"  # noqa: S608
        conditions = ["i.status <> 2", f"NOT {is_silenced('i')}", *self._of_incident]
        if self._unseen:
            conditions.append(f"NOT {_SEEN}")
        return f"""SELECT o.* FROM (
          SELECT DISTINCT ip.status, ip.started, ip.incident_id AS id FROM incident_project ip
          WHERE {self._of_link} AND ip.status = ANY(%(of_status)s)
          ORDER BY ip.status DESC, ip.started DESC, ip.incident_id DESC) o
        CROSS JOIN LATERAL (SELECT FROM incident i WHERE i.organization_id = %(organization_id)s AND i.id = o.id
                            AND {" AND ".join(conditions)} OFFSET 0) i
        ORDER BY {_ORDER}"""  # noqa: S608

    def count_severities(self) -> str:
        """Builds the query of the severities of what is open, with how many: status, count. Silenced ones count."""
        if self._of_incident:
            found = f"""SELECT i.status FROM incident i
              WHERE i.organization_id = %(organization_id)s AND i.status <> 2 AND {" AND ".join(self._of_incident)}
                AND EXISTS (SELECT FROM incident_project ip
                            WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
                          AND {self._of_link} AND ip.status <> 2)"""  # noqa: S608
        else:
            found = f"""SELECT DISTINCT ip.status, ip.incident_id FROM incident_project ip
              WHERE {self._of_link} AND ip.status = ANY(%(open)s)"""  # noqa: S608
        return f"SELECT status, count(*) AS count FROM ({found}) o GROUP BY status"  # noqa: S608

    def shows(self, *, any_severity: bool = False) -> str:
        """Builds the condition that incident i is of the scope, and open or resolved since `%(since)s`.

        `any_severity`: also what has, or had when it was resolved, another severity than that of the scope. OFFSET 0
        and `+ 0` make PostgreSQL look up the projects of each incident, where it would else read those of all.
        """
        looked_up = self._of_link.replace("ip.project_id =", "ip.project_id + 0 =")
        return " AND ".join(
            [
                "i.organization_id = %(organization_id)s",
                "(i.status <> 2 OR i.date_closed > %(since)s)",
                *([] if any_severity else self._of_severity),
                *self._of_incident,
                (
                    "EXISTS (SELECT FROM incident_project ip"
                    f" WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id AND {looked_up} OFFSET 0)"
                ),
            ]
        )


def count_open(connection: Connection, scope: Scope) -> OpenCounts:
    """Counts the open incidents of a scope by status."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        "SELECT status, count(*), count(*) FILTER (WHERE NOT seen), min(started),"  # noqa: S608
        " count(*) FILTER (WHERE seen AND owner_id IS NULL), silenced"
        f" FROM ({statement.select_open(with_silenced=True)}) shown GROUP BY status, silenced",
        statement.parameters,
    ).all()
    counted = [row for row in rows if not row[5]]
    return OpenCounts(
        {Status(row[0]): row[1] for row in counted},
        {Status(row[0]): row[2] for row in counted},
        min((row[3] for row in counted), default=None),
        unowned=sum(row[4] for row in counted),
        silenced=sum(row[1] for row in rows if row[5]),
    )


def get_open_page(connection: Connection, scope: Scope, workspace_id: str, *, skip: int, size: int) -> OpenPage:
    """Returns `size` open incidents after the first `skip`, the most severe first, then the newest."""
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        f"""SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started,
             coalesce((SELECT t.name FROM team t WHERE t.organization_id = i.organization_id AND t.id = i.team_id),
                      {only_team("i.organization_id", "i.id")}),
             {project_names("i.organization_id", "i.id")},
             ARRAY(SELECT m.name FROM incident_seen s
               JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id
                   WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
                   ORDER BY s.last_seen DESC, s.member_id LIMIT %(seen_named)s),
             (SELECT count(*) FROM incident_seen s WHERE s.organization_id = i.organization_id
               AND s.incident_id = i.id),
             latest.id, latest.type, latest.member_id, latest.name, latest.value, latest.previous_value,
             latest.comment, latest.date_added, latest.date_edited,
             (SELECT m.name FROM member m WHERE m.organization_id = i.organization_id AND m.id = i.owner_id)
           FROM ({statement.select_in_order()} LIMIT %(size)s OFFSET %(skip)s) o
           JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = o.id
           LEFT JOIN LATERAL (SELECT a.*, m.name FROM incident_activity a
             LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id
                              WHERE a.organization_id = i.organization_id AND a.incident_id = i.id AND {NEWS}
                              ORDER BY a.date_added DESC, a.id DESC LIMIT 1) latest ON true
           ORDER BY {_ORDER}""",  # noqa: S608
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
            projects=row[7],
            seen_by=row[8],
            seen_count=row[9],
            latest=None if row[10] is None else parse_entry(row[10:19]),
            owner=row[19],
        )
        for row in rows
    ]
    comments = [line.latest.id for line in lines if line.latest and line.latest.comment is not None]
    return OpenPage(lines, get_mentions(connection, comments, workspace_id) if comments else Mentions())


def get_news(connection: Connection, scope: Scope, since: datetime, *, named: int) -> News:
    """Returns what happened since a moment, with the names of the latest `named` opened and resolved incidents."""
    statement = _Statement(scope)
    row = connection.exec_driver_sql(
        f"""WITH opened AS (
             SELECT i.id, i.identifier, i.title, i.date_added FROM incident_activity a
             JOIN incident i ON i.organization_id = a.organization_id AND i.id = a.incident_id
             WHERE a.organization_id = %(organization_id)s AND a.type = 1 AND a.date_added > %(since)s
               AND {statement.shows()}),
           resolved AS (
             SELECT i.id, i.identifier, i.title, i.date_started, i.date_closed FROM incident i
             WHERE i.status = 2 AND i.date_closed > %(since)s AND {statement.shows()}),
           acknowledged AS (
             SELECT f.first_seen - i.date_started AS after
             FROM (SELECT s.incident_id, min(s.first_seen) AS first_seen FROM incident_seen s
                   WHERE s.organization_id = %(organization_id)s AND s.first_seen > %(since)s
                   GROUP BY s.incident_id) f
             JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = f.incident_id
             WHERE NOT EXISTS (SELECT FROM incident_seen s
                               WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
                                 AND s.first_seen <= %(since)s OFFSET 0)
               AND {statement.shows()})
           SELECT (SELECT count(*) FROM opened), (SELECT count(*) FROM resolved),
             (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(epoch FROM after)) FROM acknowledged),
             (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(epoch FROM date_closed - date_started))
              FROM resolved),
             ARRAY(SELECT identifier FROM opened ORDER BY date_added DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT title FROM opened ORDER BY date_added DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT identifier FROM resolved ORDER BY date_closed DESC, id DESC LIMIT %(named)s),
             ARRAY(SELECT title FROM resolved ORDER BY date_closed DESC, id DESC LIMIT %(named)s)""",  # noqa: S608
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


def count_by_day(
    connection: Connection, scope: Scope, days: Sequence[date], moments: Sequence[datetime]
) -> DailyCounts:
    """Counts what was opened on each of these days, and what was open at its end, as the log has it.

    One statement finds how many incidents of a severity were opened within each period, and how many more had it
    afterwards than before; and how many have it now, without a period. Where the log has the opening without a
    severity, it is the present one.

    `moments` are when the days begin, and the present (one more than `days`). With a severity in the scope, what had
    that severity then counts, whatever it has now.
    """
    statement = _Statement(scope)
    rows = connection.exec_driver_sql(
        f"""SELECT status AS severity, NULL::int AS period, 0 AS opened, count::int AS delta
           FROM ({statement.count_severities()}) o
           UNION ALL
           SELECT change.severity, width_bucket(a.date_added, %(moments)s::timestamptz[]),
                  count(*) FILTER (WHERE a.type = 1)::int, sum(change.delta)::int
           FROM incident_activity a
           JOIN incident i ON i.organization_id = a.organization_id AND i.id = a.incident_id
           CROSS JOIN LATERAL (VALUES (coalesce(a.value, {_SEVERITY}), 1), (a.previous_value, -1))
                              change(severity, delta)
           WHERE a.organization_id = %(organization_id)s AND a.type IN (1, 2) AND a.date_added > %(since)s
             AND change.severity <> 2 AND {statement.shows(any_severity=True)}
           GROUP BY 1, 2""",  # noqa: S608
        {**statement.parameters, "since": moments[0], "moments": list(moments)},
    )
    severities = [one for one in Status if one is not Status.CLOSED and scope.status in (None, one)]
    opened: dict[Status, list[int]] = {severity: [0] * len(days) for severity in severities}
    at_end = [0] * len(days)
    for value, period, count, delta in rows:
        severity = Status(value)
        if severity not in opened:
            continue
        if period is None:
            at_end = [total + delta for total in at_end]
            continue
        # Periods count from 1, which is the first day; the last one lies after the present. What is open now, without
        # what came after a day, was open at its end.
        if period <= len(days):
            opened[severity][period - 1] += count
        at_end = [total - delta if number < period else total for number, total in enumerate(at_end, 1)]
    return DailyCounts(tuple(days), opened, at_end)
