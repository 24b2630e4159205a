"""Doing together what several callers want done at the same time: one transaction, one commit for all of them.

Where many small deliveries arrive, most of what each costs is its commit, and new incidents of an organization wait
for each other's. Nobody waits for others to come: what has gathered while the last transaction ran is the next one.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Share(Generic[T, R]):
    """What one caller wants done."""

    def __init__(self, items: Sequence[T]) -> None:
        self.items = items
        self.taken = False
        self.settled = False
        self.results: Sequence[R] | None = None
        self.error: Exception | None = None


class Together(Generic[T, R]):
    """Gathers items of the same key from any number of threads."""

    def __init__(self, *, at_once: int, most: int) -> None:
        """At most `at_once` times for a key at the same moment, with at most `most` items where callers differ."""
        self._at_once = at_once
        self._most = most
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[_Share[T, R]]] = {}
        self._busy: Counter[Hashable] = Counter()

    def do(self, key: Hashable, items: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]]) -> Sequence[R]:
        """What `work` gives for these items, in their order.

        `work` may be given items of others with the same key behind or before them, or be another caller's. Where
        it fails with others' items, it is called again with these alone; what it raises then, is raised.
        """
        share: _Share[T, R] = _Share(items)
        with self._changed:
            self._waiting.setdefault(key, deque()).append(share)
        while shares := self._turn(key, share):
            self._settle(shares, work)
            with self._changed:
                self._busy[key] -= 1
                self._changed.notify_all()
        if share.results is not None:
            return share.results
        if share.error is not None:
            raise share.error
        return work(items)

    def _turn(self, key: Hashable, share: _Share[T, R]) -> list[_Share[T, R]]:
        """Waits until there is something to do for this caller, and gives it; nothing once its share is settled."""
        with self._changed:
            self._changed.wait_for(lambda: share.settled or (not share.taken and self._busy[key] < self._at_once))
            if share.settled:
                return []
            self._busy[key] += 1
            waiting, count = self._waiting[key], 0
            shares: list[_Share[T, R]] = []
            while waiting and (not shares or count + len(waiting[0].items) <= self._most):
                shares.append(waiting.popleft())
                shares[-1].taken = True
                count += len(shares[-1].items)
            return shares

    def _settle(self, shares: list[_Share[T, R]], work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        try:
            results = work([item for share in shares for item in share.items])
            for share in shares:
                share.results, results = results[: len(share.items)], results[len(share.items) :]
        except Exception as error:
            if len(shares) == 1:
                shares[0].error = error
        finally:
            for share in shares:
                share.settled = True
