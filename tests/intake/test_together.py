"""Deliveries that come at once share a transaction: each gets its own answer, and none suffers from another."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.intake.together import Together
from tests.intake.conftest import Bench

PATIENCE_S = 30.0
CALLERS = 12


class Held:
    """Work that waits until it is let go, and notes what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        self.begun.set()
        assert self.go.wait(PATIENCE_S)
        if any(item < 0 for item in items):
            raise ValueError(items)
        return [item * 10 for item in items]


def gathered(
    together: Together[int, int], work: Held, pool: ThreadPoolExecutor, shares: list[list[int]]
) -> list[object]:
    """What the callers got who all came while the first one's work went on."""
    first = pool.submit(together.do, "key", shares[0], work)
    assert work.begun.wait(PATIENCE_S)
    others = [pool.submit(together.do, "key", share, work) for share in shares[1:]]
    while len(together._waiting["key"]) < len(others):
        threading.Event().wait(0.01)
    work.go.set()
    return [one.exception(PATIENCE_S) or one.result() for one in [first, *others]]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CALLERS) as pool:
        yield pool


def test_what_gathers_is_done_in_one_go(pool: ThreadPoolExecutor) -> None:
    work = Held()
    shares = [[1], [2, 3], [4], [5, 6, 7]]
    found = gathered(Together(at_once=1, most=50), work, pool, shares)
    assert found == [[10], [20, 30], [40], [50, 60, 70]]
    assert len(work.calls) == 2
    assert sorted(work.calls[1]) == [2, 3, 4, 5, 6, 7]


def test_not_more_than_fits_unless_it_is_one_callers(pool: ThreadPoolExecutor) -> None:
    work = Held()
    found = gathered(Together(at_once=1, most=3), work, pool, [[1], [2, 3], [4, 5], [6, 7, 8, 9]])
    assert found == [[10], [20, 30], [40, 50], [60, 70, 80, 90]]
    assert all(len(call) <= 3 or sorted(call) == [6, 7, 8, 9] for call in work.calls)


def test_one_that_cannot_be_done_spoils_no_other(pool: ThreadPoolExecutor) -> None:
    work = Held()
    found = gathered(Together(at_once=1, most=50), work, pool, [[1], [2], [-1], [3, 4]])
    assert isinstance(found.pop(2), ValueError)
    assert found == [[10], [20], [30, 40]]


def test_everybody_gets_their_own(pool: ThreadPoolExecutor) -> None:
    together: Together[int, int] = Together(at_once=2, most=7)

    def caller(number: int) -> None:
        for turn in range(200):
            items = [number * 1000 + turn + n for n in range(turn % 4 + 1)]
            assert together.do(turn % 2, items, lambda given: [item * 10 for item in given]) == [i * 10 for i in items]

    for one in [pool.submit(caller, number) for number in range(CALLERS)]:
        one.result(PATIENCE_S)


def test_deliveries_at_once_are_each_answered_for_what_they_held(bench: Bench) -> None:
    token = bench.token()

    def delivered(number: int) -> tuple[int, object]:
        item = {"dedup_key": f"queue-{number}", "title": f"Queue {number} is full"}
        answer = bench.post(token, item | ({"team": "nobody"} if number % 5 == 0 else {}))
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(CALLERS) as many:
        answers = list(many.map(delivered, range(60)))
    title = {number: title for number, title, _ in bench.incidents()}
    assert sorted(title) == list(range(1, 49))
    for number, (status, body) in enumerate(answers):
        assert isinstance(body, dict)
        if number % 5 == 0:
            assert (status, body["accepted"]) == (422, [])
            assert body["errors"] == [{"item": 0, "field": "team", "message": "there is no team nobody"}]
        else:
            assert status == 202
            assert [title[one] for one in body["accepted"]] == [f"Queue {number} is full"]
