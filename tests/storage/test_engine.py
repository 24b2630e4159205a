"""What the driver raises becomes the errors of `storage.errors`, whichever way the database is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing

import pytest

from storage.engine import Store
from storage.errors import DatabaseAway

NOBODY_THERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.mark.parametrize("way", ["read", "write", "listen"])
def test_a_server_that_is_down_is_away(way: str) -> None:
    with closing(Store.open(NOBODY_THERE)) as store:
        ways: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "read": store.read,
            "write": store.write,
            "listen": lambda: store.listen("anything"),
        }
        with pytest.raises(DatabaseAway), ways[way]():
            pass
