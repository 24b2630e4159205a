"""What the other tests rely on: a database that is migrated, and empty again after each test."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from storage.engine import Store
from storage.migrate import schema_is_current
from storage.models import Organization


@pytest.mark.parametrize("time", ["the first time", "and again"])
def test_rows_do_not_outlive_their_test(database_url: str, time: str) -> None:
    store = Store.open(database_url)
    assert schema_is_current(store)
    with store.write() as connection:
        connection.execute(insert(Organization).values(slug="the-same", name=time))
    store.close()
