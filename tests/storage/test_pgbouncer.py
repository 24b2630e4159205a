"""The real PgBouncer: session and transaction mode work as they come, and statement mode is refused at the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text

from bot.cli import main
from storage import preflight
from storage.embedded import ROLE, as_superuser
from storage.engine import Store, create_pool
from storage.errors import DatabaseAway, DatabaseUnfit
from storage.migrate import HEAD, is_schema_current, migrate
from storage.session_settings import Pooling
from tests.cli.test_settings import VARIABLES
from tests.patience import SESSION_TIMEOUTS
from tests.storage import pgbouncer
from tests.storage.test_at_once import at_once

SHOWN = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "plan_cache_mode", "timezone")
IN_FORCE = ["2s", "1s", "10s", "force_generic_plan", "UTC"]

Pooled = Callable[..., URL]


@pytest.fixture
def pooled(database_url: str, tmp_path: Path) -> Iterator[Pooled]:
    """Starts a PgBouncer of a mode in front of the test's database; gives the URL through it."""
    with ExitStack() as started:

        def start(pool_mode: str, **settings: str) -> URL:
            server = make_url(database_url)
            return started.enter_context(pgbouncer.running(server, tmp_path, pool_mode, **settings))

        yield start


@pytest.fixture
def fresh(database_url: str) -> Iterator[URL]:
    """An empty database beside the test's own."""
    url = make_url(database_url)
    name = f"{url.database}_pooled"
    engine = create_pool(as_superuser(url), autocommit=True, size=1)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} OWNER {ROLE}"))
        yield url.set(database=name)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[URL, str], int]:
    """Runs a command on a database; gives its exit code."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(url: URL, word: str) -> int:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        return main([word])

    return run


def shown(store: Store) -> list[list[str]]:
    """What the settings are, in a transaction and for a read."""
    with store.write() as tx, store.read() as connection:
        return [[str(one.scalar(text(f"SHOW {name}"))) for name in SHOWN] for one in (tx, connection)]


@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": "options,extra_float_digits"}])
@pytest.mark.production_deadlines(*SESSION_TIMEOUTS)
def test_in_session_mode_the_settings_are_in_force(pooled: Pooled, settings: dict[str, str]) -> None:
    url = pooled("session", **settings)
    assert preflight.check_database(url) is Pooling.SESSION
    assert migrate(url, Pooling.SESSION) == (HEAD, HEAD)
    with closing(Store.open(url, reading=2, writing=2)) as store:
        assert shown(store) == [IN_FORCE, IN_FORCE]
        assert shown(store) == [IN_FORCE, IN_FORCE], "and again, on connections that have been used"


@pytest.mark.production_deadlines(*SESSION_TIMEOUTS)
def test_a_session_that_another_client_had_before_is_set_up_anew(pooled: Pooled) -> None:
    """PgBouncer resets it in between, with DISCARD ALL; what was prepared in it is gone too."""
    url = pooled("session", default_pool_size="2")
    for _ in range(3):
        with closing(Store.open(url, reading=1, writing=1)) as store:
            assert shown(store) == [IN_FORCE, IN_FORCE]


@pytest.mark.parametrize("pool", ["1", "20"])
def test_statement_mode_is_told_at_the_start_and_by_doctor(
    pooled: Pooled, command: Callable[[URL, str], int], capsys: pytest.CaptureFixture[str], pool: str
) -> None:
    url = pooled("statement", default_pool_size=pool)
    told = f"the pooler at 127.0.0.1:{url.port} is in statement mode; the bot needs session or transaction mode"
    assert command(url, "migrate") == 2
    assert capsys.readouterr().err.splitlines() == [f"DATABASE_URL: {told}"]
    assert command(url, "doctor") == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "database" in line]
    assert line.startswith(f"FAULT  database: {told}")


@pytest.mark.parametrize(
    ("mode", "consequences"),
    [
        ("session", ""),
        ("transaction", ": statements are not prepared, and work of other replicas is found by polling"),
    ],
)
def test_doctor_names_the_pooler_and_its_mode(
    pooled: Pooled,
    command: Callable[[URL, str], int],
    capsys: pytest.CaptureFixture[str],
    mode: str,
    consequences: str,
) -> None:
    url = pooled(mode)
    command(url, "doctor")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " database: " in line]
    wanted = f"through a pooler at 127.0.0.1:{url.port} in {mode} mode{consequences}"
    assert line.startswith("ok     database: PostgreSQL") and line.endswith(wanted), line


@pytest.mark.parametrize("pool", ["2", "20"])
@pytest.mark.production_deadlines(*SESSION_TIMEOUTS)
def test_in_transaction_mode_the_time_outs_are_in_force_in_each_transaction(pooled: Pooled, pool: str) -> None:
    url = pooled("transaction", default_pool_size=pool, server_round_robin="1")
    assert preflight.check_database(url) is Pooling.TRANSACTION
    in_force = [*IN_FORCE[:3], "auto", "UTC"]  # nothing is prepared there, and so nothing planned once
    with closing(Store.open(url, reading=2, writing=2, pooling=Pooling.TRANSACTION)) as store:
        for _ in range(3):
            assert shown(store) == [in_force, in_force]
        with pytest.raises(DatabaseAway, match="no answer in time"), store.read() as connection:
            connection.execute(text("SELECT pg_sleep(60)"))
        with store.write() as tx:
            tx.execute(text("SET LOCAL statement_timeout = 0"))  # as `apply` sets its own
            assert tx.scalar(text("SHOW statement_timeout")) == "0"


def test_replicas_that_start_together_migrate_once_in_transaction_mode(pooled: Pooled, fresh: URL) -> None:
    url = pooled("transaction", server_round_robin="1").set(database=fresh.database)
    results = at_once(lambda _: migrate(url, Pooling.TRANSACTION), 3)
    assert Counter(results) == {(None, HEAD): 1, (HEAD, HEAD): 2}
    with closing(Store.open(url, pooling=Pooling.TRANSACTION)) as store:
        assert is_schema_current(store)


def test_an_extension_of_another_schema_is_found_in_transaction_mode(pooled: Pooled, fresh: URL) -> None:
    engine = create_pool(fresh, size=1)
    with engine.begin() as connection:
        connection.exec_driver_sql('CREATE SCHEMA "50%% odd"; CREATE EXTENSION pg_trgm SCHEMA "50%% odd"', ())
    engine.dispose()
    url = pooled("transaction").set(database=fresh.database)
    assert migrate(url, Pooling.TRANSACTION) == (None, HEAD)


def test_a_busy_pooler_in_transaction_mode_is_found_out_too(pooled: Pooled) -> None:
    """Others take the session that the first transaction had, and give back another."""
    url = pooled("transaction", server_round_robin="1")
    with closing(Store.open(url, reading=4, writing=4)) as others, others.write() as one, others.write() as two:
        for tx in (one, two):
            tx.execute(text("SELECT 1"))
        assert preflight.check_database(url) is Pooling.TRANSACTION


@pytest.mark.production_deadlines(*SESSION_TIMEOUTS)
def test_transaction_mode_leaves_no_setting_behind_on_sessions_of_others(pooled: Pooled) -> None:
    url = pooled("transaction", default_pool_size="1")
    with closing(Store.open(url, pooling=preflight.check_database(url))) as store:
        with store.read() as connection:
            assert connection.scalar(text("SHOW statement_timeout")) == "2s"
        with store.write() as tx:
            assert tx.scalar(text("SHOW statement_timeout")) == "2s"
    engine = create_pool(url, size=1, with_settings=False)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
    engine.dispose()


def test_a_pooler_without_a_second_connection_is_told_and_not_waited_for(
    pooled: Pooled,
    command: Callable[[URL, str], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would answer after two minutes (query_wait_timeout)."""
    monkeypatch.setattr(preflight, "_HUNG_AFTER_S", 0.5)
    url = pooled("session", default_pool_size="1")
    assert command(url, "migrate") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("the database cannot be used: the pooler has no second connection for the bot")


def test_a_pooler_that_drops_settings_is_told(pooled: Pooled, monkeypatch: pytest.MonkeyPatch) -> None:
    url = pooled("session")
    monkeypatch.setattr(preflight, "STATEMENT_TIMEOUT_MS", 1234)  # asked for, as it were, and 2000 found in force
    with pytest.raises(DatabaseUnfit, match=r"drops settings \(statement_timeout\)"):
        preflight.check_database(url)


def test_without_a_pooler_nothing_is_said(database_url: str) -> None:
    assert preflight.check_database(make_url(database_url)) is Pooling.NONE
