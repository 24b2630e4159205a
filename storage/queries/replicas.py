"""The processes of `serve` that run on this database, as they have recorded themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

# A process that was not seen for so long is gone: it records itself every ten seconds, and was killed or cut off.
SEEN_WITHIN = timedelta(seconds=60)
_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReplicaRow:
    """A process of `serve`."""

    id: str
    role: str
    version: str
    host: str
    clock_ahead_s: float
    date_seen: datetime


def record_replica(connection: Connection, replica: ReplicaRow) -> None:
    """Records that a process runs, and forgets those that have been gone for a day."""
    connection.exec_driver_sql(
        "WITH gone AS (DELETE FROM replica WHERE date_seen < %(forgotten)s AND id <> %(id)s)"
        " INSERT INTO replica (id, role, version, host, clock_ahead_s, date_started, date_seen)"
        " VALUES (%(id)s, %(role)s, %(version)s, %(host)s, %(ahead)s, %(seen)s, %(seen)s)"
        " ON CONFLICT (id) DO UPDATE SET date_seen = excluded.date_seen, clock_ahead_s = excluded.clock_ahead_s",
        {
            "id": replica.id,
            "role": replica.role,
            "version": replica.version,
            "host": replica.host,
            "ahead": replica.clock_ahead_s,
            "seen": replica.date_seen,
            "forgotten": replica.date_seen - _FORGOTTEN_AFTER,
        },
    )


def delete_replica(connection: Connection, replica_id: str) -> None:
    """Forgets a process that stops."""
    connection.exec_driver_sql("DELETE FROM replica WHERE id = %(id)s", {"id": replica_id})


def list_replicas(connection: Connection, now: datetime) -> list[ReplicaRow]:
    """Lists the processes that run, by role and host."""
    rows = connection.exec_driver_sql(
        "SELECT id, role, version, host, clock_ahead_s, date_seen FROM replica WHERE date_seen > %(since)s"
        " ORDER BY role, host, id",
        {"since": now - SEEN_WITHIN},
    )
    return [ReplicaRow(*row) for row in rows]


def take_lease(connection: Connection, name: str, holder: str, now: datetime, until: datetime) -> bool:
    """Takes or renews the lease of work that one process does at a time. Returns whether `holder` has it."""
    row = connection.exec_driver_sql(
        "INSERT INTO process_lease AS l (name, holder, leased_until) VALUES (%(name)s, %(holder)s, %(until)s)"
        " ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, leased_until = EXCLUDED.leased_until"
        " WHERE l.holder = EXCLUDED.holder OR l.leased_until <= %(now)s RETURNING true",
        {"name": name, "holder": holder, "now": now, "until": until},
    ).first()
    return row is not None


def release_lease(connection: Connection, name: str, holder: str) -> None:
    """Gives a lease up, so that another process can take it at once."""
    connection.exec_driver_sql(
        "DELETE FROM process_lease WHERE name = %(name)s AND holder = %(holder)s", {"name": name, "holder": holder}
    )
