"""What an alert does to incidents: it opens one, raises or lowers it, closes it, opens it again, or nothing.

An alert is known by its dedup key. Deliveries come twice, late and in another order, so the times in them decide
and not their arrival: the alert fires when its latest firing began after the latest end that was told. An alert
that does not say when it began is taken to mean the moment of its arrival.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import Connection

from bot.incidents import lifecycle
from storage.queries import intake
from storage.queries.intake import AlertIncident, Memory
from storage.rows import NewIncident
from storage.values import Status, StatusMethod

# A firing that is told after its own end came late, if it comes this soon. One that comes later is real: an
# Alertmanager that lost sight of its Prometheus ends an alert, and tells it again with its first start when it is
# back, at the earliest after its group_interval, which is five minutes unless it is set otherwise.
LATE = timedelta(minutes=5)
# The same for a firing that does not say when it began, of an alert that nobody has heard of but for its end: the
# two overtook each other on the way, which is a matter of seconds.
OVERTAKEN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Alert:
    """What an alerting system says of one of its alerts, checked."""

    dedup_key: str
    title: str
    firing: bool
    status: Status  # the severity: OPEN, WARNING or CRITICAL
    project_id: int | None  # None only where an end names no project
    team_id: int | None = None
    environment: str | None = None
    url: str | None = None
    source: str | None = None
    started: datetime | None = None  # None: not said
    ended: datetime | None = None  # None: not said
    links: Sequence[tuple[str, str]] = ()  # name and URL, besides `url`
    facts: Sequence[tuple[str, str]] = ()  # name and text
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
    memory: Memory
    when: datetime  # when the incident began or ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert. Without `identifier` it concerns no incident."""

    action: Action
    identifier: int | None


class KeyOfAnotherProject(Exception):
    """The dedup key is that of an unclosed incident of another project, which this alert may not touch."""


def decide(memory: Memory, incident: AlertIncident | None, alert: Alert, quiet: timedelta, now: datetime) -> Decision:
    """What an alert does to its incident. `quiet` is its project's. Raises KeyOfAnotherProject."""
    if incident is not None and alert.project_id not in (None, *incident.project_ids):
        if incident.head.status is not Status.CLOSED:
            raise KeyOfAnotherProject
        incident = None
    decided = _fires if alert.firing else _ends
    return decided(memory, incident, alert, quiet, now)


def _fires(memory: Memory, incident: AlertIncident | None, alert: Alert, quiet: timedelta, now: datetime) -> Decision:
    # A sender's clock that is ahead must not outrun the end that follows.
    started = min(alert.started, now) if alert.started else None
    nothing = Decision(Action.NOTHING, memory, now)
    if incident is not None and incident.head.status is not Status.CLOSED:
        if started and ((memory.fired and started < memory.fired) or (memory.resolved and started <= memory.resolved)):
            return nothing  # an older firing, overtaken by a newer one or by its end
        known = replace(memory, fired=started or memory.fired, status=alert.status)
        # Compared with what the alert said before, not with the incident: a person may have set that by hand.
        action = Action.NOTHING if alert.status is memory.status else Action.STATUS
        return Decision(action, known, now)

    if memory.resolved and memory.resolved_received:
        since = now - memory.resolved_received
        if started and started <= memory.resolved and since <= LATE:
            return nothing
        if not started and memory.incident_id is None and since <= OVERTAKEN:
            return nothing
    closed = incident.head.date_closed if incident else None
    by_alert = incident is not None and incident.method is StatusMethod.RULE_TRIGGERED
    if started and closed and not by_alert and started <= closed:
        return nothing  # it is what a person closed

    # Whoever does not say when it began means the order of arrival: what ended before is no measure any more.
    known = replace(memory, fired=started, status=alert.status, resolved=memory.resolved if started else None)
    began = started or now
    if by_alert and closed:
        ended = max(closed, memory.resolved or closed)
        # Told again with a start before its end, long after: it goes by the arrival.
        if (began if began > ended else now) - ended <= quiet:
            return Decision(Action.REOPEN, known, began)
    return Decision(Action.OPEN, known, began)


def _ends(memory: Memory, incident: AlertIncident | None, alert: Alert, quiet: timedelta, now: datetime) -> Decision:
    del quiet  # only a firing has to ask for it
    ended = min(alert.ended or now, now)
    known = replace(memory, resolved=max(ended, memory.resolved or ended), resolved_received=now)
    if incident is None or incident.head.status is Status.CLOSED:
        return Decision(Action.NOTHING, known, now)
    if memory.fired and ended < memory.fired:
        return Decision(Action.NOTHING, memory, now)  # the end of an earlier firing
    if alert.ended and memory.resolved and ended <= memory.resolved:
        return Decision(Action.NOTHING, memory, now)  # told before; a person has reopened it since
    return Decision(Action.CLOSE, known, ended)


