"""What the other tests rely on: a database that is migrated, and empty again after each test."""

from __future__ import annotations

import psycopg2
import pytest
from sqlalchemy import URL, Engine, create_engine, insert, text

from storage.engine import Store
from storage.migrate import is_schema_current
from storage.models import Organization
from tests.conftest import end_all_others


@pytest.mark.parametrize("time", ["the first time", "and again"])
def test_rows_do_not_outlive_their_test(database_url: str, time: str) -> None:
    store = Store.open(database_url)
    assert is_schema_current(store)
    with store.write() as connection:
        connection.execute(insert(Organization).values(slug="the-same", name=time))
    store.close()


def test_whoever_is_left_over_is_ended_before_rows_are_deleted(worker_database: URL, cleaner: Engine) -> None:
    engine = create_engine(worker_database)
    with engine.connect() as left:
        left.execute(insert(Organization).values(slug="held", name="by a transaction that nobody ends"))
        with cleaner.connect() as connection:
            end_all_others(connection)
            others = text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend'"
            )
            assert connection.execute(others).scalar_one() == 1
        with pytest.raises(psycopg2.OperationalError):
            left.connection.cursor().execute("SELECT 1")
        left.invalidate()
    engine.dispose()
