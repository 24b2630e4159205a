"""Takes one delivery in: whose it is, what is in it, and what becomes of it. No HTTP in here."""

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
from bot.intake.together import Together
from bot.intake.tokens import SecretBox, SecretUnreadable, Source, token_hash
from storage.engine import Store
from storage.errors import Contended
from storage.queries import intake as stored
from storage.queries.intake import ProjectFacts, Token

log = structlog.get_logger(__name__)

# A batch is carried out in transactions of this many alerts: new incidents hold their organization's counter, and
# a responder who declares one should not have to wait for a storm.
CHUNK = 50
# Transactions of one token at once: while one commits, the next one gathers and begins.
AT_ONCE = 2
ADMITTED_AT_ONCE = 4  # reads on connections that responders need too
MAX_ITEMS = 10_000
# `last_used` is for people: to the minute is enough.
USED_EVERY = timedelta(minutes=1)
_ATTEMPTS = 5
_PAUSE_S = 0.05

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


class Desk:
    """Where deliveries of every source end."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        *,
        pace: Pace,
        secret_box: SecretBox | None,
        now: Callable[[], datetime],
    ) -> None:
        """`secret_box` is None where no TOCSIN_SECRET_KEY is set."""
        self._store = store
        self._metrics = metrics
        self._pace = pace
        self._secret_box = secret_box
        self._now = now
        self._together: Together[Draft, Outcome | ItemError] = Together(at_once=AT_ONCE, most=CHUNK)
        self._admitting = threading.BoundedSemaphore(ADMITTED_AT_ONCE)

    def admit(self, source: Source, bearer: str) -> Token:
        """The token that a request shows. Raises Refused, DatabaseAway."""
        hashed = token_hash(bearer)
        with self._admitting, self._store.read() as connection:
            token = stored.token_by_hash(connection, hashed)
            if token is None or not hmac.compare_digest(token.token_hash or "", hashed):
                raise refused(401, "bad_token", "Authorization", "no such token, or it has been revoked")
            if token.source != source:
                raise refused(401, "bad_token", "Authorization", f"this token is for {token.source}, not {source}")
            self._note_use(connection, token)
        return token

    def admit_signed(self, token_id: int, signed: Callable[[str], bool]) -> Token:
        """The token of a Sentry path, when `signed` says of its secret that the request was signed with it.

        Raises Refused, DatabaseAway.
        """
        with self._admitting, self._store.read() as connection:
            token = stored.token_by_id(connection, token_id)
            if token is None or token.source != Source.SENTRY or token.secret_encrypted is None:
                raise refused(401, "bad_token", "path", "no such token, or it has been revoked")
            if self._secret_box is None:
                raise refused(503, "no_secret_key", "TOCSIN_SECRET_KEY", "is not set where the bot runs")
            try:
                secret = self._secret_box.open(token.secret_encrypted)
            except SecretUnreadable:
                log.error("a secret cannot be decrypted", token_id=token.id, cause="another TOCSIN_SECRET_KEY")
                raise refused(503, "no_secret_key", "TOCSIN_SECRET_KEY", "is another than at `token create`") from None
            if not signed(secret):
                raise refused(401, "bad_signature", "Sentry-Hook-Signature", "does not fit the body and the secret")
            self._note_use(connection, token)
        return token

    def _note_use(self, connection: Connection, token: Token) -> None:
        now = self._now()
        if token.last_used is None or now - token.last_used >= USED_EVERY:
            stored.mark_used(connection, token.id, now)

    def take(self, token: Token, body: bytes, resource: str = "") -> Taken:
        """Takes what a body holds; `resource` is what Sentry says it is about.

        Raises Refused, DatabaseAway, Contended.
        """
        source = Source(token.source)
        if not token.incidents:
            raise refused(403, "switched_off", "organization", "incidents are switched off for this organization")
        try:
            payload = decode(body)
        except Unreadable as error:
            raise refused(400, "not_json", "body", str(error)) from None
        now = self._now()
        parsed = PARSERS[source](payload, now) if source in PARSERS else sentry.parse(payload, now, resource)
        count = len(parsed.drafts) + len({error.item for error in parsed.errors})
        if count > MAX_ITEMS:
            raise refused(413, "too_many", "body", f"holds more than {MAX_ITEMS:,} items")
        if wait := self._pace.wait_s(token.id, count, time.monotonic()):
            raise refused(429, "over_rate", "body", "too many alerts with this token", retry_after_s=wait)
        taken = Taken(errors=parsed.errors)
        identifiers: dict[int, None] = {}
        for chunk in _chunks(parsed.drafts):
            for outcome in self._together.do(token.id, chunk, partial(self._carry_out, token, source, now)):
                if isinstance(outcome, ItemError):
                    taken.errors.append(outcome)
                    continue
                self._metrics.alerts.labels(source.value, outcome.action.value).inc()
                if outcome.identifier is not None:
                    identifiers[outcome.identifier] = None
        taken.accepted = list(identifiers)
        taken.errors.sort(key=lambda error: -1 if error.item is None else error.item)
        self._metrics.alerts.labels(source.value, "refused").inc(len({error.item for error in taken.errors}))
        if taken.errors and len({error.item for error in taken.errors}) >= count:
            raise Refused(422, "nothing_good", taken.errors)
        return taken

    def _carry_out(
        self, token: Token, source: Source, now: datetime, drafts: Sequence[Draft]
    ) -> list[Outcome | ItemError]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._store.write() as tx:
                    outcomes = _carry_out(tx, token, source, drafts, now)
                break
            except (Contended, IntegrityError, psycopg2.IntegrityError) as error:
                # Somebody declared, reopened or pruned at the same moment; the second look sees it.
                if attempt == _ATTEMPTS:
                    raise
                log.info("taking alerts again", attempt=attempt, reason=type(error).__name__)
                time.sleep(_PAUSE_S * attempt)
        return outcomes


def _chunks(drafts: list[Draft]) -> Iterator[list[Draft]]:
    for start in range(0, len(drafts), CHUNK):
        yield drafts[start : start + CHUNK]


def _carry_out(
    tx: Connection, token: Token, source: Source, drafts: Sequence[Draft], now: datetime
) -> list[Outcome | ItemError]:
    own = token.project
    named = set() if own else {draft.project for draft in drafts if draft.project}
    projects = {project.slug: project for project in stored.projects(tx, token.organization_id, named)} if named else {}
    if own:
        projects[own.slug] = own
    slugs = {draft.team for draft in drafts if draft.team}
    teams = stored.team_ids(tx, token.organization_id, slugs) if slugs else {}
    good: dict[int, Alert] = {}  # by its place among the drafts, whose own numbers may be of several deliveries
    results: dict[int, Outcome | ItemError] = {}
    for place, draft in enumerate(drafts):
        try:
            alert = _alert(draft, source, projects, own, teams)
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
                drafts[place].item, "dedup_key", "is that of an open incident of another project; keys need to differ"
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
    )
