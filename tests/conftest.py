"""The date of the run, and a real database for every test that asks for one: one server for the whole run, one database
for each worker.

Tests commit for real, the only way to try locks, threads and LISTEN; what they wrote is deleted after each.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Any

import hypothesis
import pytest
import uvicorn.server
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text

from storage.embedded import ROLE, as_superuser, scratch_postgres
from storage.migrate import migrate
from storage.models import Base
from storage.queries import direct_messages, outbox
from tests.applied import let_triggers_be_left_out
from tests.clock import DAYS_AHEAD, ahead, choose_date, find_shadows_first, shadow_database_time
from tests.compiled import share_compiled_statements
from tests.held import watched
from tests.kept import KeptConnections, keep_connections
from tests.long import LONG
from tests.measuring import leave_out_the_sandbox
from tests.patience import be_patient, production_deadlines

TEMPLATE = "migrated"
MAKING_THE_TEMPLATE = 1  # an advisory lock in the database `tocsin`, which holds nothing else
ENDED_WITHIN_S = 60
COLLECTED_AFTER = (50_000, 20, 20)  # objects, and collections of each younger generation
# Does not wait for their end as it could: it would look every 0.1 s, and most are about to end by themselves.
END_ALL_OTHERS = text("""
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
AND pid <> ALL(CAST(:kept AS int[]))
""")

_server = pytest.StashKey[str]()


class Hurried:
    """asyncio, with sleeps of a tenth: uvicorn looks every 0.1 s whether to stop, and then waits 0.1 s for clients."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


def pytest_configure() -> None:
    """Chooses the date, before anything can ask for it, and has messages updated sooner than people would need it."""
    choose_date()
    # The same cases in every run, so that a run does not fail for what another one had to find. At full size, new ones.
    hypothesis.settings.register_profile("tocsin", derandomize=not LONG, database=None, deadline=None)
    hypothesis.settings.load_profile("tocsin")
    outbox.CARD_DEBOUNCE_S = direct_messages._DEBOUNCE_S = 0.05
    direct_messages._LONG_DEBOUNCE_S = 0.5
    leave_out_the_sandbox()
    share_compiled_statements()
    setattr(uvicorn.server, "asyncio", Hurried())  # noqa: B010 - mypy does not know of the import there


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Has no garbage collected while modules are loaded: what they make stays, and looking took half of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Has the garbage collector pass over what stays for the whole run, and look seldom: a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def pytest_report_header() -> str:
    """Says how to run the tests at the same date again."""
    return f"date: {ahead().days} days ahead; again with {DAYS_AHEAD}={ahead().days}"


def server_of(config: pytest.Config) -> str:
    """The URL of the run's server, started at the first call in the process that outlives all workers."""
    if hasattr(config, "workerinput"):
        return str(config.workerinput["server"])
    if _server not in config.stash:
        running = ExitStack()
        config.stash[_server] = running.enter_context(scratch_postgres())
        config.add_cleanup(running.close)
    return config.stash[_server]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the server to a worker of xdist."""
    node.workerinput["server"] = server_of(node.config)


@pytest.fixture(scope="session")
def worker_database(request: pytest.FixtureRequest) -> Iterator[URL]:
    """This worker's copy of a database that was migrated once for all, with the bot's role: no superuser."""
    server = make_url(server_of(request.config))
    name = "test_" + getattr(request.config, "workerinput", {}).get("workerid", "alone")
    engine = create_engine(as_superuser(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MAKING_THE_TEMPLATE})
        known = connection.scalars(text("SELECT datname FROM pg_database")).all()
        if TEMPLATE not in known:
            if "unfinished" in known:  # another worker's migration failed: have it fail here too
                connection.execute(text("DROP DATABASE unfinished WITH (FORCE)"))
            let_triggers_be_left_out(server)
            connection.execute(text(f"CREATE DATABASE unfinished OWNER {ROLE}"))
            shadow_database_time(server.set(database="unfinished"))
            migrate(server.set(database="unfinished"))
            connection.execute(text(f"ALTER DATABASE unfinished RENAME TO {TEMPLATE}"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {ROLE}"))
    engine.dispose()
    find_shadows_first(server.set(database=name))
    yield server.set(database=name)


@pytest.fixture(scope="session")
def cleaner(worker_database: URL) -> Iterator[Engine]:
    engine = create_engine(as_superuser(worker_database), isolation_level="AUTOCOMMIT", pool_size=1, pool_pre_ping=True)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """However busy the machine is: what a test is not about should not decide it."""
    be_patient()


@pytest.fixture(autouse=True)
def deadlines(request: pytest.FixtureRequest) -> Iterator[None]:
    """The deadlines that a test is about are those of production."""
    marker = request.node.get_closest_marker("production_deadlines")
    if marker is None:
        yield
    else:
        with production_deadlines(*marker.args):
            yield


@pytest.fixture(scope="session")
def kept(worker_database: URL) -> Iterator[KeptConnections]:
    with keep_connections(str(worker_database.database)) as connections:
        yield connections


def end_all_others(connection: Connection, kept: KeptConnections) -> None:
    """Ends every other connection to this database that is in use, and waits until the server has ended its process."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while connection.scalar(END_ALL_OTHERS, {"kept": kept.list_pids()}):
        assert time.monotonic() < deadline, "connections to the test's database do not end"
        time.sleep(0.005)


@pytest.fixture
def database_url(worker_database: URL, cleaner: Engine, kept: KeptConnections) -> Iterator[str]:
    """The URL of a migrated database without rows."""
    yield worker_database.render_as_string(hide_password=False)
    deletions = [f"DELETE FROM {table.name}" for table in reversed(Base.metadata.sorted_tables)]  # noqa: S608
    with cleaner.connect() as connection:
        # Whoever was killed or cut off may still be at work there, and would hold rows in another order.
        end_all_others(connection, kept)
        # Without triggers: one refuses to delete the audit log, and the others would look for rows that go, too.
        connection.execute(
            text("; ".join(["SET session_replication_role = replica", *deletions, "RESET session_replication_role"]))
        )


@pytest.fixture(autouse=True)
def called_with_a_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Where Slack was called with a connection in hand; what is left in it fails the test."""
    with watched(monkeypatch) as found:
        yield found
    assert not found, found[0]