def take(
    tx: Connection,
    organization_id: int,
    alerts: Sequence[Alert],
    quiet: Mapping[int, timedelta],
    now: datetime,
) -> list[Outcome | KeyOfAnotherProject]:
    """Carries alerts out, in their order; gives what became of each.

    `quiet` is the quiet time of each project that the alerts name. The alerts' rows are held in the order of their
    keys and before anything that others wait for, so that two batches never wait for each other.
    """
    batch = _Batch(tx, organization_id, alerts, now)
    for number, alert in enumerate(alerts):
        if alert.dedup_key in batch.to_open:
            batch.open()  # the same alert again: it finds what it opened
        memory, incident = batch.memories[alert.dedup_key], batch.incidents.get(alert.dedup_key)
        try:
            decision = decide(
                memory, incident, alert, quiet.get(alert.project_id or 0, timedelta()), alert.received or now
            )
        except KeyOfAnotherProject as error:
            batch.outcomes[number] = error
            continue
        batch.remember(decision.memory)
        if decision.action is Action.OPEN:
            batch.to_open[alert.dedup_key] = (number, alert, decision.when)
            continue
        if incident is not None and decision.action is not Action.NOTHING:
            incident = batch.change(incident, alert, decision)
        batch.outcomes[number] = Outcome(decision.action, incident.head.identifier if incident else None)
    batch.open()
    intake.keep_memories(tx, organization_id, list(batch.changed.values()))
    return [batch.outcomes[number] for number in range(len(alerts))]


class _Batch:
    """Alerts that are carried out together: new incidents are written in one statement."""

    def __init__(self, tx: Connection, organization_id: int, alerts: Sequence[Alert], now: datetime) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._now = now
        self.memories = intake.hold_memories(tx, organization_id, [alert.dedup_key for alert in alerts], now)
        self.incidents = intake.hold_incidents(tx, organization_id, list(self.memories.values()))
        self.changed: dict[str, Memory] = {}
        self.to_open: dict[str, tuple[int, Alert, datetime]] = {}  # by key: the alert's number, itself, its start
        self.outcomes: dict[int, Outcome | KeyOfAnotherProject] = {}

    def remember(self, memory: Memory) -> None:
        if memory != self.memories[memory.dedup_key]:
            self.memories[memory.dedup_key] = self.changed[memory.dedup_key] = memory

    def open(self) -> None:
        """Opens the incidents that wait for it."""
        if not self.to_open:
            return
        waiting = list(self.to_open.values())
        new = [_new_incident(alert, began, self._now) for _, alert, began in waiting]
        heads = lifecycle.open_incidents(self._tx, self._organization_id, new, self._now)
        for (number, alert, _), one, head in zip(waiting, new, heads, strict=True):
            self._keep(AlertIncident(head, alert.dedup_key, one.method, frozenset(one.project_ids)), alert)
            self.outcomes[number] = Outcome(Action.OPEN, head.identifier)
        self.to_open.clear()

    def change(self, incident: AlertIncident, alert: Alert, decision: Decision) -> AlertIncident:
        """Closes, reopens or raises an incident."""
        closes = decision.action is Action.CLOSE
        head = lifecycle.change_status(
            self._tx,
            incident.head,
            Status.CLOSED if closes else alert.status,
            StatusMethod.RULE_TRIGGERED,
            self._now,
            closed_at=decision.when if closes else None,
        )
        incident = replace(incident, head=head, method=StatusMethod.RULE_TRIGGERED)
        self._keep(incident, alert)
        return incident

    def _keep(self, incident: AlertIncident, alert: Alert) -> None:
        self.incidents[alert.dedup_key] = incident
        self.remember(replace(self.memories[alert.dedup_key], incident_id=incident.head.id))


def _new_incident(alert: Alert, began: datetime, now: datetime) -> NewIncident:
    assert alert.project_id is not None
    return NewIncident(
        project_ids=[alert.project_id],
        title=alert.title,
        status=alert.status,
        method=StatusMethod.RULE_TRIGGERED,
        date_started=began,
        date_detected=now,
        team_id=alert.team_id,
        environment=alert.environment,
        url=alert.url,
        dedup_key=alert.dedup_key,
        source=alert.source,
        links=alert.links,
        facts=alert.facts,
    )
