"""What it takes to find the destinations that are due, and when the next one is, among those of many workspaces.

`python -m benchmarks.delivery_queue`. In every workspace most destinations have nothing to send, some wait for their
pace, and some are due.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot.delivery.service import SENDERS
from bot.delivery.serving import FEW
from storage.embedded import scratch_postgres
from storage.engine import Store
from storage.migrate import migrate
from storage.queries import leases
from storage.queries.leases import AllBut, Only, Serving

WORKSPACES = 10_000
DESTINATIONS = 400_000
DUE_EVERY, LATER_EVERY = 10, 20  # one of so many destinations is due, or will be within a minute
TIMES = 200
PAUSED = 50

out = sys.stdout


def fill(connection: Connection) -> None:
    """Workspaces and their destinations."""
    connection.exec_driver_sql("INSERT INTO organization (slug, name) VALUES ('acme', 'Acme')")
    connection.exec_driver_sql(
        "INSERT INTO workspace (id, organization_id)"
        " SELECT 'T' || n, (SELECT id FROM organization) FROM generate_series(1, %(workspaces)s) n",
        {"workspaces": WORKSPACES},
    )
    for begin in range(0, DESTINATIONS, 20_000):
        connection.exec_driver_sql(
            "INSERT INTO destination (workspace_id, channel_id, urgency, due_at)"
            " SELECT 'T' || 1 + mod(n, %(workspaces)s), 'C' || n, mod(n / %(workspaces)s, 4),"
            "   CASE WHEN mod(n / %(workspaces)s, %(due)s) = 0 THEN now() - make_interval(secs => mod(n, 600))"
            "        WHEN mod(n / %(workspaces)s, %(later)s) = 1"
            "        THEN now() + make_interval(secs => 3600 + mod(n, 60)) END"
            " FROM generate_series(%(begin)s, %(begin)s + 19999) n",
            {"workspaces": WORKSPACES, "due": DUE_EVERY, "later": LATER_EVERY, "begin": begin},
        )
    connection.exec_driver_sql("VACUUM ANALYZE")


def measure(ask: Callable[[datetime], Any], now: datetime) -> str:
    """p50 and p99 in ms. The time goes on, so that earlier leases have ended."""
    took = []
    for number in range(TIMES):
        at = now + timedelta(milliseconds=number)
        begun = time.perf_counter()
        ask(at)
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return f"{statistics.median(took):.2f} ({took[int(len(took) * 0.99) - 1]:.2f})"


def report() -> None:
    """Prints a table."""
    with scratch_postgres() as url:
        migrate(url)
        store = Store.open(url, hung_after_s=None)
        now = store.clock.now()
        with store.read() as connection:
            fill(connection)
            known = leases.list_workspaces(connection)
            served: list[tuple[str, Serving]] = [
                ("one", Only(tuple(known[:1]))),
                (f"{FEW}", Only(tuple(known[:FEW]))),
                ("all", AllBut(())),
                (f"all but {PAUSED}, paused", without(connection, known[:PAUSED], now)),
                ("half", without(connection, known[: WORKSPACES // 2], now)),
            ]
            out.write(
                f"{WORKSPACES:,} workspaces, {DESTINATIONS:,} destinations\n\n"
                "| a process serves | leasing what is due, ms p50 (p99) | when the next is due, ms p50 (p99) |\n"
                "|---|---:|---:|\n"
            )
            for name, serving in served:
                leasing = measure(partial(lease, connection, serving), now)
                asking = measure(partial(leases.find_seconds_to_next, connection, serving), now)
                out.write(f"| {name} | {leasing} | {asking} |\n")
                out.flush()
        store.close()


def lease(connection: Connection, serving: Serving, now: datetime) -> None:
    """As a process whose senders are all free. The leases end at once."""
    assert len(leases.lease_destinations(connection, serving, SENDERS, 0.0, now)) > 0


def without(connection: Connection, workspaces: list[str], now: datetime) -> AllBut:
    """All workspaces but these, as `bot.delivery.serving` finds them."""
    serving = AllBut(tuple(workspaces))
    return replace(serving, since=leases.find_first_due(connection, serving, now))


if __name__ == "__main__":
    report()
