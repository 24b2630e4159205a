"""What is due is found among the workspaces that a process serves, whatever waits in others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bot.delivery.api_calls import WorkspaceClient
from bot.delivery.pace import Pace
from bot.delivery.serving import ServedWorkspaces
from bot.slack.clients import Clients
from sandbox import Sandbox
from storage.engine import Store
from storage.queries import leases, pacing
from storage.queries.leases import AllBut, Only, Serving
from tests.stories.conftest import ORGANIZATION, apply_file

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINE, OTHER = "T0001", "T0002"
ELSEWHERE = 3000
FEW_ROWS = 20  # that a look may read


@pytest.fixture
def waiting(store: Store, tmp_path: Path) -> Store:
    """Much has been due for long in another workspace; one destination is due here and one will be in a minute."""
    apply_file(store, tmp_path, ORGANIZATION)
    with store.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO workspace (id, organization_id) SELECT %(other)s, id FROM organization", {"other": OTHER}
        )
        add_destinations(tx, OTHER, ELSEWHERE, NOW - timedelta(days=30))
        add_destinations(tx, MINE, 1, NOW - timedelta(seconds=5))
        add_destinations(tx, MINE, 1, NOW + timedelta(seconds=60))
    with store.read() as connection:
        connection.exec_driver_sql("ANALYZE destination")
    return store


def add_destinations(tx: Connection, workspace_id: str, count: int, due_at: datetime) -> None:
    """Channels in which something is due at that time."""
    tx.exec_driver_sql(
        "INSERT INTO destination (workspace_id, channel_id, urgency, due_at)"
        " SELECT %(workspace)s, 'C' || %(due)s || '-' || n, 2, %(due)s::timestamptz"
        " FROM generate_series(1, %(count)s) n",
        {"workspace": workspace_id, "count": count, "due": due_at},
    )


def count_read(store: Store, ask: Callable[[Connection], object]) -> int:
    """The rows of destinations that a question reads."""
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'destination'"
    with store.write() as tx:
        before = int(tx.exec_driver_sql(read).scalar() or 0)
        ask(tx)
        return int(tx.exec_driver_sql(read).scalar_one()) - before


@pytest.fixture
def served(waiting: Store, slack: Sandbox) -> ServedWorkspaces:
    """A process with a client for one workspace, that takes what is due in any but the others."""
    slack.person("U0001", "Ada Obi", "ada@acme.test")
    clients = Clients.connect(slack.bot_token, slack.api_url)
    of_workspaces = {one.workspace_id: WorkspaceClient(one, one.client) for one in clients.all()}
    waiting.clock.offset = NOW - waiting.clock.now() + waiting.clock.offset
    return ServedWorkspaces(of_workspaces, Pace(), waiting.clock, few=0)


def find_served(store: Store, served: ServedWorkspaces) -> Serving:
    """The workspaces to send to."""
    with store.reading() as reading:
        found = served.find(reading)
    assert found is not None
    return found


def lease(store: Store, serving: Serving, now: datetime = NOW) -> list[str]:
    """The workspaces of what is leased, for no time."""
    with store.read() as connection:
        return [one.workspace_id for one in leases.lease_destinations(connection, serving, 8, 0.0, now)]


def test_few_workspaces_are_looked_up(waiting: Store) -> None:
    serving = Only((MINE,))
    assert lease(waiting, serving) == [MINE]
    with waiting.read() as connection:
        assert leases.find_seconds_to_next(connection, serving, NOW) == 60.0
    assert count_read(waiting, lambda tx: leases.lease_destinations(tx, serving, 8, 0.0, NOW)) < FEW_ROWS
    assert count_read(waiting, lambda tx: leases.find_seconds_to_next(tx, serving, NOW)) < FEW_ROWS


def test_what_nobody_serves_is_not_read_at_every_look(waiting: Store, served: ServedWorkspaces) -> None:
    serving = find_served(waiting, served)
    assert isinstance(serving, AllBut) and serving.workspaces == (OTHER,)
    assert lease(waiting, serving) == [MINE]
    assert count_read(waiting, lambda tx: leases.lease_destinations(tx, serving, 8, 0.0, NOW)) < FEW_ROWS
    assert count_read(waiting, lambda tx: leases.find_seconds_to_next(tx, serving, NOW)) < FEW_ROWS
    assert find_served(waiting, served) is serving, "where to begin is read once in a while"


def test_what_became_due_meanwhile_is_found(waiting: Store, served: ServedWorkspaces) -> None:
    serving = find_served(waiting, served)
    with waiting.write() as tx:
        add_destinations(tx, MINE, 2, NOW - timedelta(seconds=30))
    assert lease(waiting, serving) == [MINE] * 3
    assert lease(waiting, serving, NOW + timedelta(seconds=61)) == [MINE] * 4


def test_a_workspace_that_takes_messages_again_is_found_with_what_waited(
    waiting: Store, served: ServedWorkspaces
) -> None:
    with waiting.write() as tx:
        add_destinations(tx, MINE, 1, NOW - timedelta(days=60))
        pacing.pause_workspace(tx, MINE, "token_revoked", 30.0, NOW)
    assert lease(waiting, find_served(waiting, served)) == []
    with waiting.write() as tx:
        pacing.resume_workspace(tx, MINE)
    assert lease(waiting, find_served(waiting, served)) == [MINE] * 2


def test_nothing_waits_for_the_old_time_when_the_clock_is_set_back(waiting: Store, served: ServedWorkspaces) -> None:
    find_served(waiting, served)
    back = NOW - timedelta(hours=1)
    waiting.clock.offset -= timedelta(hours=1)
    with waiting.write() as tx:
        tx.exec_driver_sql("UPDATE destination SET due_at = %(now)s WHERE workspace_id = 'T0001'", {"now": back})
    assert lease(waiting, find_served(waiting, served), back) == [MINE] * 2
