"""Logs refused deliveries: rarely for each token and field, and never what was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from bot.intake.models import ItemError
from bot.intake.tokens import Source

log = structlog.get_logger(__name__)

# The same mistake, sent every second, is logged six times a minute.
EVERY_S = 10.0
# Mistakes that are remembered. All made-up tokens count as one.
MAX_REMEMBERED = 1000


class RefusalLog:
    """Logs refusals, at most once in `EVERY_S` seconds for each source, token and field."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        # When each mistake was logged last, and how often it was left out since then.
        self._logged: dict[tuple[Source, int | None, str], tuple[float, int]] = {}

    def note(self, source: Source, token_id: int | None, errors: Sequence[ItemError]) -> None:
        """Logs that a delivery was refused, in whole or in part. `token_id` is None if it had no good token."""
        if not errors:
            return
        first = errors[0]
        now, key = self._monotonic_s(), (source, token_id, first.field)
        with self._lock:
            last, left_out = self._logged.get(key, (-EVERY_S, 0))
            if now - last < EVERY_S:
                self._logged[key] = (last, left_out + 1)
                return
            self._logged.pop(key, None)
            while len(self._logged) >= MAX_REMEMBERED:
                del self._logged[next(iter(self._logged))]
            self._logged[key] = (now, 0)
        log.warning(
            "an alert was refused" if first.item is not None else "a delivery was refused",
            source=source.value,
            token_id=token_id,
            item=first.item,
            field=first.field,
            reason=first.message,
            more_errors=len(errors) - 1,
            not_logged=left_out,
        )
