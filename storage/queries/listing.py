"""The list of incidents: filters, pages, and the statement that finds one in the same time in any table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection

from storage.prepared import Prepared
from storage.rows import Cursor, IncidentLine, IncidentPage
from storage.values import Status


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which incidents a list holds. The defaults leave nothing out."""

    project_ids: Sequence[int]  # never more than the caller sees
    # Set where those are all the projects of this organization: its newest incidents are then found without
    # going through the projects one by one.
    organization_id: int | None = None
    status: Status | None = None  # None: every status
    open: bool = False  # every status but CLOSED; `status` is then None
    words: tuple[str, ...] = ()  # each a case-insensitive part of the title
    team_ids: tuple[int, ...] | None = None  # NO_TEAM stands for "no team owns it"
    environment: str | None = None
    since: datetime | None = None  # leaves out what closed before
    until: datetime | None = None  # leaves out what started after
    unseen_by: int | None = None  # a member's id: only what they have not acknowledged
    followed_by: int | None = None  # a member's id: only what they follow

    @property
    def common(self) -> bool:
        """Of a shape that is asked for all the time, so that its plan is worth keeping."""
        return not (
            self.words
            or self.environment
            or self.since
            or self.until
            or self.unseen_by is not None
            or self.followed_by is not None
        )


