"""Slack's own time, from the dates of its answers: what no clock of ours that is wrong, or jumps, can move."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

_PRECISION_S = 1.0  # of the date of an answer, which leaves out what follows the second


class SlackClock:
    """Seconds since the epoch, as Slack counts them. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead: float | None = None  # of this process's monotonic clock

    def hear(self, headers: Mapping[str, Any], asked: float) -> None:
        """Takes the date of an answer to what was asked at `asked`, on the monotonic clock."""
        given = next((value for name, value in headers.items() if name.lower() == "date"), None)
        try:
            said = parsedate_to_datetime(str(given[0] if isinstance(given, list) else given)).timestamp()
        except (TypeError, ValueError):
            return
        heard = time.monotonic()
        least, most = said - heard, said + _PRECISION_S - asked
        with self._lock:
            self._ahead = least if self._ahead is None else min(max(self._ahead, least), most)

    def now(self) -> float:
        """What time it is there; by our own clock while Slack has not told."""
        with self._lock:
            return time.time() if self._ahead is None else time.monotonic() + self._ahead
