"""Deliveries that arrive together share a batch: each gets its own answer, and none suffers from another."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry

from bot.intake import apply as apply_module
from bot.intake import service
from bot.intake.apply import ReceivedAlert
from bot.intake.batching import Batcher
from bot.intake.http import MAX_WAITING, MAX_WAITING_PER_TOKEN
from bot.intake.metrics import IntakeMetrics
from bot.intake.rate_limit import RateLimiter
from bot.intake.service import CHUNK, Delivery
from bot.intake.tokens import Source
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.values import Status
from tests.coroutines import run
from tests.intake.conftest import Bench
from tests.patience import PATIENCE_S

CALLERS = 12


class Held:
    """Work that waits until it is let go, and notes what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.calls.append(list(items))
        assert self.go.wait(PATIENCE_S)
        if 0 in items:
            raise LookupError(items)
        return [item * 10 if item > 0 else ValueError(item) for item in items]


async def gathered(batches: Batcher[int, int], work: Held, *, first: int, others: Sequence[int]) -> list[object]:
    """The results of items submitted while the batch of the first one runs; the size of an item is its value."""
    tasks = [asyncio.create_task(batches.submit("key", first, abs(first)))]
    while not work.calls:
        await asyncio.sleep(0.001)
    tasks += [asyncio.create_task(batches.submit("key", item, abs(item))) for item in others]
    while batches.waiting < len(others):
        await asyncio.sleep(0.001)
    work.go.set()
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def test_a_loop_that_a_browser_test_left_is_not_in_the_way() -> None:
    async def one() -> int:
        return 1

    async def around() -> int:
        return run(one())

    assert run(around()) == 1


def batcher(work: Held, *, max_size: int = 50) -> Batcher[int, int]:
    return Batcher(work, max_size=max_size, interval_s=0.001, workers=anyio.CapacityLimiter(4))


def test_what_gathers_is_done_in_one_batch() -> None:
    async def story() -> None:
        work = Held()
        found = await gathered(batcher(work), work, first=1, others=[2, 3, 4])
        assert found == [10, 20, 30, 40]
        assert work.calls == [[1], [2, 3, 4]]

    run(story())


def test_not_more_than_fits_unless_it_is_one_alone() -> None:
    async def story() -> None:
        work = Held()
        found = await gathered(batcher(work, max_size=5), work, first=1, others=[2, 3, 9, 4])
        assert found == [10, 20, 30, 90, 40]
        assert work.calls == [[1], [2, 3], [9], [4]]

    run(story())


def test_one_that_cannot_be_done_spoils_no_other() -> None:
    async def story() -> None:
        work = Held()
        found = await gathered(batcher(work), work, first=1, others=[2, -3, 4])
        assert isinstance(found.pop(2), ValueError)
        assert found == [10, 20, 40]

    run(story())


def test_where_the_work_itself_fails_all_get_its_error_and_the_next_go_on() -> None:
    async def story() -> None:
        work = Held()
        batches = batcher(work, max_size=2)
        found = await gathered(batches, work, first=1, others=[2, 0, 1, 1])
        assert [isinstance(one, LookupError) for one in found] == [False, True, True, False, False]
        assert work.calls == [[1], [2, 0], [1, 1]]
        assert await batches.submit("key", 5, 5) == 50
        assert batches.waiting == 0

    run(story())


def test_who_no_longer_waits_for_an_answer_holds_up_nobody() -> None:
    async def story() -> None:
        work = Held()
        batches = batcher(work)
        gone = asyncio.create_task(batches.submit("key", 1, 1))
        while not work.calls:
            await asyncio.sleep(0.001)
        gone.cancel()
        work.go.set()
        assert await batches.submit("key", 2, 2) == 20

    run(story())


def test_one_key_does_not_wait_for_another() -> None:
    async def story() -> None:
        work = Held()
        batches = batcher(work)
        tasks = [asyncio.create_task(batches.submit(key, 1, 1)) for key in ("one", "two")]
        while len(work.calls) < 2:  # neither has been let go
            await asyncio.sleep(0.001)
        work.go.set()
        assert await asyncio.gather(*tasks) == [10, 10]

    run(story())


