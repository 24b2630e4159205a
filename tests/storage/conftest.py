"""A store, and an organization in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.engine import Store
from tests.house import House, build


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


@pytest.fixture
def house(store: Store) -> House:
    return build(store)
