"""What an alert does to incidents: it opens one, raises or lowers it, closes it, opens it again, or nothing.

An alert is known by its source, project and key. A firing begins at its start, where the alert says so; that and the
order of arrival decide (docs/alerts.md has the table):

- What belongs to an earlier firing than the latest one changes nothing.
- Of the same firing, what arrives last counts. A firing that arrives after its own end therefore fires: an Alertmanager
  that lost sight of its Prometheus ends an alert, and tells it with its first start when it is back.
- What a person closed stays closed until its firing has ended or another one begins.
- An end that overtakes the beginning of its firing by seconds still ends it.

An alert that does not say when it began is taken to begin when it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import Connection

from bot.incidents import lifecycle
from storage.queries import intake, outbox
from storage.queries.intake import AlertIncident, AlertMemoryRow
from storage.rows import AlertKey, AlertText, NewIncident
from storage.values import Status, StatusMethod

# Deliveries that overtake each other on the way arrive within seconds. What comes later is meant as it is said.
OVERTAKEN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Alert:
    """What an alerting system says of one of its alerts, checked. None: it does not say."""

    key: AlertKey
    title: str | None
    firing: bool
    status: Status  # the severity: OPEN, WARNING or CRITICAL
    name: str | None = None  # what to call an incident that has no title
    team_id: int | None = None
    environment: str | None = None
    url: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    links: tuple[tuple[str, str], ...] | None = None  # name and URL, besides `url`
    facts: tuple[tuple[str, str], ...] | None = None  # name and text
    received: datetime | None = None  # when it arrived; None: now


class Action(Enum):
    """What an alert does."""

    OPEN = "opened"
    REOPEN = "reopened"
    STATUS = "changed"
    CLOSE = "closed"
    NOTHING = "unchanged"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an alert does, and what is remembered of it."""

    action: Action
    memory: AlertMemoryRow
    when: datetime  # when the incident began or ended
    says: bool = False  # whether the incident shows what the alert says from now on


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert. Without `identifier` it concerns no incident."""

    action: Action
    identifier: int | None


def decide(
    memory: AlertMemoryRow, incident: AlertIncident | None, alert: Alert, quiet: timedelta, now: datetime
) -> Decision:
    """What an alert does to its incident. `quiet` is its project's."""
    if alert.firing:
        return _decide_firing(memory, incident, alert, quiet, now)
    return _decide_end(memory, incident, alert, now)


def _decide_firing(
    memory: AlertMemoryRow, incident: AlertIncident | None, alert: Alert, quiet: timedelta, now: datetime
) -> Decision:
    # A sender's clock that is ahead must not outrun the end that follows.
    started = min(alert.started, now) if alert.started else None
    if _was_overtaken(memory, started, now):
        return Decision(Action.NOTHING, memory, now)
    # Whoever does not say when it began means the order of arrival.
    known = replace(
        memory, fired=started, status=alert.status, resolved=None, resolved_received=None, resolved_started=None
    )
    if incident is None:
        return Decision(Action.OPEN, known, started or now)
    if incident.head.status is not Status.CLOSED:
        return _decide_firing_while_open(memory, known, started, now)
    return _decide_firing_after_close(memory, known, incident, started, quiet, now)


def _decide_firing_while_open(
    memory: AlertMemoryRow, known: AlertMemoryRow, started: datetime | None, now: datetime
) -> Decision:
    """`memory` is what the alert said before, `known` the same with this firing."""
    if started and memory.fired and started < memory.fired:
        return Decision(Action.NOTHING, memory, now)
    # Compared with what the alert said before, not with the incident: a person may have set that by hand.
    action = Action.NOTHING if known.status is memory.status else Action.STATUS
    return Decision(action, replace(known, fired=started or memory.fired), now, says=True)