def like(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def incident_page(
    connection: Connection, wanted: ListFilter, member_id: int, *, cursor: Cursor | None, size: int
) -> IncidentPage:
    """A page of the incidents that pass the filter, newest start first.

    Takes the newest from each project, one short index scan each, and merges; for who sees all projects, the
    newest of the organization. The work does not grow with the number of incidents. `member_id` is the
    caller's, for `seen_by_caller`.
    """
    sql, parameters = _page_sql(wanted, cursor)
    parameters |= {"member_id": member_id, "size": size + 1}
    rows: Iterable[Sequence[Any]]
    if wanted.common:
        rows = _prepared_page(sql).rows(connection, parameters)
    else:  # so many shapes that keeping their plans would cost more than making them
        rows = connection.exec_driver_sql(sql, parameters)
    lines = [_line(row) for row in rows]
    more = len(lines) > size
    lines = lines[:size]
    if cursor is not None and cursor.before:
        lines.reverse()
    if not lines:
        return IncidentPage([], None, None)
    first, last = lines[0], lines[-1]
    going_back = cursor is not None and cursor.before
    has_older = going_back or more
    has_newer = more if going_back else cursor is not None
    return IncidentPage(
        lines,
        older=Cursor(last.date_started, last.id) if has_older else None,
        newer=Cursor(first.date_started, first.id, before=True) if has_newer else None,
    )


_PAGE_TYPES = {
    "organization_id": "bigint",
    "project_ids": "bigint[]",
    "team_ids": "bigint[]",
    "status": "smallint",
    "started": "timestamptz",
    "incident_id": "bigint",
    "member_id": "bigint",
    "size": "int",
}


@cache
def _prepared_page(sql: str) -> Prepared:
    return Prepared(sql, _PAGE_TYPES)


def _page_sql(wanted: ListFilter, cursor: Cursor | None) -> tuple[str, dict[str, Any]]:
    whole = wanted.organization_id is not None
    # Where start, status and team are read: the incident itself, or what its project carries of them.
    started, id_, status, team = (
        ("i.date_started", "i.id", "i.status", "coalesce(i.team_id, 0)")
        if whole
        else ("ip.started", "ip.incident_id", "ip.status", "ip.team_id")
    )
    parameters: dict[str, Any] = {
        "organization_id": wanted.organization_id,
        "project_ids": list(wanted.project_ids),
    }
    conditions: list[str] = []
    of_incident: list[str] = []  # conditions that need the incident's own row
    if wanted.team_ids is not None:
        conditions.append(f"{team} = t.id")
        parameters["team_ids"] = list(wanted.team_ids)
    if wanted.open:
        conditions.append(f"{status} <> 2")
    elif wanted.status is not None:
        conditions.append(f"{status} = %(status)s")
        parameters["status"] = wanted.status
    direction, compare = ("ASC", ">") if cursor is not None and cursor.before else ("DESC", "<")
    if cursor is not None:
        conditions.append(f"({started}, {id_}) {compare} (%(started)s, %(incident_id)s)")
        parameters |= {"started": cursor.started, "incident_id": cursor.incident_id}
    if wanted.until is not None:
        conditions.append(f"{started} <= %(until)s")
        parameters["until"] = wanted.until
    for number, word in enumerate(wanted.words):
        of_incident.append(f"i.title ILIKE %(word{number})s")
        parameters[f"word{number}"] = like(word)
    if wanted.environment is not None:
        of_incident.append("lower(i.environment) = lower(%(environment)s)")
        parameters["environment"] = wanted.environment
    if wanted.since is not None:
        of_incident.append("(i.date_closed IS NULL OR i.date_closed >= %(since)s)")
        parameters["since"] = wanted.since
    if wanted.unseen_by is not None:
        of_incident.append(
            "NOT EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id AND s.member_id = %(unseen_by)s)"
        )
        parameters["unseen_by"] = wanted.unseen_by
    if wanted.followed_by is not None:
        of_incident.append(
            "EXISTS (SELECT FROM incident_subscription s WHERE s.incident_id = i.id AND s.member_id = %(followed_by)s)"
        )
        parameters["followed_by"] = wanted.followed_by
    newest = f"ORDER BY {started} {direction}, {id_} {direction} LIMIT %(size)s"
    if whole:
        conditions += [
            "i.organization_id = %(organization_id)s",
            "EXISTS (SELECT FROM incident_project ip WHERE ip.incident_id = i.id OFFSET 0)",
        ]
        source = "incident i"
        branches = ""
    else:
        conditions.append("ip.project_id = p.id")
        source = "incident_project ip" + (" JOIN incident i ON i.id = ip.incident_id" if of_incident else "")
        branches = "unnest(%(project_ids)s::bigint[]) AS p(id)"
    if wanted.team_ids is not None:
        branches += (" CROSS JOIN " if branches else "") + "unnest(%(team_ids)s::bigint[]) AS t(id)"
    one_branch = (
        f"SELECT {started} AS started, {id_} AS incident_id FROM {source}"
        f" WHERE {' AND '.join(conditions + of_incident)} {newest}"
    )
    page = one_branch
    if branches:
        page = (
            f"SELECT DISTINCT newest.started, newest.incident_id FROM {branches} CROSS JOIN LATERAL ({one_branch})"
            f" newest ORDER BY started {direction}, incident_id {direction} LIMIT %(size)s"
        )
    # Every piece is a constant of this function; values travel as parameters.
    sql = f"""
SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, team.slug,
       (SELECT count(*) FROM incident_seen s WHERE s.incident_id = i.id),
       EXISTS (SELECT FROM incident_seen s
               WHERE s.incident_id = i.id AND s.member_id = %(member_id)s OFFSET 0)
FROM ({page}) page
JOIN incident i ON i.id = page.incident_id
LEFT JOIN team ON team.id = i.team_id
ORDER BY page.started {direction}, page.incident_id {direction}
"""
    return sql, parameters


def _line(row: Sequence[Any]) -> IncidentLine:
    id_, identifier, title, status, environment, started, closed, team, seen_count, seen = row
    return IncidentLine(id_, identifier, title, Status(status), environment, started, closed, team, seen_count, seen)


_LIKE_COLUMNS = "i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, NULL, 0, false"


def incidents_like(
    connection: Connection, organization_id: int, project_ids: Sequence[int], typed: str, *, limit: int
) -> list[IncidentLine]:
    """Incidents of these projects that somebody may mean by what they typed so far into a menu.

    Those whose number begins with it come first, the shortest first; then those whose title holds it, the newest
    first. A whole option, `#12 Checkout is down`, means that incident.
    """
    number, _, title = typed.strip().removeprefix("#").partition(" ")
    digits = number if number.isascii() and number.isdigit() and len(number) < 19 else ""
    parameters = {
        "organization_id": organization_id,
        "project_ids": list(project_ids),
        "limit": limit,
        "rest": like(title.strip()) if digits else "%",
    }
    # 12 begins 12, 120 to 129, 1200 to 1299 and so on: ranges of the index.
    ranges = (
        [(int(digits) * 10**more, (int(digits) + 1) * 10**more) for more in range(19 - len(digits))] if digits else []
    )
    parameters |= {"from": [low for low, _ in ranges], "to": [min(high, 2**63 - 1) for _, high in ranges]}
    by_number = f"""
SELECT {_LIKE_COLUMNS} FROM unnest(%(from)s::bigint[], %(to)s::bigint[]) AS r(low, high)
CROSS JOIN LATERAL (SELECT i.* FROM incident i
    WHERE i.organization_id = %(organization_id)s AND i.identifier >= r.low AND i.identifier < r.high
      AND i.title ILIKE %(rest)s
      AND EXISTS (SELECT FROM incident_project ip
                  WHERE ip.incident_id = i.id AND ip.project_id = ANY(%(project_ids)s) OFFSET 0)
    ORDER BY i.identifier LIMIT %(limit)s) i
ORDER BY i.identifier LIMIT %(limit)s
"""
    found = [_line(row) for row in connection.exec_driver_sql(by_number, parameters)] if ranges else []
    if len(found) < limit:
        by_title = ListFilter(project_ids=project_ids, words=(typed.strip(),))
        known = {line.id for line in found}
        page = incident_page(connection, by_title, 0, cursor=None, size=limit)
        found += [line for line in page.lines if line.id not in known]
    return found[:limit]
