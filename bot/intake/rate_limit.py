"""How many alerts one token may post: a token bucket, which refills with time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

# Ten thousand alerts at once are a storm, and must get through. A thousand a second for longer are an error in a loop.
BURST = 12_000
PER_SECOND = 1_000


@dataclass(slots=True)
class _Bucket:
    level: float
    updated: float


class RateLimiter:
    """Counts the alerts of each token in this process."""

    def __init__(self, burst: float = BURST, per_second: float = PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: dict[int, _Bucket] = {}
        self._lock = threading.Lock()

    def wait_s(self, token_id: int, count: int, monotonic: float) -> float:
        """Removes `count` alerts from a token's bucket and returns 0; or removes none and returns how long to wait.

        `monotonic` is a monotonic time in seconds.
        """
        with self._lock:
            bucket = self._buckets.setdefault(token_id, _Bucket(self._burst, monotonic))
            bucket.level = min(self._burst, bucket.level + (monotonic - bucket.updated) * self._per_second)
            bucket.updated = monotonic
            if bucket.level < min(count, self._burst):
                return (min(count, self._burst) - bucket.level) / self._per_second
            bucket.level -= count
            return 0.0