def test_what_waits_for_a_worker_waits() -> None:
    async def story() -> None:
        work = Held()
        batches = Batcher(work, max_size=50, interval_s=0.001, workers=anyio.CapacityLimiter(2))
        tasks = [asyncio.create_task(batches.submit(key, 1, 1)) for key in range(9)]
        while len(work.calls) < 2:
            await asyncio.sleep(0.001)
        assert (batches.waiting, batches.waiting_of(0), batches.waiting_of(8)) == (7, 0, 1)
        work.go.set()
        assert await asyncio.gather(*tasks) == [10] * 9
        assert batches.waiting == 0

    run(story())


def test_everybody_gets_their_own() -> None:
    async def story() -> None:
        work = Held()
        work.go.set()
        batches = batcher(work, max_size=70)

        async def caller(number: int) -> None:
            for turn in range(1, 100):
                item = number * 1000 + turn
                assert await batches.submit(turn % 2, item, turn) == item * 10

        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
        assert len(work.calls) < CALLERS * 99

    run(story())


def test_deliveries_at_once_are_each_answered_for_what_they_held(bench: Bench) -> None:
    token = bench.token()

    def delivered(number: int) -> tuple[int, object]:
        item = {"dedup_key": f"queue-{number}", "title": f"Queue {number} is full"}
        answer = bench.post(token, item | ({"project": "catalogue"} if number % 5 == 0 else {}))
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(CALLERS) as many:
        answers = list(many.map(delivered, range(60)))
    title = {number: title for number, title, _ in bench.incidents()}
    assert sorted(title) == list(range(1, 49))
    for number, (status, body) in enumerate(answers):
        assert isinstance(body, dict)
        if number % 5 == 0:
            assert (status, body["accepted"]) == (422, [])
            assert [(e["item"], e["field"]) for e in body["errors"]] == [(0, "project")]
        else:
            assert status == 202
            assert [title[one] for one in body["accepted"]] == [f"Queue {number} is full"]


def in_one_batch(bench: Bench, monkeypatch: pytest.MonkeyPatch, payloads: Sequence[object]) -> list[httpx.Response]:
    """The answers to deliveries that all arrive while an earlier one is being processed."""
    token = bench.token()
    held, go = threading.Event(), threading.Event()
    come: list[object] = []
    write, submit = Store.write, Batcher.submit

    def slow(store: Store, organization_id: int) -> Any:
        if not held.is_set():
            held.set()
            assert go.wait(PATIENCE_S)
        return write(store, organization_id)

    def noted(self: Batcher[Any, Any], key: object, item: object, size: int) -> Any:
        come.append(item)
        return submit(self, key, item, size)

    monkeypatch.setattr(Store, "write", slow)
    monkeypatch.setattr(Batcher, "submit", noted)
    with ThreadPoolExecutor(CALLERS) as many:
        first = many.submit(bench.post, token, {"dedup_key": "first", "title": "First"})
        assert held.wait(PATIENCE_S)
        others = [many.submit(bench.post, token, payload) for payload in payloads]
        while len(come) < 1 + len(payloads):
            threading.Event().wait(0.01)
        go.set()
        assert first.result(PATIENCE_S).json() == {"accepted": [1], "errors": []}
        return [one.result(PATIENCE_S) for one in others]


def test_deliveries_of_one_batch_are_each_applied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [{"dedup_key": f"many-{n}", "title": f"Many {n}"} for n in range(CHUNK + 20)]
    odd = {"dedup_key": "other", "title": "Odd", "project": "catalogue"}
    disk = {"dedup_key": "disk", "title": "Disk is full"}
    answers = in_one_batch(bench, monkeypatch, [disk, "no object", many, odd])
    title = {number: title for number, title, _ in bench.incidents()}
    assert [[title[number] for number in one.json()["accepted"]] for one in answers] == [
        ["Disk is full"],
        [],
        [f"Many {n}" for n in range(CHUNK + 20)],
        [],
    ]
    assert [one.status_code for one in answers] == [202, 422, 202, 422]
    assert len(title) == CHUNK + 22


