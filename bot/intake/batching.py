"""Doing together what several requests want done at the same time: one worker, one transaction for all of them.

Where many small deliveries arrive, most of what each costs is its commit and its turn on a worker, and new incidents of
an organization wait for each other's. What has gathered while the last round ran is the next one.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import anyio.to_thread

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Gathers items of the same key on an event loop, and has them done on worker threads."""

    def __init__(
        self,
        work: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        most: int,
        gather_s: float,
        workers: anyio.CapacityLimiter,
    ) -> None:
        """`work` gives what became of each item, in their order.

        It runs once for a key at the same moment, with items of at most `most` in size where there are several, and
        on one of `workers`. Where several come at once, the rounds of their key begin no sooner than `gather_s` seconds
        after each other.
        """
        self._work = work
        self._most = most
        self._gather_s = gather_s
        self._workers = workers
        self._threads = anyio.CapacityLimiter(math.inf)  # of those that have one of `workers`
        # Of the keys that have a round or wait for one.
        self._waiting: dict[Hashable, deque[tuple[T, int, asyncio.Future[R]]]] = {}
        self._rounds: set[asyncio.Task[None]] = set()  # held here, for a loop forgets its tasks

    @property
    def waiting(self) -> int:
        """Items that no worker has taken up."""
        return sum(len(items) for items in self._waiting.values())

    def waiting_of(self, key: Hashable) -> int:
        """The same of one key."""
        return len(self._waiting.get(key, ()))

    async def do(self, key: Hashable, item: T, size: int) -> R:
        """What becomes of an item, done with others of its key. Raises what `work` gives or raises for it."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((item, size, done))
        else:
            self._waiting[key] = deque([(item, size, done)])
            task = asyncio.create_task(self._rounds_of(key))
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)
        return await done

    async def _rounds_of(self, key: Hashable) -> None:
        loop = asyncio.get_running_loop()
        waiting = self._waiting[key]
        try:
            while waiting:
                async with self._workers:
                    began, shares = loop.time(), self._next(waiting)
                    await self._round([item for item, _, _ in shares], [done for _, _, done in shares])
                if len(shares) > 1 or waiting:  # one sender that waits for each answer is not made to wait
                    await asyncio.sleep(began + self._gather_s - loop.time())
        finally:
            del self._waiting[key]

    def _next(self, waiting: deque[tuple[T, int, asyncio.Future[R]]]) -> list[tuple[T, int, asyncio.Future[R]]]:
        shares = [waiting.popleft()]
        size = shares[0][1]
        while waiting and size + waiting[0][1] <= self._most:
            shares.append(waiting.popleft())
            size += shares[-1][1]
        return shares

    async def _round(self, items: Sequence[T], done: Sequence[asyncio.Future[R]]) -> None:
        found: Sequence[R | Exception]
        try:
            found = await anyio.to_thread.run_sync(self._work, items, limiter=self._threads)
        except Exception as error:
            found = [error] * len(items)
        for result, future in zip(found, done, strict=True):
            if future.done():  # whoever asked has gone
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
