"""Processes deliveries: checks their token, parses them and applies their alerts. Nothing here knows HTTP."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg2
import structlog
from sqlalchemy.exc import IntegrityError

from bot import tracing
from bot.incidents.alerts import Outcome
from bot.intake import alertmanager, events, grafana, sentry
from bot.intake.apply import ReceivedAlert, apply_alerts
from bot.intake.metrics import IntakeMetrics
from bot.intake.models import ItemError, ParsedAlert, ParseResult, Unreadable, decode
from bot.intake.rate_limit import RateLimiter
from bot.intake.tokens import Source, token_hash
from bot.secret_box import SecretBox, SecretUnreadable
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import intake_tokens
from storage.queries.intake_tokens import IntakeTokenRow

log = structlog.get_logger(__name__)

# Alerts in one transaction. New incidents lock their organization's counter, and a person who declares one should not
# wait for a storm.
CHUNK = 50
ADMITTED_AT_ONCE = 4  # queries for tokens
MAX_ITEMS = 10_000
# Refusals after which the sender should retry.
RETRYABLE = frozenset({429, 503})
# People read `last_used`: to the minute is enough.
USED_EVERY = timedelta(minutes=1)
_ATTEMPTS = 5
_RETRY_S = 0.05
# For how long the deliveries of a batch are retried one by one, after the batch could not get a lock.
_SEPARATELY_S = 3.0

Parser = Callable[[Any, datetime], ParseResult]
PARSERS: dict[Source, Parser] = {
    Source.ALERTMANAGER: alertmanager.parse,
    Source.GRAFANA: grafana.parse,
    Source.EVENTS: events.parse,
}


class Refused(Exception):
    """A delivery of which nothing is accepted. `reason` is counted in the metrics."""

    token_id: int | None = None  # of the token that it came with

    def __init__(
        self, status: int, reason: str, errors: Sequence[ItemError], *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.errors = list(errors)
        self.retry_after_s = retry_after_s


def refused(status: int, reason: str, where: str, message: str, *, retry_after_s: float | None = None) -> Refused:
    """A refusal of the delivery as a whole."""
    return Refused(status, reason, [ItemError(None, where, message)], retry_after_s=retry_after_s)


@dataclass(slots=True)
class DeliveryResult:
    """What was accepted of a delivery, and what is wrong with the rest."""

    accepted: list[int] = field(default_factory=list)  # identifiers of the incidents, each once
    errors: list[ItemError] = field(default_factory=list)
    token_id: int | None = None  # of the token that it came with


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was posted, with a token (`bearer`) or signed with the secret of one (`signed`)."""

    source: Source
    body: bytes
    received: datetime
    bearer: str = ""
    token_id: int | None = None  # of the path that Sentry posts to
    is_signed_with: Callable[[str], bool] = field(default=lambda _secret: False)  # takes a secret
    resource: str = ""  # of Sentry, from its header
    span: Any = field(default_factory=tracing.get_current)  # in which it arrived