def _decide_firing_after_close(
    memory: AlertMemoryRow,
    known: AlertMemoryRow,
    incident: AlertIncident,
    started: datetime | None,
    quiet: timedelta,
    now: datetime,
) -> Decision:
    """`memory` is what the alert said before, `known` the same with this firing."""
    began = started or now
    closed = incident.head.date_closed
    if closed is None:
        return Decision(Action.OPEN, known, began)
    if not _has_ended(memory) and started and started <= (memory.fired or closed):
        return Decision(Action.NOTHING, memory, now)  # it is what a person closed
    ended = max(closed, memory.resolved or closed)
    # Told again with a start before its end, it goes by the arrival.
    quietly = (began if began > ended else now) - ended <= quiet
    if quietly and incident.method is StatusMethod.RULE_TRIGGERED:
        return Decision(Action.REOPEN, known, began, says=True)
    return Decision(Action.OPEN, known, began)


def _has_ended(memory: AlertMemoryRow) -> bool:
    """Whether the end of the latest firing was told."""
    return memory.resolved is not None and (memory.fired is None or memory.fired <= memory.resolved)


def _was_overtaken(memory: AlertMemoryRow, started: datetime | None, now: datetime) -> bool:
    """Whether the end of this firing, or of a later one, came just before the first word of it."""
    if not _has_ended(memory) or not memory.resolved or not memory.resolved_received:
        return False
    if now - memory.resolved_received > OVERTAKEN:
        return False
    if memory.incident_id is None and memory.fired is None:  # nothing but an end was heard
        return started is None or started <= memory.resolved
    if started is None or started == memory.fired:
        return False
    latest = max(filter(None, (memory.fired, memory.resolved_started)), default=None)
    return latest is not None and started <= latest


def _decide_end(memory: AlertMemoryRow, incident: AlertIncident | None, alert: Alert, now: datetime) -> Decision:
    ended = min(alert.ended or now, now)
    nothing = Decision(Action.NOTHING, memory, now)
    if memory.fired and ended < memory.fired:
        return nothing  # the end of an earlier firing
    latest = memory.resolved is None or ended >= memory.resolved
    known = replace(
        memory,
        resolved=ended if latest else memory.resolved,
        resolved_received=now,
        resolved_started=alert.started if latest else memory.resolved_started,
    )
    if incident is None or incident.head.status is Status.CLOSED:
        return Decision(Action.NOTHING, known, now)
    if alert.ended and _has_ended(memory) and memory.resolved and ended <= memory.resolved:
        return nothing  # told before; a person has reopened it since
    return Decision(Action.CLOSE, known, ended)


def take(
    tx: Connection,
    organization_id: int,
    alerts: Sequence[Alert],
    quiet: Mapping[int, timedelta],
    now: datetime,
) -> list[Outcome]:
    """Carries alerts out, in their order; gives what became of each.

    `quiet` is the quiet time of each project that the alerts name. The alerts' rows are held in the order of their
    keys and before anything that others wait for, so that two batches never wait for each other.
    """
    batch = _Batch(tx, organization_id, alerts, now)
    for number, alert in enumerate(alerts):
        if alert.key in batch.to_open:
            batch.open()  # the same alert again: it finds what it opened
        memory, incident = batch.memories[alert.key], batch.incidents.get(alert.key)
        quiet_time = quiet.get(alert.key.project_id, timedelta())
        decision = decide(memory, incident, alert, quiet_time, alert.received or now)
        batch.remember(decision.memory)
        if decision.action is Action.OPEN:
            batch.to_open[alert.key] = (number, alert, decision.when)
            continue
        if incident is not None:
            incident = batch.change(incident, alert, decision)
        batch.outcomes[number] = Outcome(decision.action, incident.head.identifier if incident else None)
    batch.end()
    return [batch.outcomes[number] for number in range(len(alerts))]


