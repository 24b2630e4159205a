"""Slack's own time, from the Date headers of its answers. A wrong clock of this machine does not affect it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

_PRECISION_S = 1.0  # of a Date header, which has no fraction of a second


class SlackClock:
    """Slack's clock, in seconds since the epoch. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None  # to this process's monotonic clock

    def hear(self, headers: Mapping[str, Any], sent_at: float) -> None:
        """Adjusts the clock by the headers of an answer.

        `sent_at` is when the request was sent, on the monotonic clock.
        """
        given = next((value for name, value in headers.items() if name.lower() == "date"), None)
        try:
            date = _parse_date(str(given[0] if isinstance(given, list) else given))
        except (TypeError, ValueError):
            return
        received_at = time.monotonic()
        least, most = date - received_at, date + _PRECISION_S - sent_at
        with self._lock:
            self._offset = least if self._offset is None else min(max(self._offset, least), most)

    def now(self) -> float:
        """The time, in seconds since the epoch. Before the first answer it is this machine's."""
        with self._lock:
            return time.time() if self._offset is None else time.monotonic() + self._offset


@lru_cache(maxsize=8)  # many answers come in the same second
def _parse_date(header: str) -> float:
    return parsedate_to_datetime(header).timestamp()
