"""Slack's calls are shared: what nobody waits for takes at most half of them, and comes behind what a channel reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Connection

from bot.delivery.pace import Pace
from storage.engine import Store
from storage.queries import pacing
from tests.house import NOW, build

PACE = Pace()


@pytest.fixture
def tx(database_url: str) -> Iterator[Connection]:
    with closing(Store.open(database_url)) as store:
        build(store)
        with store.write() as tx:
            yield tx
            tx.rollback()


def take(tx: Connection, name: str, interval_s: float, count: int, behind: str | None = None) -> list[float]:
    """The seconds that each of so many calls has to wait."""
    return [
        pacing.take_slot(tx, "T-acme", name, interval_s, PACE.update_burst, NOW, behind=behind) for _ in range(count)
    ]


def test_updates_that_nobody_waits_for_are_spread_and_hold_up_no_card(tx: Connection) -> None:
    news = take(tx, "news", PACE.news_update_s, 1000, behind="cards")
    assert news[: PACE.update_burst] == [0.0] * PACE.update_burst
    assert news[-1] == pytest.approx(990 * PACE.news_update_s)
    assert PACE.news_update_s == 2 * PACE.update_s
    assert take(tx, "cards", PACE.update_s, 1) == [0.0]


def test_they_come_behind_the_cards_that_wait_already(tx: Connection) -> None:
    last = take(tx, "cards", PACE.update_s, 500)[-1]
    (news,) = take(tx, "news", PACE.news_update_s, 1, behind="cards")
    assert news == pytest.approx(500 * PACE.update_s + PACE.news_update_s - PACE.update_burst * PACE.news_update_s)
    assert news > 0.95 * last
