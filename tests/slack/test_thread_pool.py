"""The pool of threads for requests: work that waits, several threads at once, and its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bot.slack.thread_pool import ThreadPool
from tests.patience import PATIENCE_S


def test_all_threads_work_at_the_same_time_again_and_again() -> None:
    workers = ThreadPool(4, "test")
    for _ in range(20):
        together = threading.Barrier(4, timeout=PATIENCE_S)
        numbers = [workers.submit(together.wait) for _ in range(4)]
        assert sorted(number.result(PATIENCE_S) for number in numbers) == [0, 1, 2, 3]
    assert workers.close(PATIENCE_S)


def test_work_that_waits_is_done_in_order_before_the_pool_closes() -> None:
    order: list[int] = []
    with _busy() as workers:
        for number in range(10):
            workers.submit(order.append, number)
    assert workers.close(PATIENCE_S)
    assert order == list(range(10))
    with pytest.raises(RuntimeError):
        workers.submit(order.append, 10)


def test_work_that_has_not_begun_in_time_is_cancelled() -> None:
    with _busy() as workers:
        waiting = workers.submit(int)
        assert not workers.close(0)
    assert workers.close(PATIENCE_S)
    assert waiting.cancelled()


def test_an_error_is_in_the_result_and_the_thread_goes_on() -> None:
    workers = ThreadPool(1, "test")
    with pytest.raises(ZeroDivisionError):
        workers.submit(lambda: 1 // 0).result(PATIENCE_S)
    assert workers.submit(lambda: 1).result(PATIENCE_S) == 1
    assert workers.close(PATIENCE_S)


def test_where_the_system_has_no_more_threads_the_others_do_the_work_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[int] = []
    workers = ThreadPool(2, "test")
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            workers.submit(done.append, 1)
    together, leave = threading.Barrier(2, timeout=PATIENCE_S), threading.Event()
    busy = workers.submit(lambda: together.wait() >= 0 and leave.wait(PATIENCE_S))
    together.wait()
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        waiting = workers.submit(done.append, 2)
    leave.set()
    assert busy.result(PATIENCE_S)
    waiting.result(PATIENCE_S)
    assert workers.close(PATIENCE_S) and done == [2]


@contextmanager
def _busy() -> Iterator[ThreadPool]:
    """A pool whose only thread is busy until the block ends."""
    workers, begun, done = ThreadPool(1, "test"), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert done.wait(PATIENCE_S)

    workers.submit(hold)
    assert begun.wait(PATIENCE_S)
    try:
        yield workers
    finally:
        done.set()
