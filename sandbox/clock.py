"""The workspace's clock: real time plus what a test has moved it by. Nothing else in the sandbox reads
the system's time of day, so moving this clock moves triggers, response URLs, retries and time stamps alike.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar


class Clock:
    """The time of the workspace, in seconds since the epoch."""

    # Seconds that the time of every workspace is ahead of the machine's. The project's own tests run at a different
    # date each time, and set this before they create a workspace.
    base_s: ClassVar[float] = 0.0

    def __init__(self, behind: float = 0.0) -> None:
        """`behind`: how many seconds in the past it starts, for a history that is made with `advance`."""
        self._offset = -behind
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Seconds since the epoch, including all calls of `advance` so far."""
        return time.time() + self.base_s + self._offset

    def utc(self) -> datetime:
        """The same moment as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    @property
    def ahead(self) -> float:
        """Seconds that the clock is ahead of real time; negative when it is behind."""
        return self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`; raises ValueError for a step backwards.

        Time stamps identify messages and must always increase, so the clock cannot go back.
        """
        if seconds < 0:
            raise ValueError("the workspace's clock only moves forward")
        with self._lock:
            self._offset += seconds
        for listener in self._listeners:
            listener()

    def when_moved(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each `advance`, in the thread that moved the clock."""
        self._listeners.append(listener)
