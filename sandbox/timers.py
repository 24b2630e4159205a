"""Actions scheduled on the workspace's clock, so that moving the clock makes them due."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

from sandbox.clock import Clock


class Timers:
    """Actions with the time they are due, run on the server's event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        clock.when_moved(self._moved)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` when `seconds` have passed on the workspace's clock. Called on the server's event loop."""
        heapq.heappush(self._due, (self._clock.now() + seconds, next(self._number), action))
        self._run()

    def _moved(self) -> None:
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        assert self.loop is not None
        while self._due and self._due[0][0] <= self._clock.now():
            heapq.heappop(self._due)[2]()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            self._timer = self.loop.call_later(max(0.001, self._due[0][0] - self._clock.now()), self._run)
