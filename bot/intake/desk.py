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
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bot.incidents import alerts
from bot.incidents.alerts import Alert, KeyOfAnotherProject, Outcome
from bot.intake import alertmanager, events, grafana, sentry
from bot.intake.items import Draft, ItemError, Parsed, Unreadable, decode
from bot.intake.metrics import Metrics
from bot.intake.pace import Pace
from bot.intake.tokens import SecretBox, SecretUnreadable, Source, token_hash
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import intake as stored
from storage.queries.intake import ProjectFacts, Token

log = structlog.get_logger(__name__)

# A batch is carried out in transactions of this many alerts: new incidents hold their organization's counter, and
# a responder who declares one should not have to wait for a storm.
CHUNK = 50
ADMITTED_AT_ONCE = 4  # reads on connections that responders need too
MAX_ITEMS = 10_000
# `last_used` is for people: to the minute is enough.
USED_EVERY = timedelta(minutes=1)
_ATTEMPTS = 5
_PAUSE_S = 0.05
# For how long deliveries are tried apart that together met with somebody who holds what they need.
_APART_S = 3.0

Parser = Callable[[Any, datetime], Parsed]
PARSERS: dict[Source, Parser] = {
    Source.ALERTMANAGER: alertmanager.parse,
    Source.GRAFANA: grafana.parse,
    Source.EVENTS: events.parse,
}


class Refused(Exception):
    """A delivery of which nothing is taken. `reason` is counted."""

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


class Desk:
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

    def admit(self, source: Source, bearer: str) -> None:
        """Looks whether a delivery with that token will be taken. Raises Refused, DatabaseAway."""
        delivery = Delivery(source, b"", self._store.clock.now(), bearer)
        self._check(delivery, self._token(delivery))

    def _token(self, delivery: Delivery) -> Token | None:
        """The token that a delivery names, not yet checked."""
        with self._admitting, self._store.read() as connection:
            if delivery.token_id is not None:
                return stored.token_by_id(connection, delivery.token_id)
            return stored.token_by_hash(connection, token_hash(delivery.bearer))

    def _check(self, delivery: Delivery, token: Token | None) -> Token:
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

    def _check_signature(self, delivery: Delivery, token: Token | None) -> Token:
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
            if any(isinstance(one, _Read) or one.status != 401 for one in read):
                self._note_use(token, self._store.clock.now())
            let_in = [one for one in read if isinstance(one, _Read)]
            try:
                for together in _packed(let_in):
                    self._settle(token, together)
            except DatabaseAway as error:  # it would be away for each of them, and take its time to say so
                for one in let_in:
                    if len(one.outcomes) < len(one.parsed.drafts):
                        one.error = one.error or error
        return [self._outcome(one) if isinstance(one, _Read) else one for one in read]

    def _note_use(self, token: Token, now: datetime) -> None:
        if token.last_used is None or now - token.last_used >= USED_EVERY:
            with self._store.read() as connection:
                stored.mark_used(connection, token.id, now)

    def _read(self, delivery: Delivery, token: Token | None) -> _Read | Refused:
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
            read = _Read(source, parse(payload, delivery.received), delivery.received)
            if read.count > MAX_ITEMS:
                raise refused(413, "too_many", "body", f"holds more than {MAX_ITEMS:,} items")
            if wait := self._pace.wait_s(token.id, read.count, time.monotonic()):
                raise refused(429, "over_rate", "body", "too many alerts with this token", retry_after_s=wait)
        except Refused as error:
            return error
        return read

    def _settle(
        self, token: Token, together: Sequence[tuple[_Read, Sequence[Draft]]], attempts: int = _ATTEMPTS
    ) -> None:
        """Carries drafts out, those of several deliveries in one transaction; each apart where that fails, and as far
        as there is time where somebody else holds what they need. Raises DatabaseAway.
        """
        together = [(read, drafts) for read, drafts in together if read.error is None]
        drafts = [(draft, read.received) for read, part in together for draft in part]
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

    def _outcome(self, read: _Read) -> Taken | Exception:
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

    def _carry_out(
        self, token: Token, drafts: Sequence[tuple[Draft, datetime]], attempts: int
    ) -> list[Outcome | ItemError]:
        for attempt in range(1, attempts + 1):
            try:
                with self._store.write() as tx:
                    outcomes = _carry_out(tx, token, drafts, self._store.clock.now())
                break
            except (Contended, IntegrityError, psycopg2.IntegrityError) as error:
                # Somebody declared, reopened or pruned at the same moment; the second look sees it.
                if attempt == attempts:
                    raise
                log.info("taking alerts again", attempt=attempt, reason=type(error).__name__)
                time.sleep(_PAUSE_S * attempt)
        return outcomes


