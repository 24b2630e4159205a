"""What members follow before it exists: new incidents of a team, a project or a severity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection

from storage.member_rows import FollowedFilter
from storage.prepared import PreparedStatement
from storage.queries.visibility import sees_incident
from storage.values import Status


def list_filters(connection: Connection, organization_id: int, member_id: int) -> list[FollowedFilter]:
    """Returns what a member follows, the first one first."""
    rows = connection.exec_driver_sql(
        "SELECT f.id, t.slug, p.slug, f.severity FROM followed_filter f"
        " LEFT JOIN team t ON t.organization_id = f.organization_id AND t.id = f.team_id"
        " LEFT JOIN project p ON p.organization_id = f.organization_id AND p.id = f.project_id"
        " WHERE f.organization_id = %(organization_id)s AND f.member_id = %(member_id)s ORDER BY f.id",
        {"organization_id": organization_id, "member_id": member_id},
    )
    return [FollowedFilter(row[0], row[1], row[2], None if row[3] is None else Status(row[3])) for row in rows]


def insert_filter(
    tx: Connection,
    organization_id: int,
    member_id: int,
    *,
    team_id: int | None,
    project_id: int | None,
    severity: Status | None,
    now: datetime,
) -> bool:
    """Has a member follow what matches. Returns False if they did before."""
    return bool(
        tx.exec_driver_sql(
            "INSERT INTO followed_filter (organization_id, member_id, team_id, project_id, severity, date_added)"
            " VALUES (%(organization_id)s, %(member_id)s, %(team_id)s, %(project_id)s, %(severity)s, %(now)s)"
            " ON CONFLICT DO NOTHING",
            {
                "organization_id": organization_id,
                "member_id": member_id,
                "team_id": team_id,
                "project_id": project_id,
                "severity": severity,
                "now": now,
            },
        ).rowcount
    )


def delete_filter(tx: Connection, organization_id: int, member_id: int, filter_id: int) -> bool:
    """Has a member no longer follow what matches. Returns False if they did not."""
    return bool(
        tx.exec_driver_sql(
            "DELETE FROM followed_filter WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s"
            " AND id = %(id)s",
            {"organization_id": organization_id, "member_id": member_id, "id": filter_id},
        ).rowcount
    )


# `previous` is the severity that an incident had before; a filter that it matched then has had its turn.
_SUBSCRIBE = PreparedStatement(
    f"""
INSERT INTO incident_subscription (organization_id, incident_id, member_id, date_added)
SELECT DISTINCT i.organization_id, i.id, f.member_id, %(now)s::timestamptz
FROM unnest(%(incident_ids)s::bigint[], %(previous)s::smallint[]) AS c(incident_id, previous)
JOIN incident i ON i.organization_id = ANY(%(organization_ids)s::bigint[]) AND i.id = c.incident_id AND i.status <> 2
JOIN followed_filter f ON f.organization_id = i.organization_id
JOIN member m ON m.organization_id = f.organization_id AND m.id = f.member_id
JOIN organization o ON o.id = f.organization_id
WHERE (f.severity IS NULL OR f.severity = i.status)
  AND (c.previous IS NULL OR (f.severity IS NOT NULL AND f.severity <> c.previous))
  AND (f.project_id IS NULL OR EXISTS (SELECT FROM incident_project ip
                                       WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
                                         AND ip.project_id = f.project_id))
  AND (f.team_id IS NULL OR f.team_id = i.team_id
       OR (i.team_id IS NULL AND EXISTS (SELECT FROM incident_project ip
                                         JOIN project_team pt ON pt.organization_id = ip.organization_id
                                           AND pt.project_id = ip.project_id
                                         WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id
                                           AND pt.team_id = f.team_id)))
  AND {sees_incident("i.id")}
ON CONFLICT DO NOTHING RETURNING incident_id
"""  # noqa: S608 - composed of constants
)


def subscribe_followers(
    tx: Connection, organization_ids: Collection[int], previous: Mapping[int, int | None], now: datetime
) -> set[int]:
    """Subscribes the members whose filters match these incidents and who may see them.

    `previous` has the severity of each incident before it changed; None for a new one. Returns the ids of the incidents
    that somebody follows now who did not before.
    """
    if not previous:
        return set()
    given = {
        "organization_ids": list(organization_ids),
        "incident_ids": list(previous),
        "previous": list(previous.values()),
        "now": now,
    }
    return {row[0] for row in _SUBSCRIBE.rows(tx, given)}
