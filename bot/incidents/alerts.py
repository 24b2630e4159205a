"""Applies alerts to incidents: an alert opens, reopens or closes an incident, changes its severity, or does nothing.

Source, project and key identify an alert. It can fire many times. The start time of the firing, if the alert gives one,
and the order of arrival decide what a message does (see the table in docs/alerts.md):

- A message about a firing before the latest one changes nothing.
- Within one firing, the message that arrives last counts. A firing message that arrives after the end of the same
  firing therefore fires again: an Alertmanager that loses its Prometheus ends the alert, and later reports it again
  with the original start time.
- An incident that a person closed stays closed until the firing ends or another one begins.
- If the end of a firing arrives a few seconds before its beginning, the firing still counts as ended.

If an alert gives no start time, its time of arrival is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import Connection

from bot.incidents import lifecycle
from bot.incidents.plain_text import has_visible
from storage.queries import intake, outbox, silence_holding
from storage.queries.intake import AlertIncident, AlertMemoryRow
from storage.rows import DESCRIPTION, AlertKey, AlertText, NewIncident
from storage.values import Status, StatusMethod

NO_TITLE = "(no title)"  # of an alert whose title has nothing that people can see
# Messages that arrive out of order do so within seconds. A message that arrives later than this counts as new.
OVERTAKEN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Alert:
    """A message from an alerting system about one alert, already validated. None: the message does not say."""

    key: AlertKey
    title: str | None
    firing: bool
    status: Status  # the severity: OPEN, WARNING or CRITICAL
    name: str | None = None  # used as the title if there is no title
    team_id: int | None = None
    environment: str | None = None
    url: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    links: tuple[tuple[str, str], ...] | None = None  # name and URL, besides `url`
    description: str | None = None  # empty: it has none
    facts: tuple[tuple[str, str], ...] | None = None  # name and text of its other contents
    labels: Mapping[str, str] | None = None  # for silences to match
    received: datetime | None = None  # when it arrived; None: now


class Action(Enum):
    """The effect of an alert on its incident."""

    OPEN = "opened"
    REOPEN = "reopened"
    STATUS = "changed"
    CLOSE = "closed"
    NOTHING = "unchanged"


@dataclass(frozen=True, slots=True)
class Decision:
    """The effect of an alert, and the state to store for it."""

    action: Action
    memory: AlertMemoryRow
    when: datetime  # when the incident began or ended
    says: bool = False  # whether the incident now shows the texts of this alert


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one alert. `identifier` is None if the alert has no incident."""

    action: Action
    identifier: int | None


def decide(
    memory: AlertMemoryRow, incident: AlertIncident | None, alert: Alert, quiet: timedelta, now: datetime
) -> Decision:
    """Decides what an alert does to its incident. Reads and writes nothing.

    `memory` is the stored state of the alert; `incident` is its incident, None if it has none. `quiet` is its project's
    quiet time: if an alert closed the incident and fires again within that time, the incident is reopened.
    """
    if alert.firing:
        return _decide_firing(memory, incident, alert, quiet, now)
    return _decide_end(memory, incident, alert, now)


def _decide_firing(
    memory: AlertMemoryRow, incident: AlertIncident | None, alert: Alert, quiet: timedelta, now: datetime
) -> Decision:
    # The sender's clock may be ahead. Without this limit, the start could be later than the end that follows.
    started = min(alert.started, now) if alert.started else None
    if _was_overtaken(memory, started, now):
        return Decision(Action.NOTHING, memory, now)
    # Without a start time, the order of arrival decides.
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
    """`memory` is the state before this firing, `known` the state with it."""
    if started and memory.fired and started < memory.fired:
        return Decision(Action.NOTHING, memory, now)
    # Compared with the alert's previous severity, not with the incident's: a person may have set that one by hand.
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
    """`memory` is the state before this firing, `known` the state with it."""
    began = started or now
    closed = incident.head.date_closed
    if closed is None:
        return Decision(Action.OPEN, known, began)
    if not _has_ended(memory) and started and started <= (memory.fired or closed):
        return Decision(Action.NOTHING, memory, now)  # a person closed the incident of this firing
    ended = max(closed, memory.resolved or closed)
    # If it fires again with a start time before its own end, the time of arrival counts.
    quietly = (began if began > ended else now) - ended <= quiet
    if quietly and incident.method is StatusMethod.RULE_TRIGGERED:
        return Decision(Action.REOPEN, known, began, says=True)
    return Decision(Action.OPEN, known, began)


def _has_ended(memory: AlertMemoryRow) -> bool:
    """Whether the end of the latest firing was received."""
    return memory.resolved is not None and (memory.fired is None or memory.fired <= memory.resolved)


