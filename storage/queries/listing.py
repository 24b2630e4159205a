"""The list of incidents: filters, pages, and the statement that finds one in the same time in any table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection

from storage.prepared import Prepared
from storage.queries.access import Ahead, with_caller
from storage.rows import Cursor, IncidentLine, IncidentPage
from storage.values import Status

# How many of the newest incidents a filter is held against before anything else is tried.
NEAR = 2000
NEAR_IN_BRANCH = 20  # the least that is taken from each of many projects
# So many projects, or fewer, are merged one incident at a time: the statements for each number of them.
MERGED = (4, 8, 16, 32, 64)
# Filters of no more than so many words, and nothing else but status and team, are asked for all the time.
COMMON_WORDS = 2


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
    rows = _rows(connection, _Page(wanted, cursor), {"member_id": member_id, "size": size + 1})
    return _page_of(rows, cursor, size)


def newest_ahead(*, open: bool = False, status: Status | None = None, size: int) -> Ahead:
    """The first page of the incidents of a status that a caller sees, before it is known who that is; the answer
    is `page_ahead`'s.
    """
    each, of_all = (_newest_with_caller(open, status is not None, of_all=of_all) for of_all in (False, True))
    return Ahead(each, {"status": status, "size": size + 1}, of_all=of_all)


def page_ahead(asked: Ahead, *, size: int) -> IncidentPage:
    """The answer to `newest_ahead`, of the same size."""
    return _page_of(asked.rows, None, size)


@cache
def _newest_with_caller(open: bool, status: bool, *, of_all: bool) -> Prepared:
    """For who sees all projects, or for who does not."""
    wanted = ListFilter(
        project_ids=(), organization_id=0 if of_all else None, open=open, status=Status.OPEN if status else None
    )
    page = _Page(wanted, None)
    whose = "caller.sees_all" if of_all else "NOT caller.sees_all"
    return with_caller(page.drawn(f"SELECT * FROM ({page.newest()}) newest WHERE {whose}"), _PAGE_TYPES, of_all=of_all)


def _page_of(rows: Sequence[Sequence[Any]], cursor: Cursor | None, size: int) -> IncidentPage:
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


_NO_OTHERS = (None,) * 10  # of the columns of `_Page.drawn`


def _rows(connection: Connection, page: _Page, more: dict[str, Any]) -> Sequence[Sequence[Any]]:
    """The rows of a page, found the way that is short for its filter.

    A filter that needs the incident's own row is first held against the newest incidents, which is enough where
    many pass, or where there are no others. Else the planner looks for those that pass among all, and knows from its
    statistics whether the trigrams of titles, the caller's projects or subscriptions are the shorter way.
    """
    parameters = page.parameters | more
    if not page.of_incident:
        return _run(connection, page, page.drawn(page.newest()), parameters)
    if page.wanted.followed_by is None:
        near = _run(connection, page, page.near(), parameters)
        if near and near[-1] == _NO_OTHERS:
            return near[:-1]
        if len(near) == more["size"]:
            return near
    return connection.exec_driver_sql(page.picked(), parameters).all()


def _run(connection: Connection, page: _Page, sql: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
    # There are so many shapes of filters that the plans of all of them would fill a connection's memory.
    if page.common:
        return _prepared(sql).rows(connection, parameters)
    return connection.exec_driver_sql(sql, parameters).all()


_PAGE_TYPES = {
    "organization_id": "bigint",
    "project_ids": "bigint[]",
    "team_ids": "bigint[]",
    "status": "smallint",
    "until": "timestamptz",
    "started": "timestamptz",
    "incident_id": "bigint",
    "member_id": "bigint",
    "size": "int",
    "depth": "int",
    **{f"word{number}": "text" for number in range(COMMON_WORDS)},
}


@cache
def _prepared(sql: str) -> Prepared:
    return Prepared(sql, _PAGE_TYPES)


class _Page:
    """The statements for one filter and place. Every piece is a constant; values travel as parameters."""

    def __init__(self, wanted: ListFilter, cursor: Cursor | None) -> None:
        self.wanted = wanted
        self.parameters: dict[str, Any] = {
            "organization_id": wanted.organization_id,
            "project_ids": list(wanted.project_ids),
        }
        self.whole = wanted.organization_id is not None
        back = cursor is not None and cursor.before
        self.direction, self.compare = ("ASC", ">") if back else ("DESC", "<")
        if cursor is not None:
            self.parameters |= {"started": cursor.started, "incident_id": cursor.incident_id}
        self.turned = cursor is not None
        if wanted.status is not None:
            self.parameters["status"] = wanted.status
        if wanted.until is not None:
            self.parameters["until"] = wanted.until
        if wanted.team_ids is not None:
            self.parameters["team_ids"] = list(wanted.team_ids)
        # Conditions that need the incident's own row; of those of open incidents, projects know the title.
        self.parameters |= {f"word{number}": like(word) for number, word in enumerate(wanted.words)}
        self.of_title = self._of_title("i")
        self.of_others = self._of_others()
        self.of_incident = self.of_title + self.of_others
        self.common = not (
            len(wanted.words) > COMMON_WORDS
            or wanted.environment is not None
            or wanted.since is not None
            or wanted.unseen_by is not None
            or wanted.followed_by is not None
        )
        branches = 1 if self.whole else len(wanted.project_ids)
        # How many projects are merged; None where it is done otherwise.
        self.merged = None
        if wanted.team_ids is not None:
            branches *= len(wanted.team_ids)
        elif not self.whole:
            self.merged = next((number for number in MERGED if branches <= number), None)
        self.parameters["depth"] = NEAR if self.merged else max(NEAR // max(branches, 1), NEAR_IN_BRANCH)

    def _carried(self, started: str, id_: str, status: str) -> list[str]:
        """The conditions on what a project's row carries of its incident, over the given columns."""
        conditions = []
        if self.wanted.open:
            conditions.append(f"{status} <> 2")
        elif self.wanted.status is not None:
            conditions.append(f"{status} = %(status)s")
        if self.turned:
            conditions.append(f"({started}, {id_}) {self.compare} (%(started)s, %(incident_id)s)")
        if self.wanted.until is not None:
            conditions.append(f"{started} <= %(until)s")
        return conditions

    def _of_title(self, row: str) -> list[str]:
        return [f"{row}.title ILIKE %(word{number})s" for number in range(len(self.wanted.words))]

    def _of_others(self) -> list[str]:
        wanted = self.wanted
        conditions = []
        if wanted.environment is not None:
            conditions.append("lower(i.environment) = lower(%(environment)s)")
            self.parameters["environment"] = wanted.environment
        if wanted.since is not None:
            conditions.append("(i.date_closed IS NULL OR i.date_closed >= %(since)s)")
            self.parameters["since"] = wanted.since
        if wanted.unseen_by is not None:
            conditions.append(
                "NOT EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id AND s.member_id = %(unseen_by)s)"
            )
            self.parameters["unseen_by"] = wanted.unseen_by
        if wanted.followed_by is not None:
            conditions.append(
                "EXISTS (SELECT FROM incident_subscription s"
                " WHERE s.incident_id = i.id AND s.member_id = %(followed_by)s)"
            )
            self.parameters["followed_by"] = wanted.followed_by
        return conditions

    def _branch(
        self, conditions: list[str], limit: str, *, join: bool = False, project: str = "p.id", more: str = ""
    ) -> tuple[str, str]:
        """The newest of one `project` (of one project and team), and what those branches are taken over.

        `more` are further columns of theirs.
        """
        if self.whole:
            started, id_ = "i.date_started", "i.id"
            source, branches = "incident i", ""
            conditions = [
                "i.organization_id = %(organization_id)s",
                "EXISTS (SELECT FROM incident_project ip WHERE ip.incident_id = i.id OFFSET 0)",
                *self._carried(started, id_, "i.status"),
                *conditions,
            ]
        else:
            started, id_ = "ip.started", "ip.incident_id"
            source = "incident_project ip" + (" JOIN incident i ON i.id = ip.incident_id" if join else "")
            branches = "unnest(%(project_ids)s::bigint[]) AS p(id)"
            conditions = [f"ip.project_id = {project}", *self._carried(started, id_, "ip.status"), *conditions]
        if self.wanted.team_ids is not None:
            branches += (" CROSS JOIN " if branches else "") + "unnest(%(team_ids)s::bigint[]) AS t(id)"
            conditions.append(("coalesce(i.team_id, 0)" if self.whole else "ip.team_id") + " = t.id")
        branch = (
            f"SELECT {started} AS started, {id_} AS incident_id{more} FROM {source} WHERE {' AND '.join(conditions)}"
            f" ORDER BY {started} {self.direction}, {id_} {self.direction} LIMIT {limit}"
        )
        return branch, branches

    def newest(self) -> str:
        """The newest that pass from each branch, merged; to be drawn."""
        branch, branches = self._branch(self.of_incident, "%(size)s", join=bool(self.of_incident))
        if not branches:
            return branch
        return (
            f"SELECT DISTINCT newest.started, newest.incident_id FROM {branches} CROSS JOIN LATERAL ({branch}) newest"
            f" ORDER BY started {self.direction}, incident_id {self.direction} LIMIT %(size)s"
        )

    def near(self) -> str:
        """Those that pass among the newest many; behind fewer than a page a row of nothing, if there are no others."""
        if self.merged:
            passing, no_others = self._near_merged(self.merged)
        elif self.whole and self.wanted.team_ids is None:
            passing, no_others = self._near_of_all()
        else:
            passing, no_others = self._near_edges()
        nothing = ", ".join(["NULL"] * len(_NO_OTHERS))
        return (
            f"WITH {passing} SELECT * FROM ({self.drawn('SELECT * FROM passing')}) page"
            # Looking for others is the dear part, so it comes second, which AND does not promise.
            f" UNION ALL SELECT {nothing}"
            f" WHERE CASE WHEN (SELECT count(*) FROM passing) < %(size)s THEN {no_others} ELSE false END"
        )

    def _near_of_all(self) -> tuple[str, str]:
        """For who sees all projects: the row that says what is newest is the one that passes or not."""
        conditions = ["i.organization_id = %(organization_id)s", *self._carried("i.date_started", "i.id", "i.status")]
        order = f"ORDER BY i.date_started {self.direction}, i.id {self.direction}"
        newest = f"FROM incident i WHERE {' AND '.join(conditions)} {order} LIMIT %(depth)s"
        of_some_project = "EXISTS (SELECT FROM incident_project ip WHERE ip.incident_id = i.id OFFSET 0)"
        passing = f"""passing AS MATERIALIZED (
    SELECT i.date_started AS started, i.id AS incident_id
    FROM (SELECT i.id, i.date_started, i.date_closed, i.title, i.environment {newest}) i
    WHERE {" AND ".join([*self.of_incident, of_some_project])} {order} LIMIT %(size)s)"""
        return passing, f"NOT EXISTS (SELECT {newest} OFFSET %(depth)s)"

    def _near_merged(self, count: int) -> tuple[str, str]:
        """The newest of several projects, one after the other until a page is full.

        What each project gives is in order and of limited size, which has the planner merge instead of sort.
        """
        titled = self.wanted.open
        columns = ", ip.title" if titled else ""
        projects = (f"(%(project_ids)s::bigint[])[{number}]" for number in range(1, count + 1))
        each = (self._branch([], "%(depth)s", project=project, more=columns)[0] for project in projects)
        newest = f"SELECT * FROM ({' UNION ALL '.join(f'({one})' for one in each)}) n {self._order} LIMIT %(depth)s"
        conditions = self._of_title("n") if titled else []
        others = self.of_others if titled else self.of_incident
        if others:
            conditions.append(f"EXISTS {self._passes(others)}")
        passing = f"""passing AS MATERIALIZED (
    SELECT DISTINCT n.started, n.incident_id FROM ({newest}) n
    WHERE {" AND ".join(conditions)} {self._order} LIMIT %(size)s)"""
        more, branches = self._branch([], "%(depth)s + 1")
        return passing, f"NOT EXISTS (SELECT FROM {branches} CROSS JOIN LATERAL ({more}) n OFFSET %(depth)s)"

    def _near_edges(self) -> tuple[str, str]:
        """The newest of many projects, or of projects and teams.

        A branch that was cut off has an edge; only what lies on this side of every edge is in the right order.
        """
        branch, branches = self._branch([], "%(depth)s")
        newer, edge, outermost, beyond = (
            (">", "min", "max", "-infinity") if self.direction == "DESC" else ("<", "max", "min", "infinity")
        )
        passing = f"""near AS MATERIALIZED (
    SELECT b.* FROM {branches} CROSS JOIN LATERAL (
        SELECT x.*, CASE WHEN count(*) OVER () = %(depth)s THEN {edge}(x.started) OVER () END AS edge
        FROM ({branch}) x) b),
passing AS MATERIALIZED (
    SELECT n.* FROM (
        SELECT DISTINCT n.started, n.incident_id FROM near n
        WHERE n.started {newer} coalesce((SELECT {outermost}(edge) FROM near), '{beyond}') {self._order} OFFSET 0) n
    WHERE EXISTS {self._passes(self.of_incident)} {self._order} LIMIT %(size)s)"""
        return passing, "NOT EXISTS (SELECT FROM near WHERE edge IS NOT NULL)"

    @property
    def _order(self) -> str:
        return f"ORDER BY n.started {self.direction}, n.incident_id {self.direction}"

    def _passes(self, conditions: list[str]) -> str:
        return f"(SELECT FROM incident i WHERE i.id = n.incident_id AND {' AND '.join(conditions)} OFFSET 0)"

    def picked(self) -> str:
        """Those that pass among all, found as the planner thinks best for these very values."""
        conditions = list(self.of_incident)
        if self.wanted.followed_by is not None:
            source = "incident_subscription f JOIN incident i ON i.id = f.incident_id"
            conditions.append("f.member_id = %(followed_by)s")
        else:
            source = "incident i"
        if self.whole:
            started, id_, team = "i.date_started", "i.id", "coalesce(i.team_id, 0)"
            conditions += ["i.organization_id = %(organization_id)s", *self._carried(started, id_, "i.status")]
            conditions.append("EXISTS (SELECT FROM incident_project ip WHERE ip.incident_id = i.id)")
        else:
            started, id_, team = "ip.started", "ip.incident_id", "ip.team_id"
            source += " JOIN incident_project ip ON ip.incident_id = i.id"
            conditions += ["ip.project_id = ANY(%(project_ids)s)", *self._carried(started, id_, "ip.status")]
            if self.wanted.open:
                conditions.append("i.status <> 2")  # said again, for the index of open titles
        if self.wanted.team_ids is not None:
            conditions.append(f"{team} = ANY(%(team_ids)s)")
        return self.drawn(
            f"SELECT DISTINCT {started} AS started, {id_} AS incident_id FROM {source} WHERE {' AND '.join(conditions)}"
            f" ORDER BY started {self.direction}, incident_id {self.direction} LIMIT %(size)s"
        )

    def drawn(self, page: str) -> str:
        """What a list shows of the incidents on a page."""
        return f"""
SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, team.slug,
       seen.times, seen.by_caller
FROM ({page}) page
JOIN incident i ON i.id = page.incident_id
LEFT JOIN team ON team.id = i.team_id
CROSS JOIN LATERAL (SELECT count(*) AS times, coalesce(bool_or(s.member_id = %(member_id)s), false) AS by_caller
                    FROM incident_seen s WHERE s.incident_id = i.id) seen
ORDER BY page.started {self.direction}, page.incident_id {self.direction}
"""


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
    begun = int(digits or 0)  # no number begins with 0
    ranges = [(begun * 10**more, (begun + 1) * 10**more) for more in range(19 - len(digits))] if begun else []
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
