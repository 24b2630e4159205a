"""Queries of the alert intake: the stored state of each alert, and the incident of an alert."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from storage.models import Team
from storage.prepared import PreparedStatement
from storage.queries.incidents import parse_head, serialize_details
from storage.queries.intake_tokens import IntakeProject
from storage.queries.silences import has_silences
from storage.rows import AlertKey, AlertText, IncidentHead
from storage.values import NO_TEAM, Status, StatusMethod

# `heard` is updated at most this often, so that not every delivery writes to its index.
HEARD_PRECISION = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AlertMemoryRow:
    """The stored state of an alert. Its row is locked."""

    alert: AlertKey
    dedup_key: str  # the key that the previous version uses for this alert
    incident_id: int | None = None
    status: Status | None = None  # the severity of the latest firing
    fired: datetime | None = None  # when the latest firing began, if the alert reported it
    resolved: datetime | None = None  # when the alert ended, once that was reported
    resolved_received: datetime | None = None  # when its end was reported
    resolved_started: datetime | None = None  # when the firing that ended began, if the report of its end says so


@dataclass(frozen=True, slots=True)
class AlertIncident:
    """The incident of an alert. Its row is locked."""

    head: IncidentHead
    method: StatusMethod  # what set its current status
    words: AlertText  # the text that it shows


_PROJECTS = PreparedStatement(
    """
SELECT id, slug, quiet_minutes FROM project
WHERE organization_id = %(organization_id)s AND slug = ANY(%(slugs)s)
""",
    {"organization_id": "bigint", "slugs": "text[]"},
)


def list_projects(connection: Connection, organization_id: int, slugs: Collection[str]) -> list[IntakeProject]:
    """Returns the projects of an organization that have these slugs."""
    rows = _PROJECTS.rows(connection, {"organization_id": organization_id, "slugs": list(slugs)})
    return [IntakeProject(id_, slug, timedelta(minutes=quiet)) for id_, slug, quiet in rows]


def get_team_ids(connection: Connection, organization_id: int, slugs: Collection[str]) -> dict[str, int]:
    """Returns the ids of the teams with these slugs, by slug."""
    rows = connection.execute(
        select(Team.slug, Team.id).where(Team.organization_id == organization_id, Team.slug.in_(slugs))
    )
    return {row.slug: row.id for row in rows}


# The DO UPDATE also locks an existing row and returns it. Rows are locked in the order of their keys, so that two
# batches with the same alerts wait for each other instead of deadlocking. Whether there are silences is read once, from
# an index, and needs no statement of its own.
_LOCK_MEMORIES = PreparedStatement(
    f"""
INSERT INTO alert_memory AS m (organization_id, source, project_id, alert_key, dedup_key, heard)
SELECT %(organization_id)s, k.source, k.project_id, k.key,
       CASE WHEN EXISTS (SELECT FROM alert_memory o
                         WHERE o.organization_id = %(organization_id)s AND o.dedup_key = k.dedup_key OFFSET 0)
            THEN k.own_dedup_key ELSE k.dedup_key END,
       %(now)s
FROM unnest(%(sources)s, %(projects)s, %(keys)s, %(dedup_keys)s, %(own_dedup_keys)s)
     AS k(source, project_id, key, dedup_key, own_dedup_key)
ORDER BY k.source, k.project_id, k.key
ON CONFLICT (organization_id, source, alert_key, project_id) DO UPDATE
SET heard = CASE WHEN m.heard BETWEEN %(lately)s AND EXCLUDED.heard THEN m.heard ELSE EXCLUDED.heard END
RETURNING m.source, m.project_id, m.alert_key, m.dedup_key, m.incident_id, m.status, m.fired, m.resolved,
          m.resolved_received, m.resolved_started, {has_silences("%(organization_id)s")}
""",  # noqa: S608 - composed of constants
    {
        "organization_id": "bigint",
        "sources": "text[]",
        "projects": "bigint[]",
        "keys": "text[]",
        "dedup_keys": "text[]",
        "own_dedup_keys": "text[]",
        "now": "timestamptz",
        "lately": "timestamptz",
    },
)


def lock_alert_memories(
    tx: Connection, organization_id: int, alerts: Iterable[AlertKey], now: datetime
) -> tuple[dict[AlertKey, AlertMemoryRow], bool]:
    """Locks the rows of these alerts until the transaction ends, and inserts the missing ones.

    Returns them, and whether the organization has silences in force.
    Sets `heard` to `now`, with the precision HEARD_PRECISION. Raises IntegrityError if another transaction inserts a
    row with the same `dedup_key`; a second attempt finds that row.
    """
    keys = sorted(set(alerts))
    first: dict[str, AlertKey] = {}  # the first alert of this batch with each `dedup_key`
    for alert in keys:
        first.setdefault(alert.dedup_key, alert)
    rows = _LOCK_MEMORIES.rows(
        tx,
        {
            "organization_id": organization_id,
            "sources": [alert.source for alert in keys],
            "projects": [alert.project_id for alert in keys],
            "keys": [alert.key for alert in keys],
            "dedup_keys": [
                alert.dedup_key if first[alert.dedup_key] == alert else alert.own_dedup_key for alert in keys
            ],
            "own_dedup_keys": [alert.own_dedup_key for alert in keys],
            "now": now,
            "lately": now - HEARD_PRECISION,
        },
    )
    found = {}
    for source, project_id, key, dedup_key, incident, status, *times, _ in rows:
        alert = AlertKey(source, project_id, key)
        found[alert] = AlertMemoryRow(alert, dedup_key, incident, None if status is None else Status(status), *times)
    return found, bool(rows) and rows[0][-1]


# The rows already exist. A prepared UPDATE would be planned once, while the table is still small, and would then always
# read the whole table.
_SAVE_MEMORIES = PreparedStatement(
    """
