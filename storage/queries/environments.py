"""The environments that incidents name, for a menu."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from storage.queries.list_filter import build_like_pattern

# How many of the newest incidents are looked through, however many there are: in all, and at least in each project.
NEAR = 1000
NEAR_IN_PROJECT = 20

_LIST = """
SELECT DISTINCT ON (lower(i.environment)) i.environment
FROM unnest(%(project_ids)s::bigint[]) AS p(id)
CROSS JOIN LATERAL (SELECT incident_id FROM incident_project WHERE project_id = p.id
                    ORDER BY started DESC, incident_id DESC LIMIT %(near)s) ip
JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = ip.incident_id
WHERE i.environment <> '' AND i.environment ILIKE %(pattern)s
ORDER BY lower(i.environment), i.id DESC LIMIT %(limit)s
"""


def list_environments(
    connection: Connection, organization_id: int, project_ids: Sequence[int], part: str, *, limit: int
) -> list[str]:
    """Returns the environments of the newest incidents of these projects that contain `part`, ordered by name."""
    parameters = {
        "organization_id": organization_id,
        "project_ids": list(project_ids),
        "near": max(NEAR_IN_PROJECT, NEAR // max(1, len(project_ids))),
        "pattern": build_like_pattern(part),
        "limit": limit,
    }
    return list(connection.exec_driver_sql(_LIST, parameters).scalars())
