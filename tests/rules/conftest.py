"""The rules on their own: an organization in a database, and no Slack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.engine import Store
from tests.house import House, build


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    store = Store.open(database_url)
    yield build(store)
    store.close()
