"""What the other tests rely on: a database that is migrated, and empty again after each test."""

from __future__ import annotations

import contextlib

import psycopg2
import pytest
from sqlalchemy import URL, Engine, create_engine, insert, text

from storage.engine import Store
from storage.migrate import is_schema_current
from storage.models import Organization
from tests.conftest import end_all_others
from tests.kept import KeptConnections

# Without the process, those of every other database of the server are counted too: other tests run beside this one.
OWN_ADVISORY_LOCKS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.mark.parametrize("time", ["the first time", "and again"])
def test_rows_do_not_outlive_their_test(database_url: str, time: str) -> None:
    store = Store.open(database_url)
    assert is_schema_current(store)
    with store.write() as connection:
        connection.execute(insert(Organization).values(slug="the-same", name=time))
    store.close()


def test_whoever_is_left_over_is_ended_before_rows_are_deleted(
    worker_database: URL, cleaner: Engine, kept: KeptConnections
) -> None:
    engine = create_engine(worker_database)
    with engine.connect() as left:
        left.execute(insert(Organization).values(slug="held", name="by a transaction that nobody ends"))
        with cleaner.connect() as connection:
            end_all_others(connection, kept)
            others = text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> ALL(CAST(:kept AS int[]))"
            )
            assert connection.execute(others, {"kept": kept.list_pids()}).scalar_one() == 1
        with pytest.raises(psycopg2.OperationalError):
            left.connection.cursor().execute("SELECT 1")
        left.invalidate()
    engine.dispose()


def test_a_connection_that_is_kept_has_nothing_of_who_had_it(database_url: str) -> None:
    pids = set()
    for _ in range(2):
        store = Store.open(database_url)
        with store.read() as connection:
            pids.add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            assert connection.exec_driver_sql("SHOW work_mem").scalar_one() != "1MB"
            assert not connection.exec_driver_sql("SELECT pg_listening_channels()").all()
            assert not connection.exec_driver_sql(OWN_ADVISORY_LOCKS).all()
            connection.exec_driver_sql("SET work_mem = '1MB'; LISTEN something; SELECT pg_advisory_lock(1)")
            connection.exec_driver_sql("CREATE TEMP TABLE passing (id int)")
        store.close()
    assert len(pids) == 1


@pytest.mark.parametrize("end", ["BEGIN", "SELECT pg_terminate_backend(pg_backend_pid())"])
def test_a_connection_that_is_not_in_order_is_not_kept(database_url: str, kept: KeptConnections, end: str) -> None:
    kept.close()
    connection = create_engine(database_url).raw_connection().driver_connection
    assert connection is not None
    connection.autocommit = True
    with contextlib.suppress(psycopg2.OperationalError), connection.cursor() as cursor:
        cursor.execute(end)
    connection.close()
    assert connection.closed and not kept.list_pids()