class IntakeService:
    """Processes the deliveries of every source."""

    def __init__(
        self,
        store: Store,
        metrics: IntakeMetrics,
        *,
        rate_limiter: RateLimiter,
        secret_box: SecretBox | None,
    ) -> None:
        """`secret_box` is None where no TOCSIN_SECRET_KEY is set."""
        self._store = store
        self._metrics = metrics
        self._rate_limiter = rate_limiter
        self._secret_box = secret_box
        self._admitting = threading.BoundedSemaphore(ADMITTED_AT_ONCE)

    def _find_token(self, delivery: Delivery) -> IntakeTokenRow | None:
        """The stored token of a delivery, not checked yet; None if there is none."""
        with self._admitting, self._store.read() as connection:
            if delivery.token_id is not None:
                return intake_tokens.find_token_by_id(connection, delivery.token_id)
            return intake_tokens.find_token_by_hash(connection, token_hash(delivery.bearer))

    def _check_token(self, delivery: Delivery, token: IntakeTokenRow | None) -> IntakeTokenRow:
        """The token, if it fits the delivery. Raises Refused."""
        if delivery.token_id is not None:
            return self._check_signature(delivery, token)
        hashed = token_hash(delivery.bearer)
        if token is None or not hmac.compare_digest(token.token_hash or "", hashed):
            raise refused(401, "bad_token", "Authorization", "no such token, or it has been revoked")
        if token.source != delivery.source:
            about = f"this token is for {token.source}, not {delivery.source}"
            raise refused(401, "bad_token", "Authorization", about)
        return token

    def _check_signature(self, delivery: Delivery, token: IntakeTokenRow | None) -> IntakeTokenRow:
        if token is None or token.source != Source.SENTRY or token.secret_encrypted is None:
            raise refused(401, "bad_token", "path", "no such token, or it has been revoked")
        if self._secret_box is None:
            raise refused(503, "no_secret_key", "TOCSIN_SECRET_KEY", "is not set where the bot runs")
        try:
            secret = self._secret_box.open(token.secret_encrypted)
        except SecretUnreadable:
            log.error("cannot decrypt the secret of a token", token_id=token.id, cause="another TOCSIN_SECRET_KEY")
            raise refused(503, "no_secret_key", "TOCSIN_SECRET_KEY", "is another than at `token create`") from None
        if not delivery.is_signed_with(secret):
            raise refused(401, "bad_signature", "Sentry-Hook-Signature", "does not fit the body and the secret")
        return token

    def process(self, deliveries: Sequence[Delivery]) -> list[DeliveryResult | Exception]:
        """Processes deliveries that all have the same token, in their order. Returns the result of each, or its error:
        Refused, DatabaseAway, Contended. Raises DatabaseAway.
        """
        arrived = tuple(delivery.span for delivery in deliveries)
        with tracing.span("intake batch", parents=arrived, deliveries=len(deliveries)) as span:
            return self._process(deliveries, span)

    def _process(self, deliveries: Sequence[Delivery], span: tracing.Span) -> list[DeliveryResult | Exception]:
        token = self._find_token(deliveries[0])
        parsed = [self._parse(delivery, token) for delivery in deliveries]
        if token is not None:
            if any(isinstance(one, _ParsedDelivery) or one.status != 401 for one in parsed):
                self._record_use(token, self._store.clock.now())
            admitted = [one for one in parsed if isinstance(one, _ParsedDelivery)]
            span.set(alerts=sum(len(one.parsed.alerts) for one in admitted))
            try:
                for chunk in _chunks(admitted):
                    self._apply(token, chunk)
            except DatabaseAway as error:  # trying the rest would only take as long again
                for one in admitted:
                    if len(one.outcomes) < len(one.parsed.alerts):
                        one.error = one.error or error
        results = [self._build_result(one) if isinstance(one, _ParsedDelivery) else one for one in parsed]
        if token is not None:
            self._record_refusals(token, results)
        return results

    def _record_refusals(self, token: IntakeTokenRow, results: Sequence[DeliveryResult | Exception]) -> None:
        """Records whether the last of a token's deliveries was refused; `doctor` shows it."""
        last: DeliveryResult | Refused | None = None
        for one in results:
            # A delivery that the sender should retry does not count, and a made-up token belongs to nobody.
            if isinstance(one, DeliveryResult) or (isinstance(one, Refused) and one.status not in RETRYABLE):
                one.token_id, last = token.id, one
        if last is None:
            return
        now, was = self._store.clock.now(), token.last_refused
        if not last.errors:
            if was is not None:
                with self._store.read() as connection:
                    intake_tokens.record_token_refusal(connection, token.organization_id, token.id, None, None)
        elif was is None or now - was >= USED_EVERY:
            first = last.errors[0]
            why = f"{first.field} {first.message}"
            with self._store.read() as connection:
                intake_tokens.record_token_refusal(connection, token.organization_id, token.id, now, why)

    def _record_use(self, token: IntakeTokenRow, now: datetime) -> None:
        if token.last_used is None or now - token.last_used >= USED_EVERY:
            with self._store.read() as connection:
                intake_tokens.record_token_use(connection, token.organization_id, token.id, now)

    def _parse(self, delivery: Delivery, token: IntakeTokenRow | None) -> _ParsedDelivery | Refused:
        """The alerts of a delivery, or why it is refused."""
        try:
            token = self._check_token(delivery, token)
            if not token.incidents:
                raise refused(403, "switched_off", "organization", "incidents are switched off for this organization")
            try:
                payload = decode(delivery.body)
            except Unreadable as error:
                raise refused(400, "not_json", "body", str(error)) from None
            source = delivery.source
            parse = PARSERS[source] if source in PARSERS else partial(sentry.parse, resource=delivery.resource)
            parsed = _ParsedDelivery(source, parse(payload, delivery.received), delivery.received)
            if parsed.count > MAX_ITEMS:
                raise refused(413, "too_many", "body", f"holds more than {MAX_ITEMS:,} items")
            if wait := self._rate_limiter.wait_s(token.id, parsed.count, time.monotonic()):
                raise refused(429, "over_rate", "body", "too many alerts with this token", retry_after_s=wait)
        except Refused as error:
            return error
        return parsed

    def _apply(
        self,
        token: IntakeTokenRow,
        parts: Sequence[tuple[_ParsedDelivery, Sequence[ParsedAlert]]],
        attempts: int = _ATTEMPTS,
    ) -> None:
        """Applies alerts of several deliveries in one transaction; if that fails, each delivery in its own transaction.

        If a lock was the reason, each delivery is tried once more, as long as _SEPARATELY_S lasts. Raises DatabaseAway.
        """
        parts = [(delivery, alerts) for delivery, alerts in parts if delivery.error is None]
        received = [ReceivedAlert(alert, delivery.received) for delivery, alerts in parts for alert in alerts]
        if not received:
            return
        try:
            outcomes = iter(self._apply_with_retries(token, received, attempts))
        except DatabaseAway:
            raise
        except Exception as error:
            if len(parts) == 1:
                parts[0][0].error = error
                return
            deadline = time.monotonic() + _SEPARATELY_S
            for part in parts:
                if not isinstance(error, Contended):
                    self._apply(token, [part])
                elif time.monotonic() < deadline:
                    self._apply(token, [part], attempts=1)
                else:
                    part[0].error = error
            return
        for delivery, alerts in parts:
            delivery.outcomes += [next(outcomes) for _ in alerts]

    def _apply_with_retries(
        self, token: IntakeTokenRow, alerts: Sequence[ReceivedAlert], attempts: int
    ) -> list[Outcome | ItemError]:
        for attempt in range(1, attempts + 1):
            try:
                with self._store.write(token.organization_id) as tx:
                    outcomes = apply_alerts(tx, token, alerts, self._store.clock.now())
                break
            except (Contended, IntegrityError, psycopg2.IntegrityError) as error:
                # Somebody declared, reopened or pruned at the same moment; the next attempt sees it.
                if attempt == attempts:
                    raise
                log.info("retrying a batch of alerts", attempt=attempt, reason=type(error).__name__)
                time.sleep(_RETRY_S * attempt)
        return outcomes

    def _build_result(self, delivery: _ParsedDelivery) -> DeliveryResult | Exception:
        result = DeliveryResult(errors=list(delivery.parsed.errors))
        identifiers: dict[int, None] = {}
        for outcome in delivery.outcomes:
            if isinstance(outcome, ItemError):
                result.errors.append(outcome)
                continue
            self._metrics.alerts.labels(delivery.source.value, outcome.action.value).inc()
            if outcome.identifier is not None:
                identifiers[outcome.identifier] = None
        if delivery.error is not None:
            return delivery.error
        result.accepted = list(identifiers)
        result.errors.sort(key=lambda error: -1 if error.item is None else error.item)
        bad = len({error.item for error in result.errors})
        self._metrics.alerts.labels(delivery.source.value, "refused").inc(bad)
        for error in result.errors:
            # The first part is a name of ours; what follows may be a key that the sender made up.
            self._metrics.refused_alerts.labels(delivery.source.value, error.field.partition(".")[0]).inc()
        if result.errors and bad >= delivery.count:
            return Refused(422, "nothing_good", result.errors)
        return result


@dataclass(slots=True)
class _ParsedDelivery:
    """A delivery that was admitted and parsed, and the outcomes of its alerts."""

    source: Source
    parsed: ParseResult
    received: datetime
    outcomes: list[Outcome | ItemError] = field(default_factory=list)  # of the alerts that were applied so far
    error: Exception | None = None  # why the rest was not

    @property
    def count(self) -> int:
        """How many items it holds, good and bad."""
        return len(self.parsed.alerts) + len({error.item for error in self.parsed.errors})


def _chunks(deliveries: Sequence[_ParsedDelivery]) -> Iterator[list[tuple[_ParsedDelivery, list[ParsedAlert]]]]:
    """What is applied in one transaction each: parts of deliveries, in their order."""
    chunk: list[tuple[_ParsedDelivery, list[ParsedAlert]]] = []
    size = 0
    for delivery in deliveries:
        for start in range(0, len(delivery.parsed.alerts), CHUNK):
            part = delivery.parsed.alerts[start : start + CHUNK]
            if size + len(part) > CHUNK:
                yield chunk
                chunk, size = [], 0
            chunk.append((delivery, part))
            size += len(part)
    if chunk:
        yield chunk
