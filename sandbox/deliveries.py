"""The connection to the app: sends every payload, waits three seconds for the acknowledgement, and retries events
that were not acknowledged. A transport sends the payload (by a socket or a signed request).
"""

import asyncio
import threading
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.clock import Clock
from sandbox.errors import Problem, Problems
from sandbox.records import Json
from sandbox.timers import Timers

ACKNOWLEDGE_SECONDS = 3.0

# When an event that was not acknowledged is sent again, in seconds after the failure: Slack's "almost
# immediately, then after a minute, then after five".
RETRY_DELAYS = (0.0, 60.0, 300.0)

TRAFFIC_KEPT = 5_000


@dataclass(slots=True, eq=False)
class Exchange:
    """One request or payload in either direction with its response, for the inspector and for tests."""

    kind: str  # slash_commands, interactive, events_api, web_api, response_url
    name: str  # the command, the payload's or event's type, the method
    sent: Json
    at: float  # seconds since the epoch
    answer: Json | None = None
    answered_at: float | None = None
    envelope_id: str = ""
    retry_attempt: int = 0


@dataclass(slots=True, eq=False)
class Delivery:
    """One payload on its way to the app."""

    kind: str
    payload: Json
    accepts_response: bool
    exchange: Exchange
    envelope_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    retry_attempt: int = 0
    retry_reason: str = ""
    acknowledged: bool = False
    answer: Json = field(default_factory=dict)
    failure: str = ""  # why it was not acknowledged: `timeout`, `not_connected`, `http_error`
    no_retry: bool = False  # the app asked for no retry of this event
    settled: threading.Event = field(default_factory=threading.Event)
    timer: asyncio.TimerHandle | None = None

    def envelope(self) -> Json:
        """The Socket Mode envelope."""
        envelope: Json = {
            "envelope_id": self.envelope_id,
            "payload": self.payload,
            "type": self.kind,
            "accepts_response_payload": self.accepts_response,
        }
        if self.kind == "events_api":
            envelope |= {"retry_attempt": self.retry_attempt, "retry_reason": self.retry_reason}
        return envelope


class Transport(Protocol):
    """A way to the app. Called on the server's event loop."""

    timeout_reason: str
    """What the retry of an event that was not acknowledged in time is told."""

    def dispatch(self, delivery: Delivery) -> bool:
        """Send a delivery; returns False when the app cannot be reached at the moment."""
        ...


