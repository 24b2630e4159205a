"""Which destinations are due, and leases of them.

Callers pass in the time of `storage.clock`. Replicas whose clocks differ or jump then agree on leases.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.values import Urgency


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease of one destination. Only the lease with the latest `number` is valid."""

    destination_id: int
    number: int
    workspace_id: str


@dataclass(frozen=True, slots=True)
class Only:
    """These few workspaces. Each is looked up by itself, whatever waits in others."""

    workspaces: tuple[str, ...]


_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# A transaction may commit a destination that is due this long after the time at which it was due.
_LATE_COMMIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class AllBut:
    """All workspaces but these. `since`: by urgency, nothing else was due before that when it was read."""

    workspaces: tuple[str, ...]
    since: tuple[datetime, ...] = (_BEGINNING,) * len(Urgency)


Serving = Only | AllBut

FREE = "(leased_until IS NULL OR leased_until <= %(now)s)"
_DUE_IN_ONLY = f"""
SELECT found.id FROM unnest(%(workspaces)s::text[]) AS w(id)
CROSS JOIN LATERAL (SELECT id, due_at FROM destination
                    WHERE workspace_id = w.id AND urgency = u.urgency AND due_at <= %(now)s AND {FREE}
                    ORDER BY due_at LIMIT {{count}} FOR NO KEY UPDATE SKIP LOCKED) found
ORDER BY found.due_at LIMIT {{count}}
"""  # noqa: S608 - composed of constants
# What a prepared statement leaves out is hashed only as a subquery: an array would be read for each row.
_DUE_IN_ALL_BUT = f"""
SELECT id FROM destination
WHERE urgency = u.urgency AND due_at <= %(now)s AND due_at >= u.since AND {FREE}
  AND workspace_id NOT IN (SELECT unnest(string_to_array(%(workspaces)s, ',')))
ORDER BY due_at LIMIT {{count}} FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - composed of constants


@cache
def _build_lease(count: int, *, few: bool) -> PreparedStatement:
    """Builds the statement for so many destinations: one for any number would be planned for a tenth of all."""
    due = (_DUE_IN_ONLY if few else _DUE_IN_ALL_BUT).format(count=count)
    return PreparedStatement(
        f"""
UPDATE destination d SET leased_until = %(now)s + make_interval(secs => %(seconds)s), lease = d.lease + 1
FROM (SELECT f.id FROM unnest(ARRAY[0, 1, 2, 3], %(since)s) AS u(urgency, since)
      CROSS JOIN LATERAL ({due}) f ORDER BY u.urgency LIMIT {count}) picked
WHERE d.id = picked.id RETURNING d.id, d.lease, d.workspace_id, d.urgency
""",  # noqa: S608 - composed of constants
        {
            "now": "timestamptz",
            "seconds": "float8",
            "since": "timestamptz[]",
            "workspaces": "text[]" if few else "text",
        },
    )


def _build_next(within: str, mine: str) -> PreparedStatement:
    return PreparedStatement(
        f"""
SELECT EXTRACT(epoch FROM min(n.due_at) - %(now)s)::float8
FROM unnest(ARRAY[0, 1, 2, 3]) AS u(urgency) CROSS JOIN {within}
CROSS JOIN LATERAL (SELECT due_at FROM destination WHERE urgency = u.urgency AND due_at > %(now)s {mine}
                    ORDER BY due_at LIMIT 1) n
""",  # noqa: S608 - composed of constants
        {"now": "timestamptz"},
    )


_NEXT_IN_ONLY = _build_next("unnest(%(workspaces)s::text[]) AS w(id)", "AND workspace_id = w.id")
_NEXT_ANYWHERE = _build_next("(VALUES (0)) AS w", "")


def lease_destinations(
    connection: Connection, serving: Serving, count: int, seconds: float, now: datetime
) -> list[Lease]:
    """Leases up to `count` destinations that are due and not leased, for `seconds`. Returns the most urgent first."""
    few = isinstance(serving, Only)
    rows = _build_lease(count, few=few).rows(
        connection,
        {
            "seconds": seconds,
            "workspaces": list(serving.workspaces) if few else ",".join(serving.workspaces),
            "since": list(serving.since) if isinstance(serving, AllBut) else None,
            "now": now,
        },
    )
    return [Lease(*row[:3]) for row in sorted(rows, key=lambda row: int(row[3]))]


def find_seconds_to_next(connection: Connection, serving: Serving, now: datetime) -> float | None:
    """Returns the seconds until another destination becomes due, or None. Those already due do not count.

    Where all workspaces but some are served, it may be a destination of one that is not.
    """
    statement = _NEXT_IN_ONLY if isinstance(serving, Only) else _NEXT_ANYWHERE
    row = statement.row(connection, {"workspaces": list(serving.workspaces), "now": now})
    return None if row is None else row[0]


def find_first_due(connection: Connection, serving: AllBut, now: datetime) -> tuple[datetime, ...]:
    """Returns, by urgency, the time before which nothing was or will be due in the served workspaces."""
    rows = connection.exec_driver_sql(
        "SELECT f.due_at FROM unnest(ARRAY[0, 1, 2, 3]) AS u(urgency)"
        " LEFT JOIN LATERAL (SELECT due_at FROM destination WHERE urgency = u.urgency AND due_at <= %(now)s"
        "                      AND workspace_id <> ALL(string_to_array(%(workspaces)s, ','))"
        "                    ORDER BY due_at LIMIT 1) f ON true ORDER BY u.urgency",
        {"workspaces": ",".join(serving.workspaces), "now": now},
    )
    return tuple(min(due_at or now, now) - _LATE_COMMIT for (due_at,) in rows)


def list_workspaces(connection: Connection) -> list[str]:
    """Lists the ids of all workspaces."""
    return list(connection.exec_driver_sql("SELECT id FROM workspace").scalars())
