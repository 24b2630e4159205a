"""Read and change a single incident. Lists of incidents are in `listing`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from storage.call_rows import CallState
from storage.models import IncidentProject
from storage.prefetch import Prefetch
from storage.prepared import PreparedStatement
from storage.queries import outbox
from storage.queries.access import build_with_caller
from storage.queries.activity import build_latest_entry, get_mentions_of_entries, parse_entry
from storage.queries.calls import CALLS_OF_INCIDENT
from storage.queries.incident_columns import only_team, project_names
from storage.queries.silences import SILENCE_OF_INCIDENT
from storage.queries.visibility import of_given_projects
from storage.rows import HoldingSilence, IncidentDetails, IncidentHead, Mentions, NewIncident, Owner, Seen
from storage.values import NO_TEAM, Status, StatusMethod, Work

SEEN_SHOWN = 10

_DETAILS_SQL = f"""
SELECT i.id, i.identifier, i.title, i.status, i.environment, i.url, i.source, i.date_started, i.date_closed,
       coalesce(team.name, {only_team("i.organization_id", "i.id")}),
       {project_names("i.organization_id", "i.id")},
       ARRAY(SELECT m.name FROM incident_seen s
             JOIN member m ON m.organization_id = s.organization_id AND m.id = s.member_id
             WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
             ORDER BY s.last_seen DESC, s.member_id LIMIT %(seen_shown)s),
       ARRAY(SELECT s.last_seen FROM incident_seen s
             WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
             ORDER BY s.last_seen DESC, s.member_id LIMIT %(seen_shown)s),
       (SELECT count(*) FROM incident_seen s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id),
       EXISTS (SELECT FROM incident_seen s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
               AND s.member_id = %(member_id)s),
       EXISTS (SELECT FROM incident_subscription s WHERE s.organization_id = i.organization_id
               AND s.incident_id = i.id AND s.member_id = %(member_id)s),
       latest.*, i.details, i.owner_id,
       (SELECT m.name FROM member m WHERE m.organization_id = i.organization_id AND m.id = i.owner_id), i.owned_since,
       coalesce(i.owner_id = %(member_id)s, false),
       silence.id, silence.ends, silence.maker, silence.reason,
       (SELECT r.name FROM handoff_item h
        JOIN handoff o ON o.organization_id = h.organization_id AND o.id = h.handoff_id
        JOIN member r ON r.organization_id = o.organization_id AND r.id = o.receiver_id
        WHERE h.organization_id = i.organization_id AND h.incident_id = i.id AND h.state = 'offered'),
       calls.due_at, calls.who, calls.has_steps, calls.in_use,
       CASE WHEN i.status = 2 THEN coalesce(i.status_before_closing, 1) ELSE i.status END, i.team_id IS NULL
FROM incident i
LEFT JOIN LATERAL ({CALLS_OF_INCIDENT}) calls ON true
LEFT JOIN team ON team.organization_id = i.organization_id AND team.id = i.team_id
LEFT JOIN LATERAL ({SILENCE_OF_INCIDENT}) silence ON true
LEFT JOIN LATERAL ({build_latest_entry("i.organization_id", "i.id")}) latest ON true
WHERE i.organization_id = %(organization_id)s AND i.identifier = %(identifier)s
  AND {of_given_projects("i.organization_id", "i.id")}
