"""Results of queries that digests share: hundreds that are due in the same minute often show the same incidents."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from storage.digest_rows import Fire

T = TypeVar("T")

VALID_S = 2.0  # a result may be this old: messages show the minute


class SharedResults:
    """Keeps results for VALID_S seconds. Several threads may share it; each result is loaded by one of them.

    What a person may see is read for each digest, and is part of the key: only what that selects is shared.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._results: dict[Hashable, _Result] = {}
        self._prefix: tuple[Hashable, ...] = ()

    def choose(self, fire: Fire, attempts: int = 0) -> SharedResults:
        """Returns what the fires of a minute share, in the same attempt to send them.

        A fire by hand shares nothing: who asked for it sees what they have just done.
        """
        chosen = SharedResults(self._monotonic)
        if not fire.by_hand:
            chosen._lock, chosen._results = self._lock, self._results
            chosen._prefix = (fire.fire_at, attempts)
        return chosen

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """Returns the result with this key, after loading it if there is none or it is too old."""
        now, key = self._monotonic(), (*self._prefix, key)
        with self._lock:
            found = self._results.get(key)
            if found is None or found.is_old(now):
                for old in [key for key, one in self._results.items() if one.is_old(now)]:
                    del self._results[old]
                found = self._results[key] = _Result(now)
        with found.lock:
            if not found.loaded:
                found.value = load()
                found.loaded = True
            value: T = found.value
            return value


class _Result:
    def __init__(self, begun: float) -> None:
        self.lock = threading.Lock()
        self.loaded = False
        self.value: Any = None
        self._until = begun + VALID_S

    def is_old(self, now: float) -> bool:
        return now >= self._until