@dataclass(slots=True)
class _Read:
    """A delivery that was let in, and what becomes of it."""

    source: Source
    parsed: Parsed
    received: datetime
    outcomes: list[Outcome | ItemError] = field(default_factory=list)  # of its drafts, as far as they were carried out
    error: Exception | None = None  # what ended that

    @property
    def count(self) -> int:
        """Its items, good and bad."""
        return len(self.parsed.drafts) + len({error.item for error in self.parsed.errors})


def _packed(reads: Sequence[_Read]) -> Iterator[list[tuple[_Read, list[Draft]]]]:
    """What is carried out in one transaction each: parts of deliveries, in their order."""
    together: list[tuple[_Read, list[Draft]]] = []
    size = 0
    for read in reads:
        for start in range(0, len(read.parsed.drafts), CHUNK):
            part = read.parsed.drafts[start : start + CHUNK]
            if size + len(part) > CHUNK:
                yield together
                together, size = [], 0
            together.append((read, part))
            size += len(part)
    if together:
        yield together


def _carry_out(
    tx: Connection, token: Token, drafts: Sequence[tuple[Draft, datetime]], now: datetime
) -> list[Outcome | ItemError]:
    """What becomes of drafts, each with when it arrived."""
    own, source = token.project, Source(token.source)
    named = set() if own else {draft.project for draft, _ in drafts if draft.project}
    projects = {project.slug: project for project in stored.projects(tx, token.organization_id, named)} if named else {}
    if own:
        projects[own.slug] = own
    slugs = {draft.team for draft, _ in drafts if draft.team}
    teams = stored.team_ids(tx, token.organization_id, slugs) if slugs else {}
    good: dict[int, Alert] = {}  # by its place among the drafts, whose own numbers may be of several deliveries
    results: dict[int, Outcome | ItemError] = {}
    for place, (draft, received) in enumerate(drafts):
        try:
            alert = _alert(draft, received, source, projects, own, teams)
            # A source's own fields are checked where they are read; this is for whatever slips through there.
            if "\\x00" in repr(alert):
                raise _Unknown("body", "holds a NUL character, which cannot be stored")
            good[place] = alert
        except _Unknown as error:
            results[place] = ItemError(draft.item, error.field, error.message)
    quiet = {project.id: project.quiet for project in projects.values()}
    outcomes = alerts.take(tx, token.organization_id, list(good.values()), quiet, now)
    for place, outcome in zip(good, outcomes, strict=True):
        if isinstance(outcome, KeyOfAnotherProject):
            results[place] = ItemError(
                drafts[place][0].item,
                "dedup_key",
                "is that of an open incident of another project; keys need to differ",
            )
        else:
            results[place] = outcome
    return [results[place] for place in range(len(drafts))]


class _Unknown(Exception):
    def __init__(self, field_: str, message: str) -> None:
        super().__init__(message)
        self.field = field_
        self.message = message


def _alert(
    draft: Draft,
    received: datetime,
    source: Source,
    projects: dict[str, ProjectFacts],
    own: ProjectFacts | None,
    teams: dict[str, int],
) -> Alert:
    # An event names its project and team on purpose. A label may be there for another reason: where the token
    # says the project, the label does not count, and a team that nobody knows is none.
    on_purpose = source is Source.EVENTS
    project = own
    if draft.project is not None and (on_purpose or own is None):
        named = projects.get(draft.project)
        if own is not None and named is not own:
            raise _Unknown("project", f"this token is for {own.slug} alone")
        if named is None:
            raise _Unknown("project", f"there is no project {draft.project}")
        project = named
    if project is None and (draft.firing or not on_purpose):
        raise _Unknown("project", "is missing, and this token is for no project in particular")
    if on_purpose and draft.team is not None and draft.team not in teams:
        raise _Unknown("team", f"there is no team {draft.team}")
    return Alert(
        # An event's key is its sender's word. Fingerprints are alike wherever two systems watch alike things.
        dedup_key=draft.key if project is None or on_purpose else f"{source}:{project.id}:{draft.key}",
        title=draft.title,
        firing=draft.firing,
        status=draft.status,
        project_id=project.id if project else None,
        team_id=teams.get(draft.team) if draft.team else None,
        environment=draft.environment,
        url=draft.url,
        source=source.value,
        started=draft.started,
        ended=draft.ended,
        links=draft.links,
        facts=draft.facts,
        received=received,
    )
