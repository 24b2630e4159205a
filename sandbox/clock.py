"""The workspace's clock: real time plus what a test has moved it by. Nothing else in the sandbox asks the
system for the time of day, so that moving this one clock moves triggers, response URLs, retries and time
stamps alike.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar


class Clock:
    """Seconds since the epoch, as the workspace believes them."""

    # By how many seconds the time of every workspace is ahead of the machine's. The project's own tests, which run at a
    # date that differs each time, set it before they make one.
    base_s: ClassVar[float] = 0.0

    def __init__(self, behind: float = 0.0) -> None:
        """`behind`: seconds by which it begins in the past, for a history that is lived through with `advance`."""
        self._offset = -behind
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Seconds since the epoch, moved by everything `advance` was given so far."""
        return time.time() + self.base_s + self._offset

    def utc(self) -> datetime:
        """The same moment as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    @property
    def ahead(self) -> float:
        """By how many seconds it is ahead of real time; below zero: behind."""
        return self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`; raises ValueError for a step backwards.

        Time stamps are the identity of messages and must keep growing, so there is no way back.
        """
        if seconds < 0:
            raise ValueError("the workspace's clock only moves forward")
        with self._lock:
            self._offset += seconds
        for listener in self._listeners:
            listener()

    def when_moved(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after each `advance`, in the thread that moved the clock."""
        self._listeners.append(listener)
