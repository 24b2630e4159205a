"""What digests share: loaded once, by one thread, and for a moment only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest

from bot.digests.shared_results import VALID_S, SharedResults
from storage.digest_rows import Fire

MOMENT = datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_a_result_is_loaded_once_until_it_is_old() -> None:
    clock = [0.0]
    shared = SharedResults(lambda: clock[0])
    loaded: list[str] = []

    def get(key: str) -> int:
        return shared.get(key, lambda: loaded.append(key) or len(loaded))  # type: ignore[func-returns-value]

    assert [get("a"), get("a"), get("b"), get("a")] == [1, 1, 2, 1]
    clock[0] = VALID_S
    assert get("a") == 3


def make_fire(*, by_hand: bool) -> Fire:
    return Fire(1, 1, 1, MOMENT, MOMENT, by_hand, None, None)


def test_the_fires_of_a_minute_share_in_each_attempt() -> None:
    shared, fire = SharedResults(lambda: 0.0), make_fire(by_hand=False)
    assert shared.choose(fire, 1).get("a", lambda: 1) == 1
    assert shared.choose(fire, 2).get("a", lambda: 2) == 2
    assert shared.choose(fire, 1).get("a", lambda: 3) == 1


def test_a_fire_by_hand_shows_what_has_just_been_done() -> None:
    shared, fire = SharedResults(), make_fire(by_hand=True)
    assert [shared.choose(fire).get("a", lambda: count) for count in (1, 2)] == [1, 2]  # noqa: B023 - called at once


def test_several_threads_wait_for_the_one_that_loads() -> None:
    shared, began, goes_on = SharedResults(lambda: 0.0), Event(), Event()

    def load() -> int:
        assert not began.is_set(), "loaded twice"
        began.set()
        assert goes_on.wait(60)
        return 1

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(shared.get, "a", load) for _ in range(4)]
        assert began.wait(60)
        goes_on.set()
        assert [one.result(60) for one in results] == [1, 1, 1, 1]


def test_what_could_not_be_loaded_is_tried_again() -> None:
    shared = SharedResults()

    def fail() -> int:
        raise ValueError

    with pytest.raises(ValueError):
        shared.get("a", fail)
    assert shared.get("a", lambda: 1) == 1
