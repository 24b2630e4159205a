"""The deadline of a request. Slack waits three seconds for an answer; before that the person is told that it is late.

The time-outs of the database and of Slack's Web API are shorter. The deadline is for requests in which several waits
add up, or that hang where there is no time-out.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

DEADLINE_S = 2.5


class Pending:
    """A request without an answer yet. The first thread that claims it answers it."""

    __slots__ = ("_lock", "_taken", "begun", "received_ns")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self.begun = False  # whether its handler has started
        self.received_ns = time.time_ns()

    def begin(self) -> bool:
        """Marks the request as started. Returns False where it has been answered already and must not be handled."""
        with self._lock:
            self.begun = not self._taken
            return self.begun

    def claim(self) -> bool:
        """Claims the right to answer. Returns True for the first caller only."""
        with self._lock:
            taken, self._taken = self._taken, True
            return not taken

    @property
    def taken(self) -> bool:
        """Whether it has been answered."""
        return self._taken


class DeadlineWatch:
    """One thread that watches the deadlines of all pending requests."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heap: list[tuple[float, int, Pending, Callable[[Pending], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="deadline", daemon=True)
        self._thread.start()

    def start(self, late: Callable[[Pending], None]) -> Pending:
        """Starts the deadline of a new request. Unless it is claimed in time, the watch claims it and calls `late`."""
        pending = Pending()
        with self._changed:
            entry = (time.monotonic() + self._seconds, next(self._order), pending, late)
            heapq.heappush(self._heap, entry)
            # All requests have the same time-out, so a new one is hardly ever due first.
            if self._heap[0] is entry:
                self._changed.notify()
        return pending

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._heap and self._heap[0][2].taken:
                    heapq.heappop(self._heap)
                if not self._heap:
                    self._changed.wait()
                    continue
                wait = self._heap[0][0] - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, pending, late = heapq.heappop(self._heap)
            if pending.claim():
                try:
                    late(pending)
                except Exception:  # all requests depend on this thread
                    log.exception("the answer to a late request failed")
