"""A pool of daemon threads for the requests of Slack. The end of the process does not wait for them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """Like ThreadPoolExecutor, but its threads are daemons: the interpreter does not wait for one that hangs."""

    def __init__(self, count: int, name: str) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._abandoned = False
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[..., T], *given: Any) -> Future[T]:
        """Calls `work` as soon as a thread is free. Raises RuntimeError once this is closed."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("closed")
            self._waiting.put((future, partial(work, *given)))
        return future

    def close(self, seconds: float) -> bool:
        """Takes no more work and waits up to `seconds` for the work it has. Returns whether all of it was done.

        Work that has not started by then is cancelled.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._waiting.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._abandoned = True
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (taken := self._waiting.get()) is not None:
            future, work = taken
            if self._abandoned:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del taken, future, work  # frees the result before the next wait
