"""Find the incidents that a menu suggests for the text that a person has typed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from storage.queries.list_filter import ListFilter, build_like_pattern
from storage.queries.listing import get_incident_page, parse_lines
from storage.queries.visibility import of_given_projects
from storage.rows import IncidentLine

_LIKE_COLUMNS = (
    "i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, NULL, 0, false, NULL, false,"
    " NULL"
)


def list_incidents_like(
    connection: Connection, organization_id: int, project_ids: Sequence[int], typed: str, *, limit: int
) -> list[IncidentLine]:
    """Returns at most `limit` incidents of these projects that match the text typed into a menu.

    Incidents whose number starts with the text come first, lowest number first; then incidents whose title contains
    it, newest first. The text of a complete option, such as `#12 Checkout is down`, matches that incident.
    """
    number, _, title = typed.strip().removeprefix("#").partition(" ")
    digits = number if number.isascii() and number.isdigit() and len(number) < 19 else ""
    parameters = {
        "organization_id": organization_id,
        "project_ids": list(project_ids),
        "limit": limit,
        "rest": build_like_pattern(title.strip()) if digits else "%",
    }
    # 12 is a prefix of 12, 120 to 129, 1200 to 1299 and so on. Each is a range of the index.
    begun = int(digits or 0)  # no number starts with 0
    ranges = [(begun * 10**more, (begun + 1) * 10**more) for more in range(19 - len(digits))] if begun else []
    parameters |= {"from": [low for low, _ in ranges], "to": [min(high, 2**63 - 1) for _, high in ranges]}
    by_number = f"""
SELECT {_LIKE_COLUMNS} FROM unnest(%(from)s::bigint[], %(to)s::bigint[]) AS r(low, high)
CROSS JOIN LATERAL (SELECT i.* FROM incident i
    WHERE i.organization_id = %(organization_id)s AND i.identifier >= r.low AND i.identifier < r.high
      AND i.title ILIKE %(rest)s
      AND {of_given_projects("i.organization_id", "i.id")}
    ORDER BY i.identifier LIMIT %(limit)s) i
ORDER BY i.identifier LIMIT %(limit)s
"""  # noqa: S608 - composed of constants
    rows = connection.exec_driver_sql(by_number, parameters).all() if ranges else []
    found = parse_lines(connection, organization_id, rows)
    if len(found) < limit:
        by_title = ListFilter(organization_id, project_ids=project_ids, words=(typed.strip(),))
        known = {line.id for line in found}
        page = get_incident_page(connection, by_title, 0, cursor=None, size=limit)
        found += [line for line in page.lines if line.id not in known]
    return found[:limit]
