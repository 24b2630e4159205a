"""Pending events: each is handled once, and every delivery of it gets the same result.

An event is acknowledged once it is handled, or turns out not to concern the bot. If handling takes longer than Slack
waits, or fails temporarily, it is not acknowledged, and Slack sends it again: at once, after a minute and after five. A
repeated delivery of a pending event waits for the same result. A repeated delivery of a finished event is recognized by
its id (`storage.queries.handled_requests`, `storage.queries.threads`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from bot.slack.requests import Payload

T = TypeVar("T")

# Any further event would wait too long for a worker. It is not acknowledged, so Slack sends it again.
MAX_PENDING_EVENTS = 1000


def is_event(payload: Payload) -> bool:
    """Whether a request is an event. Nobody waits for the answer to an event."""
    return payload.get("type") == "event_callback"


class TooManyEvents(Exception):
    """MAX_PENDING_EVENTS are pending already."""


class PendingEvents(Generic[T]):
    """The events whose result is not known yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: dict[tuple[str, str], Future[T]] = {}

    def join(self, payload: Payload, begin: Callable[[], Future[T]]) -> Future[T]:
        """Returns the result of an event. Unless the event is pending already, calls `begin` to have it handled.

        Raises TooManyEvents, and what `begin` raises.
        """
        if not payload.get("event_id"):
            return begin()
        key = (str(payload.get("team_id")), str(payload["event_id"]))
        with self._lock:
            outcome, begun = self._outcomes.get(key), False
            if outcome is None:
                if len(self._outcomes) >= MAX_PENDING_EVENTS:
                    raise TooManyEvents
                outcome = self._outcomes[key] = begin()
                begun = True
        if begun:  # outside the lock: a finished future calls back at once
            outcome.add_done_callback(lambda _: self._outcomes.pop(key, None))
        return outcome
