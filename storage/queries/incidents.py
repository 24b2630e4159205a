"""Incidents: the list, one incident, and the statements that change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from storage.models import Incident, IncidentProject, Organization
from storage.queries.activity import entry_from, mentions_of
from storage.rows import Cursor, IncidentDetails, IncidentHead, IncidentLine, IncidentPage, Mentions, Seen
from storage.values import NO_TEAM, Status, StatusMethod

SEEN_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which incidents a list holds. The defaults leave nothing out."""

    project_ids: Sequence[int]  # never more than the caller sees
    statuses: tuple[Status, ...] = ()  # none: every status
    open: bool = False  # every status but CLOSED; `statuses` is then empty
    words: tuple[str, ...] = ()  # each a case-insensitive part of the title
    team_ids: tuple[int, ...] | None = None  # NO_TEAM stands for "no team owns it"
    environment: str | None = None
    since: datetime | None = None  # leaves out what closed before
    until: datetime | None = None  # leaves out what started after
    unseen_by: int | None = None  # a member's id: only what they have not acknowledged


def _like(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def incident_page(
    connection: Connection, wanted: ListFilter, member_id: int, *, cursor: Cursor | None, size: int
) -> IncidentPage:
    """A page of the incidents that pass the filter, newest start first.

    Takes the newest from each project, one short index scan each, and merges: the work does not grow with the
    number of incidents. `member_id` is the caller's, for `seen_by_caller`.
    """
    sql, parameters = _page_sql(wanted, cursor)
    parameters |= {"member_id": member_id, "size": size + 1}
    lines = [_line(row) for row in connection.exec_driver_sql(sql, parameters)]
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


def _page_sql(wanted: ListFilter, cursor: Cursor | None) -> tuple[str, dict[str, Any]]:
    branch = ["ip.project_id = p.id"]
    of_incident: list[str] = []  # conditions that need the incident's own row
    parameters: dict[str, Any] = {"project_ids": list(wanted.project_ids)}
    branches = "unnest(%(project_ids)s::bigint[]) AS p(id)"
    if wanted.team_ids is not None:
        branches += " CROSS JOIN unnest(%(team_ids)s::bigint[]) AS t(id)"
        branch.append("ip.team_id = t.id")
        parameters["team_ids"] = list(wanted.team_ids)
    if wanted.open:
        branch.append("ip.status <> 2")
    elif wanted.statuses:
        branch.append("ip.status = ANY(%(statuses)s)" if len(wanted.statuses) > 1 else "ip.status = %(status)s")
        parameters |= {"statuses": list(wanted.statuses), "status": wanted.statuses[0]}
    direction, compare = ("ASC", ">") if cursor is not None and cursor.before else ("DESC", "<")
    if cursor is not None:
        branch.append(f"(ip.started, ip.incident_id) {compare} (%(started)s, %(incident_id)s)")
        parameters |= {"started": cursor.started, "incident_id": cursor.incident_id}
    if wanted.until is not None:
        branch.append("ip.started <= %(until)s")
        parameters["until"] = wanted.until
    for number, word in enumerate(wanted.words):
        of_incident.append(f"i.title ILIKE %(word{number})s")
        parameters[f"word{number}"] = _like(word)
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
    join = "JOIN incident i ON i.id = ip.incident_id" if of_incident else ""
    order = f"started {direction}, incident_id {direction}"
    # Every piece is a constant of this function; values travel as parameters.
    sql = f"""
SELECT i.id, i.identifier, i.title, i.status, i.environment, i.date_started, i.date_closed, team.slug,
       (SELECT count(*) FROM incident_seen s WHERE s.incident_id = i.id),
       EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id AND s.member_id = %(member_id)s)
FROM (SELECT DISTINCT newest.started, newest.incident_id
      FROM {branches}
      CROSS JOIN LATERAL (SELECT ip.started, ip.incident_id FROM incident_project ip {join}
                          WHERE {" AND ".join(branch + of_incident)}
                          ORDER BY ip.started {direction}, ip.incident_id {direction} LIMIT %(size)s) newest
      ORDER BY {order} LIMIT %(size)s) page
JOIN incident i ON i.id = page.incident_id
LEFT JOIN team ON team.id = i.team_id
ORDER BY page.started {direction}, page.incident_id {direction}
"""  # noqa: S608
    return sql, parameters


def _line(row: Sequence[Any]) -> IncidentLine:
    id_, identifier, title, status, environment, started, closed, team, seen_count, seen = row
    return IncidentLine(
        id_, identifier, title, Status(status), environment, started, closed, team, seen_count, seen
    )


_DETAILS = """
SELECT i.id, i.identifier, i.title, i.status, i.environment, i.url, i.source, i.date_started, i.date_closed,
       team.name,
       ARRAY(SELECT pr.slug FROM incident_project ip JOIN project pr ON pr.id = ip.project_id
             WHERE ip.incident_id = i.id AND ip.project_id = ANY(%(project_ids)s) ORDER BY pr.slug),
       ARRAY(SELECT m.name FROM incident_seen s JOIN member m ON m.id = s.member_id
             WHERE s.incident_id = i.id ORDER BY s.last_seen DESC, s.member_id LIMIT %(seen_shown)s),
       ARRAY(SELECT s.last_seen FROM incident_seen s
             WHERE s.incident_id = i.id ORDER BY s.last_seen DESC, s.member_id LIMIT %(seen_shown)s),
       (SELECT count(*) FROM incident_seen s WHERE s.incident_id = i.id),
       EXISTS (SELECT FROM incident_seen s WHERE s.incident_id = i.id AND s.member_id = %(member_id)s),
       EXISTS (SELECT FROM incident_subscription s WHERE s.incident_id = i.id AND s.member_id = %(member_id)s),
       (SELECT count(*) FROM incident_activity a
        WHERE a.incident_id = i.id AND a.type = 3 AND a.date_deleted IS NULL),
       latest.id, latest.type, latest.member_id, latest.name, latest.value, latest.previous_value,
       latest.comment, latest.date_added, latest.date_edited
FROM incident i
LEFT JOIN team ON team.id = i.team_id
LEFT JOIN LATERAL (SELECT a.*, m.name FROM incident_activity a LEFT JOIN member m ON m.id = a.member_id
                   WHERE a.incident_id = i.id AND a.date_deleted IS NULL
                   ORDER BY a.date_added DESC, a.id DESC LIMIT 1) latest ON true
WHERE i.organization_id = %(organization_id)s AND i.identifier = %(identifier)s
  AND EXISTS (SELECT FROM incident_project ip
              WHERE ip.incident_id = i.id AND ip.project_id = ANY(%(project_ids)s))
"""


def incident_details(
    connection: Connection,
    organization_id: int,
    identifier: int,
    *,
    project_ids: Sequence[int],
    member_id: int,
    workspace_id: str,
) -> IncidentDetails | None:
    """An incident as the caller may see it; None when there is none or it is not theirs to see."""
    row = connection.exec_driver_sql(
        _DETAILS,
        {
            "organization_id": organization_id,
            "identifier": identifier,
            "project_ids": list(project_ids),
            "member_id": member_id,
            "seen_shown": SEEN_SHOWN,
        },
    ).first()
    if row is None:
        return None
    latest = None if row[17] is None else entry_from(row[17:26])
    commented = latest is not None and latest.comment is not None
    mentions = mentions_of(connection, [latest.id], workspace_id) if latest and commented else Mentions()
    return IncidentDetails(
        id=row[0],
        identifier=row[1],
        title=row[2],
        status=Status(row[3]),
        environment=row[4],
        url=row[5],
        source=row[6],
        date_started=row[7],
        date_closed=row[8],
        team=row[9],
        projects=row[10],
        seen=[Seen(name, when) for name, when in zip(row[11], row[12], strict=True)],
        seen_count=row[13],
        seen_by_caller=row[14],
        subscribed=row[15],
        comment_count=row[16],
        latest=latest,
        mentions=mentions,
    )


_HEAD = """
SELECT i.id, i.identifier, i.title, i.status, i.status_before_closing, i.date_started, i.date_closed
FROM incident i
WHERE i.organization_id = %(organization_id)s AND i.identifier = %(identifier)s
  AND EXISTS (SELECT FROM incident_project ip
              WHERE ip.incident_id = i.id AND ip.project_id = ANY(%(project_ids)s))
"""


def incident_head(
    connection: Connection, organization_id: int, identifier: int, project_ids: Sequence[int], *, lock: bool
) -> IncidentHead | None:
    """The incident, if the caller sees it; with `lock`, its row is held until the transaction ends."""
    row = connection.exec_driver_sql(
        _HEAD + (" FOR UPDATE OF i" if lock else ""),
        {"organization_id": organization_id, "identifier": identifier, "project_ids": list(project_ids)},
    ).first()
    return None if row is None else _head(row)


def _head(row: Sequence[Any]) -> IncidentHead:
    id_, identifier, title, status, before, started, closed = row
    return IncidentHead(
        id_, identifier, title, Status(status), None if before is None else Status(before), started, closed
    )


_HEAD_COLUMNS = (
    Incident.id,
    Incident.identifier,
    Incident.title,
    Incident.status,
    Incident.status_before_closing,
    Incident.date_started,
    Incident.date_closed,
)


def incident_by_dedup_key(connection: Connection, organization_id: int, dedup_key: str) -> IncidentHead | None:
    """The newest incident of that key, closed or not, its row locked; None when the key is new."""
    row = connection.execute(
        select(*_HEAD_COLUMNS)
        .where(Incident.organization_id == organization_id, Incident.dedup_key == dedup_key)
        .order_by(Incident.id.desc())
        .limit(1)
        .with_for_update()
    ).first()
    return None if row is None else _head(row)


def insert_incident(
    connection: Connection,
    *,
    organization_id: int,
    project_ids: Sequence[int],
    title: str,
    status: Status,
    method: StatusMethod,
    team_id: int | None,
    environment: str | None,
    url: str | None,
    dedup_key: str | None,
    source: str | None,
    date_started: datetime,
    date_detected: datetime,
    now: datetime,
) -> IncidentHead:
    """A new incident with the organization's next identifier.

    The organization's row stays locked until the transaction ends, which is what keeps identifiers without
    gaps and repeats.
    """
    identifier = connection.execute(
        update(Organization)
        .where(Organization.id == organization_id)
        .values(last_identifier=Organization.last_identifier + 1)
        .returning(Organization.last_identifier)
    ).scalar_one()
    incident_id = connection.execute(
        insert(Incident)
        .values(
            organization_id=organization_id,
            identifier=identifier,
            title=title,
            status=status,
            status_method=method,
            team_id=team_id,
            environment=environment,
            url=url,
            dedup_key=dedup_key,
            source=source,
            date_started=date_started,
            date_detected=date_detected,
            date_added=now,
        )
        .returning(Incident.id)
    ).scalar_one()
    connection.execute(
        insert(IncidentProject),
        [
            {
                "incident_id": incident_id,
                "project_id": project_id,
                "started": date_started,
                "status": status,
                "team_id": NO_TEAM if team_id is None else team_id,
            }
            for project_id in project_ids
        ],
    )
    return IncidentHead(incident_id, identifier, title, status, None, date_started, None)


def set_status(
    connection: Connection, incident: IncidentHead, status: Status, method: StatusMethod, closed: datetime | None
) -> None:
    """Writes a status; `closed` is its closing date, for CLOSED and for nothing else."""
    connection.execute(
        update(Incident)
        .where(Incident.id == incident.id)
        .values(
            status=status,
            status_method=method,
            date_closed=closed,
            status_before_closing=incident.status if status is Status.CLOSED else None,
        )
    )
    connection.execute(
        update(IncidentProject).where(IncidentProject.incident_id == incident.id).values(status=status)
    )


def mark_seen(connection: Connection, incident_id: int, member_id: int, now: datetime) -> bool:
    """Records an acknowledgement; True for the person's first of this incident."""
    return bool(
        connection.exec_driver_sql(
            "INSERT INTO incident_seen (incident_id, member_id, last_seen)"
            " VALUES (%(incident_id)s, %(member_id)s, %(now)s)"
            " ON CONFLICT (incident_id, member_id)"
            " DO UPDATE SET last_seen = GREATEST(incident_seen.last_seen, EXCLUDED.last_seen)"
            " RETURNING xmax = 0",
            {"incident_id": incident_id, "member_id": member_id, "now": now},
        ).scalar_one()
    )


def subscribe(connection: Connection, incident_id: int, member_ids: Sequence[int], now: datetime) -> set[int]:
    """Subscribes these members; gives those who were not yet."""
    if not member_ids:
        return set()
    found = connection.exec_driver_sql(
        "INSERT INTO incident_subscription (incident_id, member_id, date_added)"
        " SELECT %(incident_id)s, id, %(now)s FROM unnest(%(member_ids)s::bigint[]) AS m(id)"
        " ON CONFLICT DO NOTHING RETURNING member_id",
        {"incident_id": incident_id, "member_ids": sorted(set(member_ids)), "now": now},
    )
    return {row[0] for row in found}


def unsubscribe(connection: Connection, incident_id: int, member_id: int) -> bool:
    """Ends a subscription; False when there was none."""
    return bool(
        connection.exec_driver_sql(
            "DELETE FROM incident_subscription WHERE incident_id = %(incident_id)s AND member_id = %(member_id)s",
            {"incident_id": incident_id, "member_id": member_id},
        ).rowcount
    )


def project_ids_of(connection: Connection, incident_id: int) -> set[int]:
    """The projects that an incident concerns."""
    return set(
        connection.scalars(select(IncidentProject.project_id).where(IncidentProject.incident_id == incident_id))
    )


def teams_of_projects(connection: Connection, project_ids: Sequence[int]) -> set[int]:
    """The teams that own any of these projects."""
    return {
        row[0]
        for row in connection.exec_driver_sql(
            "SELECT DISTINCT team_id FROM project_team WHERE project_id = ANY(%(ids)s)", {"ids": list(project_ids)}
        )
    }


def give_up_dedup_key_if_taken(connection: Connection, incident_id: int) -> None:
    """Before a closed incident opens again: where its alert has meanwhile opened another, the key stays there."""
    connection.exec_driver_sql(
        "UPDATE incident i SET dedup_key = NULL WHERE i.id = %(id)s AND EXISTS"
        " (SELECT FROM incident o WHERE o.organization_id = i.organization_id AND o.dedup_key = i.dedup_key"
        " AND o.status <> 2 AND o.id <> i.id)",
        {"id": incident_id},
    )