"""  # noqa: S608
_DETAILS_TYPES = {
    "organization_id": "bigint",
    "identifier": "bigint",
    "project_ids": "bigint[]",
    "member_id": "bigint",
    "seen_shown": "int",
}
_DETAILS = PreparedStatement(_DETAILS_SQL, _DETAILS_TYPES)
_DETAILS_WITH_CALLER = build_with_caller(_DETAILS_SQL, _DETAILS_TYPES)


def prefetch_details(identifier: int) -> Prefetch:
    """Returns the query of `find_incident_details` for a caller who has not been identified yet."""
    return Prefetch(_DETAILS_WITH_CALLER, {"identifier": identifier, "seen_shown": SEEN_SHOWN})


def find_incident_details(
    connection: Connection,
    organization_id: int,
    identifier: int,
    *,
    project_ids: Sequence[int],
    member_id: int,
    workspace_id: str,
    prefetched: Prefetch | None = None,
) -> IncidentDetails | None:
    """Returns the details of an incident, or None if it does not exist or the caller may not see it.

    `project_ids` are the projects that the caller sees. `prefetched` is the result of `prefetch_details`; it
    must already have run.
    """
    if prefetched is not None:
        row = prefetched.rows[0] if prefetched.rows else None
    else:
        row = _DETAILS.row(
            connection,
            {
                "organization_id": organization_id,
                "identifier": identifier,
                "project_ids": list(project_ids),
                "member_id": member_id,
                "seen_shown": SEEN_SHOWN,
            },
        )
    if row is None:
        return None
    latest = None if row[16] is None else parse_entry(row[16:28])
    mentions = get_mentions_of_entries(connection, [latest], workspace_id) if latest else Mentions()
    details = row[28] or {}
    owner = None if row[29] is None else Owner(row[29], row[30], row[31], offered_to=row[37])
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
        latest=latest,
        mentions=mentions,
        links=[(name, url) for name, url in details.get("links", ())],
        facts=[(name, text) for name, text in details.get("facts", ())],
        owner=owner,
        owned_by_caller=row[32],
        silence=None if row[33] is None else HoldingSilence(*row[33:37]),
        calls=CallState(*row[38:41]) if row[41] else None,
        severity=Status(row[42]),
        unassigned=row[43],
    )


HEAD_SQL = f"""
SELECT i.id, i.identifier, i.title, i.status, i.status_before_closing, i.date_started, i.date_closed
FROM incident i
WHERE i.organization_id = %(organization_id)s AND i.identifier = %(identifier)s
  AND {of_given_projects("i.organization_id", "i.id")}
"""  # noqa: S608 - composed of constants
HEAD_TYPES = {"organization_id": "bigint", "identifier": "bigint", "project_ids": "bigint[]"}
_HEAD = PreparedStatement(HEAD_SQL, HEAD_TYPES)
# The key of an incident never changes. NO KEY lets delivery insert rows that refer to the incident during a change.
_HEAD_LOCKED = PreparedStatement(HEAD_SQL + "FOR NO KEY UPDATE OF i", HEAD_TYPES)


def find_incident(
    connection: Connection, organization_id: int, identifier: int, project_ids: Sequence[int], *, lock: bool
) -> IncidentHead | None:
    """Returns the incident, or None if the caller does not see it. `lock` locks its row until the transaction ends."""
    row = (_HEAD_LOCKED if lock else _HEAD).row(
        connection, {"organization_id": organization_id, "identifier": identifier, "project_ids": project_ids}
    )
    return None if row is None else parse_head(organization_id, row)


def lock_incident(tx: Connection, given: Mapping[str, Any]) -> None:
    """Locks the incident of `find_incident`, in the message of the next statement of the transaction."""
    _HEAD_LOCKED.defer(tx, given)


def parse_head(organization_id: int, row: Sequence[Any]) -> IncidentHead:
    """Returns the incident of the organization in a row of `HEAD_SQL`."""
    id_, identifier, title, status, before, started, closed = row
    return IncidentHead(
        id_,
        identifier,
        title,
        Status(status),
        None if before is None else Status(before),
        started,
        closed,
        organization_id,
    )


# One statement, so that a single incident takes one round trip and a storm of incidents takes few. DETECTED is inserted
# before CREATED, because the log orders entries of the same date by id.
_INSERT_INCIDENTS = PreparedStatement(
    """