def _was_overtaken(memory: AlertMemoryRow, started: datetime | None, now: datetime) -> bool:
    """Whether the end of this firing, or of a later one, arrived shortly before the first message about it."""
    if not _has_ended(memory) or not memory.resolved or not memory.resolved_received:
        return False
    if now - memory.resolved_received > OVERTAKEN:
        return False
    if memory.incident_id is None and memory.fired is None:  # only an end was received
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
        return nothing  # received before; a person has reopened the incident since
    return Decision(Action.CLOSE, known, ended)


def take(
    tx: Connection,
    organization_id: int,
    alerts: Sequence[Alert],
    quiet: Mapping[int, timedelta],
    now: datetime,
) -> list[Outcome]:
    """Applies alerts in their order. Returns the result of each, in the same order.

    `quiet` maps project ids to quiet times; a project that is missing has none. The rows of the alerts are locked in
    the order of their keys, before any row that other transactions wait for, so two batches cannot deadlock.
    """
    batch = _Batch(tx, organization_id, alerts, now)
    for number, alert in enumerate(alerts):
        if alert.key in batch.to_open:
            batch.open()  # the same alert again: it needs the incident that it opened
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
    """Alerts that are applied together, so that a few statements write all their changes."""

    def __init__(self, tx: Connection, organization_id: int, alerts: Sequence[Alert], now: datetime) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._now = now
        keys = [alert.key for alert in alerts]
        self.memories, self._has_silences = intake.lock_alert_memories(tx, organization_id, keys, now)
        self.incidents = intake.lock_incidents(tx, organization_id, list(self.memories.values()))
        self._changed: dict[AlertKey, AlertMemoryRow] = {}
        self._words: dict[int, AlertText] = {}  # by the incident's id
        self._to_match: set[int] = set()  # ids of the incidents that a silence may hold from now on
        self.to_open: dict[AlertKey, tuple[int, Alert, datetime]] = {}  # position in the batch, alert, start
        self.outcomes: dict[int, Outcome] = {}

    def remember(self, memory: AlertMemoryRow) -> None:
        if memory != self.memories[memory.alert]:
            self.memories[memory.alert] = self._changed[memory.alert] = memory

    def open(self) -> None:
        """Inserts the incidents in `to_open`."""
        if not self.to_open:
            return
        waiting = list(self.to_open.values())
        new = [_new_incident(alert, self.memories[alert.key], began, self._now) for _, alert, began in waiting]
        heads = lifecycle.open_incidents(self._tx, self._organization_id, new, self._now)
        for (number, alert, _), one, head in zip(waiting, new, heads, strict=True):
            self._keep(AlertIncident(head, one.method, _first_words(alert)), alert)
            self._to_match.add(head.id)
            self.outcomes[number] = Outcome(Action.OPEN, head.identifier)
        self.to_open.clear()

    def change(self, incident: AlertIncident, alert: Alert, decision: Decision) -> AlertIncident:
        """Changes the status of an incident and the texts that it shows, as decided. Returns the changed incident."""
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
            self._to_match.add(incident.head.id)
        return changed

    def end(self) -> None:
        """Writes everything that is not written yet."""
        self.open()
        intake.save_alert_memories(self._tx, self._organization_id, list(self._changed.values()))
        if self._words:
            intake.update_alert_texts(self._tx, self._organization_id, self._words)
            outbox.redraw_cards(self._tx, self._organization_id, self._words, self._now)
        if self._has_silences:
            silence_holding.hold_incidents(self._tx, self._organization_id, self._to_match, self._now)

    def _keep(self, incident: AlertIncident, alert: Alert) -> None:
        self.incidents[alert.key] = incident
        self.remember(replace(self.memories[alert.key], incident_id=incident.head.id))


def _name_title(title: str) -> str:
    return title if has_visible(title) else NO_TITLE


def _first_words(alert: Alert) -> AlertText:
    return AlertText(
        title=_name_title(alert.title or alert.name or alert.key.key),
        team_id=alert.team_id,
        environment=alert.environment,
        url=alert.url,
        links=alert.links or (),
        facts=_join_facts(alert.description, alert.facts or ()),
        labels=alert.labels or {},
    )


def _later_words(before: AlertText, alert: Alert) -> AlertText:
    """The texts of an alert; where it leaves one out, the text from before stays."""
    description = dict(before.facts[:1]).get(DESCRIPTION)
    facts = before.facts[1:] if description else before.facts
    return AlertText(
        title=_name_title(alert.title or before.title),
        team_id=alert.team_id or before.team_id,
        environment=alert.environment or before.environment,
        url=alert.url or before.url,
        links=before.links if alert.links is None else alert.links,
        facts=_join_facts(
            description if alert.description is None else alert.description,
            facts if alert.facts is None else alert.facts,
        ),
        labels=before.labels if alert.labels is None else alert.labels,
    )


def _join_facts(description: str | None, facts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return ((DESCRIPTION, description), *facts) if description else facts


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
        labels=words.labels,
    )
