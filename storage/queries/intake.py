"""What taking an alert in needs to know and to write: the token, the alert's memory, its incident."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from storage.models import IntakeToken, Team
from storage.prepared import Prepared
from storage.rows import IncidentHead
from storage.values import Status, StatusMethod


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """What taking an alert in needs to know of a project."""

    id: int
    slug: str
    quiet: timedelta  # within which an alert that ended and fires again is the same incident


@dataclass(frozen=True, slots=True)
class Token:
    """An intake token that has not been revoked."""

    id: int
    organization_id: int
    project: ProjectFacts | None  # None: each alert names its own
    source: str
    token_hash: str | None
    secret_encrypted: str | None
    last_used: datetime | None
    incidents: bool  # whether the organization has incidents switched on


@dataclass(frozen=True, slots=True)
class Memory:
    """What an alert has said of itself so far; its row is held locked."""

    dedup_key: str
    incident_id: int | None
    status: Status | None  # the severity that it last fired with
    fired: datetime | None  # when the latest firing began, if the alert said so
    resolved: datetime | None  # when the latest one ended
    resolved_received: datetime | None  # when that was told


@dataclass(frozen=True, slots=True)
class AlertIncident:
    """An alert's incident; its row is held locked."""

    head: IncidentHead
    dedup_key: str | None
    method: StatusMethod  # what set its present status
    project_ids: frozenset[int]


_TOKEN = """
SELECT t.id, t.organization_id, t.source, t.token_hash, t.secret_encrypted, t.last_used, o.incidents,
       p.id, p.slug, p.quiet_minutes
FROM intake_token t JOIN organization o ON o.id = t.organization_id LEFT JOIN project p ON p.id = t.project_id
WHERE t.date_revoked IS NULL AND """
_TOKEN_BY_HASH = Prepared(_TOKEN + "t.token_hash = %(token_hash)s", {"token_hash": "text"})
_TOKEN_BY_ID = Prepared(_TOKEN + "t.id = %(id)s", {"id": "bigint"})


def token_by_hash(connection: Connection, token_hash: str) -> Token | None:
    """The token with that hash, unless it has been revoked."""
    return _token(_TOKEN_BY_HASH.row(connection, {"token_hash": token_hash}))


def token_by_id(connection: Connection, token_id: int) -> Token | None:
    """The token with that id, unless it has been revoked."""
    return _token(_TOKEN_BY_ID.row(connection, {"id": token_id}))


def _token(row: tuple[Any, ...] | None) -> Token | None:
    if row is None:
        return None
    id_, organization_id, source, hashed, sealed, last_used, incidents, project_id, slug, quiet = row
    project = None if project_id is None else ProjectFacts(project_id, slug, timedelta(minutes=quiet))
    return Token(id_, organization_id, project, source, hashed, sealed, last_used, incidents)


def mark_used(connection: Connection, token_id: int, now: datetime) -> None:
    """Records that a token was used."""
    connection.execute(update(IntakeToken).where(IntakeToken.id == token_id).values(last_used=now))


_PROJECTS = Prepared(
    """
SELECT id, slug, quiet_minutes FROM project
WHERE organization_id = %(organization_id)s AND slug = ANY(%(slugs)s)
""",
    {"organization_id": "bigint", "slugs": "text[]"},
)


def projects(connection: Connection, organization_id: int, slugs: Collection[str]) -> list[ProjectFacts]:
    """The projects of an organization with these slugs."""
    rows = _PROJECTS.rows(connection, {"organization_id": organization_id, "slugs": list(slugs)})
    return [ProjectFacts(id_, slug, timedelta(minutes=quiet)) for id_, slug, quiet in rows]


def team_ids(connection: Connection, organization_id: int, slugs: Collection[str]) -> dict[str, int]:
    """The teams with these slugs: slug to id."""
    rows = connection.execute(
        select(Team.slug, Team.id).where(Team.organization_id == organization_id, Team.slug.in_(slugs))
    )
    return {row.slug: row.id for row in rows}


# The update also locks the row and lets it be returned. In the order of the keys, so that two batches with the same
# alerts wait for each other instead of deadlocking.
_HOLD = Prepared(
    """
INSERT INTO alert_memory AS m (organization_id, dedup_key, heard)
SELECT %(organization_id)s, key, %(now)s FROM unnest(%(keys)s) AS k(key) ORDER BY key
ON CONFLICT (organization_id, dedup_key) DO UPDATE SET heard = EXCLUDED.heard
RETURNING m.dedup_key, m.incident_id, m.status, m.fired, m.resolved, m.resolved_received
""",
    {"organization_id": "bigint", "keys": "text[]", "now": "timestamptz"},
)


