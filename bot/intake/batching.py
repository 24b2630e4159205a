"""Batches: items that arrive at the same time are processed together, by one worker in one transaction.

Alone, even a small delivery costs a commit and a call on a worker thread, and new incidents of an organization wait for
each other. What arrives while a batch is being processed is the next batch.
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
# An item, its size, and the future of its result.
_Waiting = tuple[T, int, asyncio.Future[R]]


class Batcher(Generic[T, R]):
    """Collects items of the same key on an event loop, and processes them on worker threads."""

    def __init__(
        self,
        process: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        max_size: int,
        interval_s: float,
        workers: anyio.CapacityLimiter,
    ) -> None:
        """`process` returns the result of each item, in their order.

        It runs on one of `workers`, for one batch of a key at a time. The sizes of the items of a batch add up to at
        most `max_size`; a larger item is a batch by itself. If items arrive faster than they are processed, the batches
        of a key start at least `interval_s` seconds apart.
        """
        self._process = process
        self._max_size = max_size
        self._interval_s = interval_s
        self._workers = workers
        self._threads = anyio.CapacityLimiter(math.inf)  # `workers` is the limit
        # By key, as long as a task runs for the key.
        self._waiting: dict[Hashable, deque[_Waiting[T, R]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the event loop itself keeps only weak references

    @property
    def waiting(self) -> int:
        """How many items wait for a worker."""
        return sum(len(items) for items in self._waiting.values())

    def waiting_of(self, key: Hashable) -> int:
        """How many items of one key wait for a worker."""
        return len(self._waiting.get(key, ()))

    async def submit(self, key: Hashable, item: T, size: int) -> R:
        """The result of an item, processed with others of its key. Raises what `process` returns or raises for it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((item, size, future))
        else:
            self._waiting[key] = deque([(item, size, future)])
            task = asyncio.create_task(self._run(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self, key: Hashable) -> None:
        """Processes batches until nothing of the key waits."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting[key]
        try:
            while waiting:
                async with self._workers:
                    started, batch = loop.time(), self._next_batch(waiting)
                    await self._run_batch([item for item, _, _ in batch], [future for _, _, future in batch])
                if len(batch) > 1 or waiting:  # a single sender that waits for each answer is not delayed
                    await asyncio.sleep(started + self._interval_s - loop.time())
        finally:
            del self._waiting[key]

    def _next_batch(self, waiting: deque[_Waiting[T, R]]) -> list[_Waiting[T, R]]:
        batch = [waiting.popleft()]
        size = batch[0][1]
        while waiting and size + waiting[0][1] <= self._max_size:
            batch.append(waiting.popleft())
            size += batch[-1][1]
        return batch

    async def _run_batch(self, items: Sequence[T], futures: Sequence[asyncio.Future[R]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await anyio.to_thread.run_sync(self._process, items, limiter=self._threads)
        except Exception as error:
            results = [error] * len(items)
        for result, future in zip(results, futures, strict=True):
            if future.done():  # the client has disconnected
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