def test_one_delivery_that_breaks_the_transaction_spoils_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_alerts = apply_module.apply_alerts

    def breaking(tx: Any, token: Any, alerts: Sequence[ReceivedAlert], now: Any) -> Any:
        outcomes = apply_alerts(tx, token, alerts, now)
        if any(one.parsed.title == "Poison" for one in alerts):
            raise RuntimeError("on purpose")
        return outcomes

    monkeypatch.setattr(service, "apply_alerts", breaking)
    payloads = [{"dedup_key": title, "title": title} for title in ("One", "Poison", "Two")]
    answers = in_one_batch(bench, monkeypatch, payloads)
    assert [one.status_code for one in answers] == [202, 500, 202]
    assert sorted(title for _, title, _ in bench.incidents()) == ["First", "One", "Two"]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Lets every transaction of several alerts fail; gives how many each of them was of."""
    apply_alerts, tries = apply_module.apply_alerts, []

    def fail(tx: Any, token: Any, alerts: Sequence[ReceivedAlert], now: Any) -> Any:
        if alerts[0].parsed.title == "First":
            return apply_alerts(tx, token, alerts, now)
        tries.append(len(alerts))
        raise error

    monkeypatch.setattr(service, "apply_alerts", fail)
    return tries


DOWN = [{"dedup_key": f"queue-{number}", "title": "Queue is full"} for number in range(5)]


def test_a_database_that_is_away_is_waited_for_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = failing(monkeypatch, DatabaseAway("on purpose"))
    answers = in_one_batch(bench, monkeypatch, [*DOWN, [DOWN[0]] * CHUNK])
    assert [one.status_code for one in answers] == [503] * 6
    assert len(tries) == 1


def test_a_lock_is_not_waited_for_by_each_of_many(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = failing(monkeypatch, Contended("on purpose"))
    monkeypatch.setattr(service, "_SEPARATELY_S", 0.0)
    answers = in_one_batch(bench, monkeypatch, DOWN)
    assert [one.status_code for one in answers] == [503] * 5
    assert tries == [5] * service._ATTEMPTS


def test_where_a_lock_concerns_one_the_others_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_alerts = apply_module.apply_alerts

    def locked(tx: Any, token: Any, alerts: Sequence[ReceivedAlert], now: Any) -> Any:
        if any(one.parsed.key == "queue-1" for one in alerts):
            raise Contended("on purpose")
        return apply_alerts(tx, token, alerts, now)

    monkeypatch.setattr(service, "apply_alerts", locked)
    answers = in_one_batch(bench, monkeypatch, DOWN)
    assert [one.status_code for one in answers] == [202, 503, 202, 202, 202]


def test_an_end_and_a_later_firing_in_one_batch_count_from_their_arrival(bench: Bench) -> None:
    """The end says no time: it means its arrival, not when its batch runs; and the firing began after that."""
    token, come = bench.token(), bench.now

    def delivery(after_s: float, **said: object) -> Delivery:
        event = {"dedup_key": "disk", "title": "Disk is full", **said}
        return Delivery(Source.EVENTS, json.dumps(event).encode(), come + timedelta(seconds=after_s), token)

    def at(after_s: float) -> str:
        return (come + timedelta(seconds=after_s)).isoformat()

    late = service.IntakeService(
        bench.store, IntakeMetrics(CollectorRegistry()), rate_limiter=RateLimiter(), secret_box=None
    )
    bench.later(seconds=3)
    late.process([delivery(0, started_at=at(-60))])
    late.process([delivery(1, status="resolved"), delivery(2.1, started_at=at(2))])
    assert bench.statuses() == [Status.OPEN]


def test_one_token_that_is_stuck_leaves_room_for_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, other = bench.token(), bench.token()
    monkeypatch.setattr(Batcher, "waiting_of", lambda _self, key: MAX_WAITING_PER_TOKEN if stuck in key else 0)
    alert = {"dedup_key": "disk", "title": "Disk is full"}
    assert bench.post(stuck, alert).status_code == 503
    assert bench.post(other, alert).status_code == 202


def test_too_many_that_wait_are_answered_with_retry_after(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batcher, "waiting", MAX_WAITING)
    answer = bench.post(bench.token(), {"dedup_key": "disk", "title": "Disk is full"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert bench.incidents() == []