def hold_memories(tx: Connection, organization_id: int, keys: Iterable[str], now: datetime) -> dict[str, Memory]:
    """The memories of these alerts by key, empty ones made where there are none, held until the end.

    They are noted as heard of now.
    """
    rows = _HOLD.rows(tx, {"organization_id": organization_id, "keys": sorted(set(keys)), "now": now})
    return {
        key: Memory(key, incident, None if status is None else Status(status), fired, resolved, received)
        for key, incident, status, fired, resolved, received in rows
    }


# The rows are there. As an UPDATE it would be planned once, on a table that is still small, to read all of it.
_KEEP = Prepared(
    """
INSERT INTO alert_memory AS m (organization_id, dedup_key, incident_id, status, fired, resolved, resolved_received)
SELECT %(organization_id)s, k.*
FROM unnest(%(keys)s, %(incidents)s, %(statuses)s, %(fired)s, %(resolved)s, %(received)s) AS k
ON CONFLICT (organization_id, dedup_key) DO UPDATE
SET incident_id = EXCLUDED.incident_id, status = EXCLUDED.status, fired = EXCLUDED.fired,
    resolved = EXCLUDED.resolved, resolved_received = EXCLUDED.resolved_received
RETURNING m.dedup_key
""",
    {
        "organization_id": "bigint",
        "keys": "text[]",
        "incidents": "bigint[]",
        "statuses": "smallint[]",
        "fired": "timestamptz[]",
        "resolved": "timestamptz[]",
        "received": "timestamptz[]",
    },
)


def keep_memories(tx: Connection, organization_id: int, memories: Collection[Memory]) -> None:
    """Writes memories that are held."""
    if not memories:
        return
    _KEEP.rows(
        tx,
        {
            "organization_id": organization_id,
            "keys": [m.dedup_key for m in memories],
            "incidents": [m.incident_id for m in memories],
            "statuses": [None if m.status is None else int(m.status) for m in memories],
            "fired": [m.fired for m in memories],
            "resolved": [m.resolved for m in memories],
            "received": [m.resolved_received for m in memories],
        },
    )


# An alert's incident is the unclosed one with its key, else the last that the alert had. (A person may have
# reopened an older one, or one whose alert has been forgotten.) Key by key, because for all of them at once the
# planner reads every unclosed incident of the organization as long as there are few.
_INCIDENTS = Prepared(
    """
SELECT i.id, i.identifier, i.title, i.status, i.status_before_closing, i.date_started, i.date_closed, i.dedup_key,
       i.status_method, ARRAY(SELECT ip.project_id FROM incident_project ip WHERE ip.incident_id = i.id)
FROM incident i
WHERE i.id = ANY(%(ids)s || ARRAY(
    SELECT o.id
    FROM unnest(%(keys)s) AS k(dedup_key), LATERAL (
        SELECT id FROM incident
        WHERE organization_id = %(organization_id)s AND dedup_key = k.dedup_key AND status <> 2
        OFFSET 0
    ) o
))
ORDER BY i.id
FOR NO KEY UPDATE OF i
""",
    {"organization_id": "bigint", "keys": "text[]", "ids": "bigint[]"},
)


def hold_incidents(tx: Connection, organization_id: int, memories: Collection[Memory]) -> dict[str, AlertIncident]:
    """The incidents of these alerts by dedup key, held until the transaction ends."""
    rows = _INCIDENTS.rows(
        tx,
        {
            "organization_id": organization_id,
            "keys": [memory.dedup_key for memory in memories],
            "ids": [memory.incident_id for memory in memories if memory.incident_id is not None],
        },
    )
    by_id: dict[int, AlertIncident] = {}
    unclosed: dict[str, AlertIncident] = {}
    for id_, identifier, title, status, before, started, closed, key, method, project_ids in rows:
        head = IncidentHead(
            id_, identifier, title, Status(status), None if before is None else Status(before), started, closed
        )
        found = AlertIncident(head, key, StatusMethod(method), frozenset(project_ids))
        by_id[id_] = found
        if head.status is not Status.CLOSED and key is not None:
            unclosed[key] = found
    result = {}
    for memory in memories:
        incident = unclosed.get(memory.dedup_key) or by_id.get(memory.incident_id or 0)
        if incident is not None:
            result[memory.dedup_key] = incident
    return result


# No index on `heard`: it would be written with every delivery, and this looks through the table once in a while.
_FORGET = """
DELETE FROM alert_memory m USING (
    SELECT organization_id, dedup_key FROM alert_memory a
    WHERE heard < %(before)s
      AND NOT EXISTS (SELECT FROM incident i WHERE i.id = a.incident_id AND i.status <> 2)
    LIMIT %(most)s FOR UPDATE SKIP LOCKED
) old
WHERE m.organization_id = old.organization_id AND m.dedup_key = old.dedup_key
"""


def forget_silent(connection: Connection, before: datetime, most: int) -> int:
    """Removes what alerts said that are not heard of since then, unless their incident is open.

    Gives how many it was, of at most `most`.
    """
    return connection.exec_driver_sql(_FORGET, {"before": before, "most": most}).rowcount
