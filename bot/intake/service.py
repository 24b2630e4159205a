"""Takes deliveries in: whose they are, what is in them, and what becomes of it. No HTTP in here."""

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

from bot.incidents.alerts import Outcome
from bot.intake import alertmanager, events, grafana, sentry
from bot.intake.drafts import Received, carry_out
from bot.intake.metrics import Metrics
from bot.intake.models import ItemError, ParsedAlert, ParseResult, Unreadable, decode
from bot.intake.pace import Pace
from bot.intake.tokens import SecretBox, SecretUnreadable, Source, token_hash
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import intake as stored
from storage.queries.intake import IntakeTokenRow

log = structlog.get_logger(__name__)

# A batch is carried out in transactions of this many alerts: new incidents hold their organization's counter, and
# a responder who declares one should not have to wait for a storm.
CHUNK = 50
ADMITTED_AT_ONCE = 4  # reads of tokens
MAX_ITEMS = 10_000
# Refusals that say "not now".
TRY_AGAIN = frozenset({429, 503})
# `last_used` is for people: to the minute is enough.
USED_EVERY = timedelta(minutes=1)
_ATTEMPTS = 5
_PAUSE_S = 0.05
# For how long deliveries are tried apart that together met with somebody who holds what they need.
_APART_S = 3.0

Parser = Callable[[Any, datetime], ParseResult]
PARSERS: dict[Source, Parser] = {
    Source.ALERTMANAGER: alertmanager.parse,
    Source.GRAFANA: grafana.parse,
    Source.EVENTS: events.parse,
}


