"""The one deadline of a request: Slack waits three seconds, and somebody who waits is told before.

Every wait on the way is shorter than this (database, Slack's Web API); the deadline is for what adds up, or
hangs where no time-out reaches.
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
    """A request that has not been answered yet; whoever claims it first answers it."""

    __slots__ = ("_lock", "_taken", "begun")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self.begun = False  # whether anything has been done for it

    def begin(self) -> bool:
        """Before anything is done for it: False when it has been answered meanwhile, and is to be left."""
        with self._lock:
            self.begun = not self._taken
            return self.begun

    def claim(self) -> bool:
        """True for the first caller only."""
        with self._lock:
            taken, self._taken = self._taken, True
            return not taken

    @property
    def taken(self) -> bool:
        """Whether it has been answered."""
        return self._taken


class DeadlineWatch:
    """One thread that looks after every request under way."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heap: list[tuple[float, int, Pending, Callable[[Pending], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="deadline", daemon=True)
        self._thread.start()

    def start(self, late: Callable[[Pending], None]) -> Pending:
        """A request has arrived. Unless it is claimed in time, the watch claims it and calls `late`."""
        pending = Pending()
        with self._changed:
            entry = (time.monotonic() + self._seconds, next(self._order), pending, late)
            heapq.heappush(self._heap, entry)
            # Every request gets the same time, so that a new one is hardly ever the next that is due.
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
                except Exception:  # this thread is everybody's
                    log.exception("somebody could not be told that their request is late")