WITH counter AS (
  UPDATE organization SET last_identifier = last_identifier + cardinality(%(titles)s)
  WHERE id = %(organization_id)s RETURNING last_identifier - cardinality(%(titles)s) AS base
), opened AS (
  INSERT INTO incident (organization_id, identifier, title, status, status_method, team_id, environment, url,
                        source, alert_project_id, alert_key, dedup_key, details, date_started, date_detected,
                        date_added)
  SELECT %(organization_id)s, counter.base + w.n, w.title, w.status, w.method, w.team_id, w.environment, w.url,
         w.source, w.alert_project_id, w.alert_key, w.dedup_key, w.details::jsonb, w.started, w.detected, %(now)s
  FROM counter, unnest(%(titles)s, %(statuses)s, %(methods)s, %(teams)s, %(environments)s, %(urls)s, %(sources)s,
                       %(alert_projects)s, %(alert_keys)s, %(dedup_keys)s, %(details)s, %(started)s, %(detected)s)
       WITH ORDINALITY
       AS w(title, status, method, team_id, environment, url, source, alert_project_id, alert_key, dedup_key, details,
            started, detected, n)
  ORDER BY w.n
  RETURNING id, identifier, title, status, team_id, date_started
), concerned AS (
  INSERT INTO incident_project (organization_id, incident_id, project_id, started, status, team_id, title)
  SELECT %(organization_id)s, o.id, p.project_id, o.date_started, o.status, coalesce(o.team_id, %(no_team)s), o.title
  FROM counter, opened o, unnest(%(numbers)s, %(projects)s) AS p(n, project_id)
  WHERE o.identifier = counter.base + p.n
), logged AS (
  INSERT INTO incident_activity (organization_id, incident_id, member_id, type, value, date_added)
  SELECT %(organization_id)s, o.id, %(member_id)s, t.type, o.status,
         CASE t.type WHEN 4 THEN least(o.date_started, %(now)s) ELSE %(now)s END
  FROM opened o CROSS JOIN (VALUES (4), (1)) AS t(type)
  ORDER BY o.identifier, t.type DESC
  RETURNING id, incident_id, type
), queued AS (
  INSERT INTO outbox (organization_id, incident_id, activity_id, of_alert)
  SELECT %(organization_id)s, incident_id, id, %(member_id)s IS NULL FROM logged WHERE type = 1 ORDER BY id
)
SELECT id, identifier FROM opened ORDER BY identifier
""",
    {
        "organization_id": "bigint",
        "titles": "text[]",
        "statuses": "smallint[]",
        "methods": "smallint[]",
        "teams": "bigint[]",
        "environments": "text[]",
        "urls": "text[]",
        "sources": "text[]",
        "alert_projects": "bigint[]",
        "alert_keys": "text[]",
        "dedup_keys": "text[]",
        "details": "text[]",
        "started": "timestamptz[]",
        "detected": "timestamptz[]",
        "numbers": "int[]",
        "projects": "bigint[]",
        "no_team": "bigint",
        "member_id": "bigint",
        "now": "timestamptz",
    },
)


def serialize_details(
    links: Sequence[tuple[str, str]], facts: Sequence[tuple[str, str]], labels: Mapping[str, str]
) -> str | None:
    """Returns the links, facts and labels of an alert as the JSON that is stored, or None if there are none."""
    if not (links or facts or labels):
        return None
    return json.dumps({"links": links, "facts": facts, "labels": dict(labels)})


def insert_incidents(
    connection: Connection,
    organization_id: int,
    new: Sequence[NewIncident],
    *,
    member_id: int | None,
    now: datetime,
) -> list[IncidentHead]:
    """Inserts incidents with the next identifiers of the organization, and returns them in the order of `new`.

    Also inserts their DETECTED and CREATED entries and their outbox rows. The row of the organization stays locked
    until the transaction ends, so that identifiers have no gaps or duplicates. Raises Contended, and IntegrityError
    for an alert that already has an unclosed incident.
    """
    rows = _INSERT_INCIDENTS.rows(
        connection,
        {
            "organization_id": organization_id,
            **_columns_of(new),
            "numbers": [number for number, one in enumerate(new, 1) for _ in one.project_ids],
            "projects": [project_id for one in new for project_id in one.project_ids],
            "no_team": NO_TEAM,
            "member_id": member_id,
            "now": now,
        },
    )
    outbox.wake_after_commit(connection, Work.ALERTS if member_id is None else Work.CHANGES)
    return [
        IncidentHead(id_, identifier, one.title, one.status, None, one.date_started, None, organization_id)
        for (id_, identifier), one in zip(rows, new, strict=True)
    ]


def _columns_of(new: Sequence[NewIncident]) -> dict[str, list[Any]]:
    """Returns the columns of new incidents, as one array for each array parameter of `_INSERT_INCIDENTS`."""
    alert_keys = [one.alert_key for one in new]
    return {
        "titles": [one.title for one in new],
        "statuses": [int(one.status) for one in new],
        "methods": [int(one.method) for one in new],
        "teams": [one.team_id for one in new],
        "environments": [one.environment for one in new],
        "urls": [one.url for one in new],
        "sources": [one.source for one in new],
        "alert_projects": [key and key.project_id for key in alert_keys],
        "alert_keys": [key and key.key for key in alert_keys],
        "dedup_keys": [one.dedup_key for one in new],
        "details": [serialize_details(one.links, one.facts, one.labels) for one in new],
        "started": [one.date_started for one in new],
        "detected": [one.date_detected for one in new],
    }


_SET_STATUS = PreparedStatement(
    "WITH concerned AS (UPDATE incident_project SET status = %(status)s"
    " WHERE organization_id = %(organization_id)s AND incident_id = %(id)s)"
    " UPDATE incident SET status = %(status)s, status_method = %(method)s, date_closed = %(closed)s,"
    " status_before_closing = %(before)s WHERE organization_id = %(organization_id)s AND id = %(id)s",
    {
        "organization_id": "bigint",
        "id": "bigint",
        "status": "smallint",
        "method": "smallint",
        "closed": "timestamptz",
        "before": "smallint",
    },
)


def set_status(
    connection: Connection, incident: IncidentHead, status: Status, method: StatusMethod, closed: datetime | None
) -> None:
    """Sets the status of an incident, with the next statement of the transaction.

    `closed` is the closing date; pass None unless `status` is CLOSED.
    """
    _SET_STATUS.defer(
        connection,
        {
            "organization_id": incident.organization_id,
            "id": incident.id,
            "status": int(status),
            "method": int(method),
            "closed": closed,
            "before": int(incident.status) if status is Status.CLOSED else None,
        },
    )


def get_project_ids(connection: Connection, organization_id: int, incident_id: int) -> set[int]:
    """Returns the ids of the projects of an incident."""
    query = select(IncidentProject.project_id).where(
        IncidentProject.organization_id == organization_id, IncidentProject.incident_id == incident_id
    )
    return set(connection.scalars(query))


def get_team_ids_of_projects(connection: Connection, organization_id: int, project_ids: Sequence[int]) -> set[int]:
    """Returns the ids of the teams that own any of these projects."""
    return {
        row[0]
        for row in connection.exec_driver_sql(
            "SELECT DISTINCT team_id FROM project_team"
            " WHERE organization_id = %(organization_id)s AND project_id = ANY(%(ids)s)",
            {"organization_id": organization_id, "ids": list(project_ids)},
        )
    }


_DETACH_ALERT = PreparedStatement(
    "UPDATE incident i SET alert_project_id = NULL, alert_key = NULL, dedup_key = NULL"
    " WHERE i.organization_id = %(organization_id)s::bigint AND i.id = %(id)s::bigint AND EXISTS"
    " (SELECT FROM incident o WHERE o.organization_id = i.organization_id AND o.source = i.source"
    " AND o.alert_key = i.alert_key AND o.alert_project_id = i.alert_project_id"
    " AND o.status <> 2 AND o.id <> i.id OFFSET 0)"
)


def detach_alert_if_taken(tx: Connection, organization_id: int, incident_id: int) -> None:
    """Detaches the alert from an incident about to be reopened, if the alert now has another unclosed incident.

    It is sent with the next statement of the transaction.
    """
    _DETACH_ALERT.defer(tx, {"organization_id": organization_id, "id": incident_id})


def filter_ids_in_projects(
    connection: Connection, organization_id: int, incident_ids: Sequence[int], project_ids: Sequence[int]
) -> set[int]:
    """Returns those of the incidents that belong to any of the projects."""
    query = select(IncidentProject.incident_id).where(
        IncidentProject.organization_id == organization_id,
        IncidentProject.incident_id.in_(incident_ids),
        IncidentProject.project_id.in_(project_ids),
    )
    return set(connection.scalars(query))