class Deliveries:
    """Sends payloads and watches for their acknowledgements. `send` may be called from any thread."""

    def __init__(self, clock: Clock, problems: Problems, timers: Timers) -> None:
        self._clock = clock
        self._problems = problems
        self._timers = timers
        self._waiting: dict[str, Delivery] = {}
        self._expired: deque[str] = deque(maxlen=100)
        self._backlog: deque[Delivery] = deque()
        self.transport: Transport | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.acknowledge_seconds = ACKNOWLEDGE_SECONDS
        self.retry_delays: tuple[float, ...] = RETRY_DELAYS
        self.traffic: deque[Exchange] = deque(maxlen=TRAFFIC_KEPT)
        self.idle = threading.Condition()
        self._open = 0
        self.held: list[Delivery] | None = None  # events held back; None: they are sent at once

    def send(
        self,
        kind: str,
        name: str,
        payload: Json,
        *,
        accepts_response: bool = False,
        attempt: int = 0,
        reason: str = "",
    ) -> Delivery:
        """Send `payload` to the app; `Delivery.settled` is set when it was acknowledged or timed out."""
        exchange = Exchange(kind=kind, name=name, sent=payload, at=self._clock.now(), retry_attempt=attempt)
        delivery = Delivery(
            kind=kind,
            payload=payload,
            accepts_response=accepts_response,
            exchange=exchange,
            retry_attempt=attempt,
            retry_reason=reason,
        )
        exchange.envelope_id = delivery.envelope_id
        if kind == "events_api" and self.held is not None:
            self.held.append(delivery)
        else:
            self.launch(delivery)
        return delivery

    def launch(self, delivery: Delivery) -> None:
        """Send a delivery that is new or was held back."""
        self.traffic.append(delivery.exchange)
        with self.idle:
            self._open += 1
        assert self.loop is not None, "the sandbox is not running"
        self.loop.call_soon_threadsafe(self._dispatch, delivery)

    def _dispatch(self, delivery: Delivery) -> None:
        assert self.loop is not None and self.transport is not None
        delivery.exchange.at = self._clock.now()
        self._waiting[delivery.envelope_id] = delivery
        delivery.timer = self.loop.call_later(self.acknowledge_seconds, self._expire, delivery)
        if not self.transport.dispatch(delivery):
            self._backlog.append(delivery)

    def reconnected(self) -> None:
        """The app can be reached again: send the waiting deliveries. Called on the server's event loop."""
        assert self.transport is not None
        backlog, self._backlog = self._backlog, deque()
        for delivery in backlog:
            if not delivery.settled.is_set() and not self.transport.dispatch(delivery):
                self._backlog.append(delivery)

    def acknowledge(self, envelope_id: str, answer: Any, at: float) -> None:
        """Record the app's acknowledgement, which arrived `at`, with its payload if it has one. Called on the
        server's event loop.
        """
        delivery = self._waiting.pop(envelope_id, None)
        if delivery is None:
            if envelope_id not in self._expired:
                self.problem("unknown_envelope", f"acknowledged {envelope_id!r}, which is not waiting for it")
            return
        if answer is not None and not isinstance(answer, dict):
            self.problem("invalid_acknowledgement", f"the payload of {envelope_id} is no object: {answer!r}")
            answer = None
        if answer and not delivery.accepts_response:
            what = delivery.exchange.name
            self.problem("invalid_acknowledgement", f"{what} takes no payload in its acknowledgement: {answer!r}")
            answer = None
        delivery.acknowledged = True
        delivery.answer = answer or {}
        self._settle(delivery, at)

    def fail(self, delivery: Delivery, reason: str) -> None:
        """Mark a delivery as failed; an event is sent again later. Called on the server's event loop."""
        if self._waiting.pop(delivery.envelope_id, None) is None:
            return
        self._expired.append(delivery.envelope_id)
        delivery.failure = reason
        if delivery.kind == "events_api" and not delivery.no_retry and delivery.retry_attempt < len(self.retry_delays):
            delay = self.retry_delays[delivery.retry_attempt]
            self._timers.later(delay, lambda: self._again(delivery, reason))
        self._settle(delivery, self._clock.now())

    def _again(self, delivery: Delivery, reason: str) -> None:
        attempt = delivery.retry_attempt + 1
        self.send("events_api", delivery.exchange.name, delivery.payload, attempt=attempt, reason=reason)

    def _expire(self, delivery: Delivery) -> None:
        if delivery.settled.is_set():
            return
        if delivery in self._backlog:
            self._backlog.remove(delivery)
            self.fail(delivery, "not_connected")
            return
        what = f"{delivery.kind} {delivery.exchange.name!r}"
        self.problem("not_acknowledged", f"{what} was not acknowledged within {self.acknowledge_seconds:g} s")
        self.fail(delivery, self.transport.timeout_reason if self.transport else "timeout")

    def lose(self, deliveries: Iterable[Delivery]) -> None:
        """The connection on which these were sent is gone. What is an event is sent again, unless the app acknowledges
        it by another connection at once; that is no mistake of the app. Called on the server's event loop.
        """
        assert self.loop is not None
        for delivery in deliveries:
            if delivery.kind == "events_api" and not delivery.settled.is_set():
                if delivery.timer is not None:
                    delivery.timer.cancel()
                delay = min(self.acknowledge_seconds, ACKNOWLEDGE_SECONDS)
                delivery.timer = self.loop.call_later(delay, self.fail, delivery, "timeout")

    def expire(self) -> None:
        """Let the time run out for all deliveries that wait now: the app that had them is gone."""

        def expire() -> None:
            for delivery in list(self._waiting.values()):
                self._expire(delivery)

        assert self.loop is not None, "the sandbox is not running"
        self.loop.call_soon_threadsafe(expire)

    def _settle(self, delivery: Delivery, at: float) -> None:
        if delivery.timer is not None:
            delivery.timer.cancel()
        delivery.exchange.answer = delivery.answer if delivery.acknowledged else None
        delivery.exchange.answered_at = at
        delivery.settled.set()
        with self.idle:
            self._open -= 1
            if not self._open:
                self.idle.notify_all()

    def settle(self, timeout: float) -> bool:
        """Wait until no delivery to the app is pending; returns False after `timeout` seconds."""
        with self.idle:
            return self.idle.wait_for(lambda: self._open == 0, timeout)

    def problem(self, kind: str, detail: str) -> None:
        """Record a mistake of the app."""
        self._problems.add(Problem(kind, detail, self._clock.now()))