INSERT INTO alert_memory AS m (organization_id, source, project_id, alert_key, dedup_key, incident_id, status, fired,
                               resolved, resolved_received, resolved_started)
SELECT %(organization_id)s, k.*
FROM unnest(%(sources)s, %(projects)s, %(keys)s, %(dedup_keys)s, %(incidents)s, %(statuses)s, %(fired)s, %(resolved)s,
            %(received)s, %(resolved_started)s) AS k
ON CONFLICT (organization_id, source, alert_key, project_id) DO UPDATE
SET incident_id = EXCLUDED.incident_id, status = EXCLUDED.status, fired = EXCLUDED.fired,
    resolved = EXCLUDED.resolved, resolved_received = EXCLUDED.resolved_received,
    resolved_started = EXCLUDED.resolved_started
RETURNING m.alert_key
""",
    {
        "organization_id": "bigint",
        "sources": "text[]",
        "projects": "bigint[]",
        "keys": "text[]",
        "dedup_keys": "text[]",
        "incidents": "bigint[]",
        "statuses": "smallint[]",
        "fired": "timestamptz[]",
        "resolved": "timestamptz[]",
        "received": "timestamptz[]",
        "resolved_started": "timestamptz[]",
    },
)


def save_alert_memories(tx: Connection, organization_id: int, memories: Collection[AlertMemoryRow]) -> None:
    """Saves the state of alerts. The caller has locked their rows."""
    if not memories:
        return
    _SAVE_MEMORIES.rows(
        tx,
        {
            "organization_id": organization_id,
            "sources": [m.alert.source for m in memories],
            "projects": [m.alert.project_id for m in memories],
            "keys": [m.alert.key for m in memories],
            "dedup_keys": [m.dedup_key for m in memories],
            "incidents": [m.incident_id for m in memories],
            "statuses": [None if m.status is None else int(m.status) for m in memories],
            "fired": [m.fired for m in memories],
            "resolved": [m.resolved for m in memories],
            "received": [m.resolved_received for m in memories],
            "resolved_started": [m.resolved_started for m in memories],
        },
    )


# The incident of an alert is the unclosed one with its key, or else the last one that the alert had. (A person may have
# reopened an older incident, or one whose alert has been deleted.) The keys are looked up one by one: for all keys at
# once, the planner reads every unclosed incident of the organization while there are few.
_LOCK_INCIDENTS = PreparedStatement(
    """
SELECT i.id, i.identifier, i.title, i.status, i.status_before_closing, i.date_started, i.date_closed,
       i.source, i.alert_project_id, i.alert_key, i.status_method, i.team_id, i.environment, i.url, i.details