class _Batch:
    """Alerts that are carried out together: what they write is written in few statements."""

    def __init__(self, tx: Connection, organization_id: int, alerts: Sequence[Alert], now: datetime) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._now = now
        self.memories = intake.lock_alert_memories(tx, organization_id, [alert.key for alert in alerts], now)
        self.incidents = intake.lock_incidents(tx, organization_id, list(self.memories.values()))
        self._changed: dict[AlertKey, AlertMemoryRow] = {}
        self._words: dict[int, AlertText] = {}  # by the incident's id
        self.to_open: dict[AlertKey, tuple[int, Alert, datetime]] = {}  # the alert's number, itself, its start
        self.outcomes: dict[int, Outcome] = {}

    def remember(self, memory: AlertMemoryRow) -> None:
        if memory != self.memories[memory.alert]:
            self.memories[memory.alert] = self._changed[memory.alert] = memory

    def open(self) -> None:
        """Opens the incidents that wait for it."""
        if not self.to_open:
            return
        waiting = list(self.to_open.values())
        new = [_new_incident(alert, self.memories[alert.key], began, self._now) for _, alert, began in waiting]
        heads = lifecycle.open_incidents(self._tx, self._organization_id, new, self._now)
        for (number, alert, _), one, head in zip(waiting, new, heads, strict=True):
            self._keep(AlertIncident(head, one.method, _first_words(alert)), alert)
            self.outcomes[number] = Outcome(Action.OPEN, head.identifier)
        self.to_open.clear()

    def change(self, incident: AlertIncident, alert: Alert, decision: Decision) -> AlertIncident:
        """Closes, reopens or raises an incident, and has it show what the alert says now."""
        changed = incident
        if decision.action is not Action.NOTHING:
            closes = decision.action is Action.CLOSE
            head = lifecycle.change_status(
                self._tx,
                incident.head,
                Status.CLOSED if closes else alert.status,
                StatusMethod.RULE_TRIGGERED,
                self._now,
                closed_at=decision.when if closes else None,
            )
            changed = replace(changed, head=head, method=StatusMethod.RULE_TRIGGERED)
        if decision.says and (words := _later_words(incident.words, alert)) != incident.words:
            changed = replace(changed, words=words)
            self._words[incident.head.id] = words
        if changed is not incident:
            self._keep(changed, alert)
        return changed

    def end(self) -> None:
        """Writes what is left to be written."""
        self.open()
        intake.save_alert_memories(self._tx, self._organization_id, list(self._changed.values()))
        if self._words:
            intake.update_alert_texts(self._tx, self._words)
            outbox.redraw_cards(self._tx, self._words, self._now)

    def _keep(self, incident: AlertIncident, alert: Alert) -> None:
        self.incidents[alert.key] = incident
        self.remember(replace(self.memories[alert.key], incident_id=incident.head.id))


def _first_words(alert: Alert) -> AlertText:
    return AlertText(
        title=alert.title or alert.name or alert.key.key,
        team_id=alert.team_id,
        environment=alert.environment,
        url=alert.url,
        links=alert.links or (),
        facts=alert.facts or (),
    )


def _later_words(before: AlertText, alert: Alert) -> AlertText:
    """What an alert says now; what it leaves out is as it was."""
    return AlertText(
        title=alert.title or before.title,
        team_id=alert.team_id or before.team_id,
        environment=alert.environment or before.environment,
        url=alert.url or before.url,
        links=before.links if alert.links is None else alert.links,
        facts=before.facts if alert.facts is None else alert.facts,
    )


def _new_incident(alert: Alert, memory: AlertMemoryRow, began: datetime, now: datetime) -> NewIncident:
    words = _first_words(alert)
    return NewIncident(
        project_ids=[alert.key.project_id],
        title=words.title,
        status=alert.status,
        method=StatusMethod.RULE_TRIGGERED,
        date_started=began,
        date_detected=now,
        team_id=words.team_id,
        environment=words.environment,
        url=words.url,
        source=alert.key.source,
        alert_key=alert.key,
        dedup_key=memory.dedup_key,
        links=words.links,
        facts=words.facts,
    )
