"""The time of a test: a clock that stands where the test puts it."""

from __future__ import annotations

from datetime import datetime

from storage.clock import Clock


class FixedClock(Clock):
    """Stands still. It is moved like the real one, by its `offset`."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self._at = at

    def now(self) -> datetime:
        """Where the test has put it."""
        return self._at + self.offset