FROM incident i
WHERE i.organization_id = %(organization_id)s AND i.id = ANY(%(ids)s || ARRAY(
    SELECT o.id
    FROM unnest(%(sources)s, %(projects)s, %(keys)s) AS k(source, project_id, key), LATERAL (
        SELECT id FROM incident
        WHERE organization_id = %(organization_id)s AND source = k.source AND alert_key = k.key
          AND alert_project_id = k.project_id AND status <> 2
        OFFSET 0
    ) o
))
ORDER BY i.id
FOR NO KEY UPDATE OF i
""",
    {
        "organization_id": "bigint",
        "sources": "text[]",
        "projects": "bigint[]",
        "keys": "text[]",
        "ids": "bigint[]",
    },
)


def lock_incidents(
    tx: Connection, organization_id: int, memories: Collection[AlertMemoryRow]
) -> dict[AlertKey, AlertIncident]:
    """Locks the incidents of these alerts until the transaction ends. The result omits alerts without an incident."""
    rows = _LOCK_INCIDENTS.rows(
        tx,
        {
            "organization_id": organization_id,
            "sources": [memory.alert.source for memory in memories],
            "projects": [memory.alert.project_id for memory in memories],
            "keys": [memory.alert.key for memory in memories],
            "ids": [memory.incident_id for memory in memories if memory.incident_id is not None],
        },
    )
    by_id: dict[int, AlertIncident] = {}
    unclosed: dict[AlertKey, AlertIncident] = {}
    for row in rows:
        head = parse_head(organization_id, row[:7])
        source, project_id, key, method, *words = row[7:]
        found = AlertIncident(head, StatusMethod(method), _parse_text(head.title, *words))
        by_id[head.id] = found
        if head.status is not Status.CLOSED and key is not None:
            unclosed[AlertKey(source, project_id, key)] = found
    result = {}
    for memory in memories:
        incident = unclosed.get(memory.alert) or by_id.get(memory.incident_id or 0)
        if incident is not None:
            result[memory.alert] = incident
    return result


def _parse_text(
    title: str, team_id: int | None, environment: str | None, url: str | None, details: dict[str, Any] | None
) -> AlertText:
    stored = details or {}
    return AlertText(
        title=title,
        team_id=team_id,
        environment=environment,
        url=url,
        links=tuple((name, url) for name, url in stored.get("links", ())),
        facts=tuple((name, text) for name, text in stored.get("facts", ())),
        labels=stored.get("labels", {}),
    )


_UPDATE_TEXTS = """
WITH stored AS (
  SELECT * FROM unnest(%(ids)s::bigint[], %(titles)s::text[], %(teams)s::bigint[], %(environments)s::text[],
                       %(urls)s::text[], %(details)s::text[]) AS s(id, title, team_id, environment, url, details)
), listed AS (
  UPDATE incident_project ip SET title = s.title, team_id = coalesce(s.team_id, %(no_team)s)
  FROM stored s WHERE ip.organization_id = %(organization_id)s AND ip.incident_id = s.id
)
UPDATE incident i
SET title = s.title, team_id = s.team_id, environment = s.environment, url = s.url, details = s.details::jsonb
FROM stored s WHERE i.organization_id = %(organization_id)s AND i.id = s.id
"""


def update_alert_texts(tx: Connection, organization_id: int, words: Mapping[int, AlertText]) -> None:
    """Saves alert texts, by the id of their incident. The incidents must be locked and not closed."""
    tx.exec_driver_sql(
        _UPDATE_TEXTS,
        {
            "organization_id": organization_id,
            "ids": list(words),
            "titles": [one.title for one in words.values()],
            "teams": [one.team_id for one in words.values()],
            "environments": [one.environment for one in words.values()],
            "urls": [one.url for one in words.values()],
            "details": [serialize_details(one.links, one.facts, one.labels) for one in words.values()],
            "no_team": NO_TEAM,
        },
    )


# The keys are looked up one by one: for all keys at once, the planner reads every incident while there are few.
_PROJECTS_OF_KEYS = PreparedStatement(
    """
SELECT k.key,
       ARRAY(SELECT i.alert_project_id FROM incident i
             WHERE i.organization_id = %(organization_id)s AND i.source = %(source)s AND i.alert_key = k.key
               AND i.status <> 2 LIMIT 2),
       ARRAY(SELECT m.project_id FROM alert_memory m
             WHERE m.organization_id = %(organization_id)s AND m.source = %(source)s AND m.alert_key = k.key LIMIT 2)
FROM unnest(%(keys)s) AS k(key)
""",
    {"organization_id": "bigint", "source": "text", "keys": "text[]"},
)


def get_projects_of_keys(
    connection: Connection, organization_id: int, source: str, keys: Collection[str]
) -> dict[str, tuple[list[int], list[int]]]:
    """Returns two lists of project ids for each key.

    The first has the projects with an unclosed incident of that key, the second those with an alert of that key. Each
    list has at most two ids.
    """
    rows = _PROJECTS_OF_KEYS.rows(
        connection, {"organization_id": organization_id, "source": source, "keys": list(keys)}
    )
    return {key: (unclosed, known) for key, unclosed, known in rows}


# The ARRAY selects the rows once; a join might select them again. Locked rows do not move, so their ctid stays valid.
_DELETE_SILENT = """
DELETE FROM alert_memory WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM alert_memory a
    WHERE heard < %(before)s
      AND NOT EXISTS (SELECT FROM incident i WHERE i.organization_id = a.organization_id AND i.id = a.incident_id
        AND i.status <> 2)
    ORDER BY heard LIMIT %(most)s FOR UPDATE SKIP LOCKED
))
"""


def delete_silent_alerts(connection: Connection, before: datetime, most: int) -> int:
    """Deletes at most `most` alerts not received since `before` without an unclosed incident; returns how many."""
    return connection.exec_driver_sql(_DELETE_SILENT, {"before": before, "most": most}).rowcount
