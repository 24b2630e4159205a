"""A pool of daemon threads for the requests of Slack. The end of the process does not wait for them.

The thread that became idle last gets the next work, and no other thread wakes. With one queue for all threads, each
would take its turn, and every piece of work would wake a second thread in vain.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from bot.saturation import PoolUse

T = TypeVar("T")
_Task = tuple[Future[Any], Callable[[], Any]]


class ThreadPool:
    """Like ThreadPoolExecutor, but its threads are daemons: the interpreter does not wait for one that hangs."""

    def __init__(self, count: int, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[_Task] = deque()
        self._idle: list[queue.SimpleQueue[_Task | None]] = []  # of each idle thread; the latest is the last
        self._closed = False
        self._abandoned = False
        self._count = count
        self._threads: list[threading.Thread] = []  # each is started when all others are at work

    def submit(self, work: Callable[..., T], *given: Any) -> Future[T]:
        """Calls `work` as soon as a thread is free. Raises RuntimeError once this is closed."""
        future: Future[T] = Future()
        task = (future, partial(work, *given))
        with self._lock:
            if self._closed:
                raise RuntimeError("closed")
            if self._idle:
                self._idle.pop().put(task)
            else:
                self._start_thread()
                self._waiting.append(task)
        return future

    def _start_thread(self) -> None:
        number = len(self._threads)
        if number < self._count:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no more
                if not self._threads:
                    raise
                return  # another one does the work later
            self._threads.append(thread)

    def measure_use(self) -> PoolUse:
        """How many of the threads are at work, and how much waits for one."""
        with self._lock:
            return PoolUse(self._name, len(self._threads) - len(self._idle), self._count, len(self._waiting))

    def close(self, seconds: float) -> bool:
        """Takes no more work and waits up to `seconds` for the work it has. Returns whether all of it was done.

        Work that has not started by then is cancelled.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._abandoned = True
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        while (task := self._next(tasks)) is not None:
            future, work = task
            if self._abandoned:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del task, future, work  # frees the result before the next wait

    def _next(self, tasks: queue.SimpleQueue[_Task | None]) -> _Task | None:
        """The next task; None once there will be none. An idle thread waits for it in `tasks`."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                return None
            self._idle.append(tasks)
        return tasks.get()
