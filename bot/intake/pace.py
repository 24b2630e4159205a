"""How much one token may post: a bucket that fills with time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

# Ten thousand alerts at once are a storm, and are wanted; a thousand a second for longer are a loop.
BURST = 12_000
PER_SECOND = 1_000


@dataclass(slots=True)
class _Bucket:
    level: float
    when: float


class Pace:
    """Counts the alerts of each token in this process."""

    def __init__(self, burst: float = BURST, per_second: float = PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: dict[int, _Bucket] = {}
        self._lock = threading.Lock()

    def wait_s(self, token_id: int, count: int, clock: float) -> float:
        """Takes `count` alerts from a token's bucket and gives 0; or takes none, and gives how long to wait.

        `clock` is a monotonic time in seconds.
        """
        with self._lock:
            bucket = self._buckets.setdefault(token_id, _Bucket(self._burst, clock))
            bucket.level = min(self._burst, bucket.level + (clock - bucket.when) * self._per_second)
            bucket.when = clock
            if bucket.level < min(count, self._burst):
                return (min(count, self._burst) - bucket.level) / self._per_second
            bucket.level -= count
            return 0.0
