"""Events on their way: each is worked at once, and everybody who brought it learns the same outcome.

An event is acknowledged when its outcome is known: carried out, or found to be nothing that concerns the bot. Where it
takes longer than Slack waits, or cannot be done now, it is not, and Slack sends it again: at once, after a minute and
after five. What it sends again meanwhile joins what is under way; what was carried out before is found by its id
(`storage.queries.handled_requests`, `storage.queries.threads`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from bot.slack.requests import Payload

T = TypeVar("T")

# Beyond so many that wait for a worker, more would only be late; Slack is left to send them again.
MAX_PENDING_EVENTS = 1000


def is_event(payload: Payload) -> bool:
    """Whether a request tells of something that happened, so that nobody waits for its answer."""
    return payload.get("type") == "event_callback"


class TooManyEvents(Exception):
    """As many events as may be are under way already."""


class PendingEvents(Generic[T]):
    """The events whose outcome is not known yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: dict[tuple[str, str], Future[T]] = {}

    def join(self, payload: Payload, begin: Callable[[], Future[T]]) -> Future[T]:
        """The outcome of an event, which `begin` has worked at unless it is under way. Raises TooManyEvents, and what
        `begin` raises.
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
        if begun:  # outside of the lock: it may be over already
            outcome.add_done_callback(lambda _: self._outcomes.pop(key, None))
        return outcome
