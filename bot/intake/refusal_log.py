"""The log of what is refused: a line for each token and field, now and then, and never what was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from bot.intake.models import ItemError
from bot.intake.tokens import Source

log = structlog.get_logger(__name__)

# Somebody who sends the same mistake every second is told of six times a minute.
EVERY_S = 10.0
# Mistakes of which it is remembered when they were told of last. Whoever makes tokens up shares one.
MAX_KEPT = 1000


class RefusalLog:
    """Says that deliveries are refused, at most once in `EVERY_S` seconds for each source, token and field."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._said: dict[tuple[Source, int | None, str], tuple[float, int]] = {}  # when last, and how many since then

    def note(self, source: Source, token_id: int | None, errors: Sequence[ItemError]) -> None:
        """A delivery that was refused, in whole or in part. `token_id` is None where no token was good."""
        if not errors:
            return
        first = errors[0]
        now, key = self._monotonic_s(), (source, token_id, first.field)
        with self._lock:
            last, left_out = self._said.get(key, (-EVERY_S, 0))
            if now - last < EVERY_S:
                self._said[key] = (last, left_out + 1)
                return
            self._said.pop(key, None)
            while len(self._said) >= MAX_KEPT:
                del self._said[next(iter(self._said))]
            self._said[key] = (now, 0)
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
