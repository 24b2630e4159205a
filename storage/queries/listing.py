"""Read pages of the list of incidents, with the strategy that is fastest for the filter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection

from storage.prefetch import Prefetch
from storage.prepared import PreparedStatement
from storage.queries import silences
from storage.queries.access import build_with_caller
from storage.queries.list_filter import ListFilter
from storage.queries.list_statements import COMMON_WORDS, NO_OTHERS, ListStatements
from storage.rows import Cursor, IncidentLine, IncidentPage
from storage.values import Status


def get_incident_page(
    connection: Connection, list_filter: ListFilter, member_id: int, *, cursor: Cursor | None, size: int
) -> IncidentPage:
    """Returns a page of the incidents that match the filter, newest start first.

    Reads the newest incidents of each project in one short index scan each and merges them. For callers who see all
    projects, it reads the newest incidents of the organization. The cost does not grow with the number of incidents.
    `member_id` is the id of the caller, for `seen_by_caller`. `size` is the maximum number of incidents.
    """
    rows = _find_rows(connection, ListStatements(list_filter, cursor), {"member_id": member_id, "size": size + 1})
    return _build_page(connection, list_filter.organization_id, rows, cursor, size)


def prefetch_newest(*, open: bool = False, status: Status | None = None, size: int) -> Prefetch:
    """Returns the query for the first page of the incidents with this status.

    It is for a caller who has not been identified yet; see `get_prefetched_page`.
    """
    each, of_all = (_newest_with_caller(open, status is not None, size + 1, of_all=of_all) for of_all in (False, True))
    return Prefetch(each, {"status": status}, of_all=of_all)


def get_prefetched_page(
    connection: Connection, organization_id: int, prefetched: Prefetch, *, size: int
) -> IncidentPage:
    """Returns the page that `prefetch_newest` read. `size` must be the same."""
    return _build_page(connection, organization_id, prefetched.rows, None, size)


@cache
def _newest_with_caller(open: bool, status: bool, size: int, *, of_all: bool) -> PreparedStatement:
    """Returns the statement for callers who see all projects (`of_all`), or for those who do not."""
    list_filter = ListFilter(
        0, project_ids=(), of_all_projects=of_all, open=open, status=Status.OPEN if status else None
    )
    page = ListStatements(list_filter, None)
    whose = "caller.sees_all" if of_all else "NOT caller.sees_all"
    return build_with_caller(page.of_newest(size, whose), _PAGE_TYPES, of_all=of_all)


def _build_page(
    connection: Connection, organization_id: int, rows: Sequence[Sequence[Any]], cursor: Cursor | None, size: int
) -> IncidentPage:
    more = len(rows) > size
    lines = parse_lines(connection, organization_id, rows[:size])
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


def _find_rows(connection: Connection, page: ListStatements, more: dict[str, Any]) -> Sequence[Sequence[Any]]:
    """Returns the rows of a page, found with the strategy that is fastest for the filter."""
    parameters = page.parameters | more
    if not page.of_incident:
        return _find_newest(connection, page, parameters)
    return _find_among_newest(connection, page, parameters) or _find_as_planner_chooses(connection, page, parameters)


def _find_newest(connection: Connection, page: ListStatements, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
    """Merges the newest incidents of each project, for a filter without conditions on the row of the incident."""
    return _run(connection, page, page.of_newest(parameters["size"]), parameters)


def _find_among_newest(
    connection: Connection, page: ListStatements, parameters: dict[str, Any]
) -> Sequence[Sequence[Any]] | None:
    """Tests only the newest incidents. Returns None if they do not fill the page and there are others."""
    list_filter = page.list_filter
    if list_filter.followed_by is not None or list_filter.owned_by is not None or list_filter.storm is not None:
        return None
    near = _run(connection, page, page.among_newest(), parameters)
    if near and near[-1] == NO_OTHERS:
        return near[:-1]
    return near if len(near) == parameters["size"] else None


def _find_as_planner_chooses(
    connection: Connection, page: ListStatements, parameters: dict[str, Any]
) -> Sequence[Sequence[Any]]:
    """Tests all incidents. The planner uses its statistics to choose between the trigrams of titles, the projects,
    the subscriptions, the owners and the storm.
    """
    return connection.exec_driver_sql(page.as_planner_chooses(), parameters).all()


def _run(connection: Connection, page: ListStatements, sql: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
    # Only common filters are prepared: the plans for all combinations of filters would fill a connection's memory.
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
def _prepared(sql: str) -> PreparedStatement:
    return PreparedStatement(sql, _PAGE_TYPES)


_STATUSES = {one.value: one for one in Status}  # `Status(…)` takes several times as long


def parse_lines(connection: Connection, organization_id: int, rows: Sequence[Sequence[Any]]) -> list[IncidentLine]:
    """Builds lines from rows with the columns of a list. Another statement finds until when a silence holds some."""
    held = [row[0] for row in rows if row[-1] is not None]
    ends = silences.find_ends(connection, organization_id, held) if held else {}
    return [
        IncidentLine._make((id_, identifier, title, _STATUSES[status], *rest, ends.get(id_)))
        for id_, identifier, title, status, *rest, _silence_id in rows
    ]