class Refused(Exception):
    """A delivery of which nothing is taken. `reason` is counted. `token_id`: of the token that it came with."""

    token_id: int | None = None

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
class Taken:
    """What became of a delivery."""

    accepted: list[int] = field(default_factory=list)  # identifiers of the incidents, each once
    errors: list[ItemError] = field(default_factory=list)
    token_id: int | None = None  # of the token that it came with


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was posted, by whoever shows a token (`bearer`) or has signed with the secret of one (`signed`)."""

    source: Source
    body: bytes
    received: datetime
    bearer: str = ""
    token_id: int | None = None  # of the path that Sentry posts to
    signed: Callable[[str], bool] = field(default=lambda _secret: False)  # with this secret?
    resource: str = ""  # what Sentry says it is about


class IntakeService:
    """Where deliveries of every source end."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        *,
        pace: Pace,
        secret_box: SecretBox | None,
    ) -> None:
        """`secret_box` is None where no TOCSIN_SECRET_KEY is set."""
        self._store = store
        self._metrics = metrics
        self._pace = pace
        self._secret_box = secret_box
        self._admitting = threading.BoundedSemaphore(ADMITTED_AT_ONCE)

    def _token(self, delivery: Delivery) -> IntakeTokenRow | None:
        """The token that a delivery names, not yet checked."""
        with self._admitting, self._store.read() as connection:
            if delivery.token_id is not None:
                return stored.find_token_by_id(connection, delivery.token_id)
            return stored.find_token_by_hash(connection, token_hash(delivery.bearer))

    def _check(self, delivery: Delivery, token: IntakeTokenRow | None) -> IntakeTokenRow:
        """The token, if it lets the delivery in. Raises Refused."""
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
            log.error("a secret cannot be decrypted", token_id=token.id, cause="another TOCSIN_SECRET_KEY")
            raise refused(503, "no_secret_key", "TOCSIN_SECRET_KEY", "is another than at `token create`") from None
        if not delivery.signed(secret):
            raise refused(401, "bad_signature", "Sentry-Hook-Signature", "does not fit the body and the secret")
        return token

    def take(self, deliveries: Sequence[Delivery]) -> list[Taken | Exception]:
        """Takes what deliveries hold that all name the same token; gives for each what became of it, or the error:
        Refused, DatabaseAway, Contended. Raises DatabaseAway.

        What they hold is carried out in their order, and what fits in one transaction.
        """
        token = self._token(deliveries[0])
        read = [self._read(delivery, token) for delivery in deliveries]
        if token is not None:
            if any(isinstance(one, _ParsedDelivery) or one.status != 401 for one in read):
                self._note_use(token, self._store.clock.now())
            let_in = [one for one in read if isinstance(one, _ParsedDelivery)]
            try:
                for together in _batches(let_in):
                    self._settle(token, together)
            except DatabaseAway as error:  # it would be away for each of them, and take its time to say so
                for one in let_in:
                    if len(one.outcomes) < len(one.parsed.alerts):
                        one.error = one.error or error
        results = [self._outcome(one) if isinstance(one, _ParsedDelivery) else one for one in read]
        if token is not None:
            self._note_refusals(token, results)
        return results

    def _note_refusals(self, token: IntakeTokenRow, results: Sequence[Taken | Exception]) -> None:
        """Records whether the last of a token's deliveries was refused, so that somebody may see to it."""
        last: Taken | Refused | None = None
        for one in results:
            # What is to come again is not refused, and a made-up token is nobody's.
            if isinstance(one, Taken) or (isinstance(one, Refused) and one.status not in TRY_AGAIN):
                one.token_id, last = token.id, one
        if last is None:
            return
        now, was = self._store.clock.now(), token.last_refused
        if not last.errors:
            if was is not None:
                with self._store.read() as connection:
                    stored.record_token_refusal(connection, token.id, None, None)
        elif was is None or now - was >= USED_EVERY:
            first = last.errors[0]
            why = f"{first.field} {first.message}"
            with self._store.read() as connection:
                stored.record_token_refusal(connection, token.id, now, why)

    def _note_use(self, token: IntakeTokenRow, now: datetime) -> None:
        if token.last_used is None or now - token.last_used >= USED_EVERY:
            with self._store.read() as connection:
                stored.record_token_use(connection, token.id, now)

    def _read(self, delivery: Delivery, token: IntakeTokenRow | None) -> _ParsedDelivery | Refused:
        """What a delivery holds, once it is let in."""
        try:
            token = self._check(delivery, token)
            if not token.incidents:
                raise refused(403, "switched_off", "organization", "incidents are switched off for this organization")
            try:
                payload = decode(delivery.body)
            except Unreadable as error:
                raise refused(400, "not_json", "body", str(error)) from None
            source = delivery.source
            parse = PARSERS[source] if source in PARSERS else partial(sentry.parse, resource=delivery.resource)
            read = _ParsedDelivery(source, parse(payload, delivery.received), delivery.received)
            if read.count > MAX_ITEMS:
                raise refused(413, "too_many", "body", f"holds more than {MAX_ITEMS:,} items")
            if wait := self._pace.wait_s(token.id, read.count, time.monotonic()):
                raise refused(429, "over_rate", "body", "too many alerts with this token", retry_after_s=wait)
        except Refused as error:
            return error
        return read

    def _settle(
        self,
        token: IntakeTokenRow,
        together: Sequence[tuple[_ParsedDelivery, Sequence[ParsedAlert]]],
        attempts: int = _ATTEMPTS,
    ) -> None:
        """Carries drafts out, those of several deliveries in one transaction; each apart where that fails, and as far
        as there is time where somebody else holds what they need. Raises DatabaseAway.
        """
        together = [(read, drafts) for read, drafts in together if read.error is None]
        drafts = [Received(draft, read.received) for read, part in together for draft in part]
        if not drafts:
            return
        try:
            outcomes = iter(self._carry_out(token, drafts, attempts))
        except DatabaseAway:
            raise
        except Exception as error:
            if len(together) == 1:
                together[0][0].error = error
                return
            apart_until = time.monotonic() + _APART_S
            for one in together:
                if not isinstance(error, Contended):
                    self._settle(token, [one])
                elif time.monotonic() < apart_until:
                    self._settle(token, [one], attempts=1)
                else:
                    one[0].error = error
            return
        for read, part in together:
            read.outcomes += [next(outcomes) for _ in part]

    def _outcome(self, read: _ParsedDelivery) -> Taken | Exception:
        taken = Taken(errors=list(read.parsed.errors))
        identifiers: dict[int, None] = {}
        for outcome in read.outcomes:
            if isinstance(outcome, ItemError):
                taken.errors.append(outcome)
                continue
            self._metrics.alerts.labels(read.source.value, outcome.action.value).inc()
            if outcome.identifier is not None:
                identifiers[outcome.identifier] = None
        if read.error is not None:
            return read.error
        taken.accepted = list(identifiers)
        taken.errors.sort(key=lambda error: -1 if error.item is None else error.item)
        bad = len({error.item for error in taken.errors})
        self._metrics.alerts.labels(read.source.value, "refused").inc(bad)
        if taken.errors and bad >= read.count:
            return Refused(422, "nothing_good", taken.errors)
        return taken

    def _carry_out(self, token: IntakeTokenRow, drafts: Sequence[Received], attempts: int) -> list[Outcome | ItemError]:
        for attempt in range(1, attempts + 1):
            try:
                with self._store.write() as tx:
                    outcomes = carry_out(tx, token, drafts, self._store.clock.now())
                break
            except (Contended, IntegrityError, psycopg2.IntegrityError) as error:
                # Somebody declared, reopened or pruned at the same moment; the second look sees it.
                if attempt == attempts:
                    raise
                log.info("taking alerts again", attempt=attempt, reason=type(error).__name__)
                time.sleep(_PAUSE_S * attempt)
        return outcomes


@dataclass(slots=True)
class _ParsedDelivery:
    """A delivery that was let in, and what becomes of it."""

    source: Source
    parsed: ParseResult
    received: datetime
    outcomes: list[Outcome | ItemError] = field(default_factory=list)  # of its drafts, as far as they were carried out
    error: Exception | None = None  # what ended that

    @property
    def count(self) -> int:
        """Its items, good and bad."""
        return len(self.parsed.alerts) + len({error.item for error in self.parsed.errors})


def _batches(reads: Sequence[_ParsedDelivery]) -> Iterator[list[tuple[_ParsedDelivery, list[ParsedAlert]]]]:
    """What is carried out in one transaction each: parts of deliveries, in their order."""
    together: list[tuple[_ParsedDelivery, list[ParsedAlert]]] = []
    size = 0
    for read in reads:
        for start in range(0, len(read.parsed.alerts), CHUNK):
            part = read.parsed.alerts[start : start + CHUNK]
            if size + len(part) > CHUNK:
                yield together
                together, size = [], 0
            together.append((read, part))
            size += len(part)
    if together:
        yield together
