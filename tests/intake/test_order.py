"""An alert's deliveries in any order, with repeats: the same end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from bot.incidents.alerts import Action, Alert, decide
from storage.models import AlertMemory, Incident
from storage.queries.intake import AlertIncident, Memory
from storage.rows import IncidentHead
from storage.values import Status, StatusMethod
from tests.intake.conftest import Bench

DAY = datetime(2026, 11, 22, tzinfo=UTC)
ARRIVAL = DAY + timedelta(days=1)
SEVERITIES = (Status.OPEN, Status.WARNING, Status.CRITICAL)


@dataclass
class Played:
    """The state machine of one alert, with a database of one row in memory."""

    memory: Memory = field(default_factory=lambda: Memory("key", None, None, None, None, None))
    incident: AlertIncident | None = None
    opened: int = 0

    def deliver(self, alert: Alert, now: datetime) -> None:
        decision = decide(self.memory, self.incident, alert, timedelta(minutes=5), now)
        self.memory = decision.memory
        match decision.action:
            case Action.OPEN:
                self.opened += 1
                head = IncidentHead(self.opened, self.opened, "x", alert.status, None, decision.when, None)
                self.incident = AlertIncident(head, "key", StatusMethod.RULE_TRIGGERED, frozenset([1]))
                self.memory = replace(self.memory, incident_id=self.opened)
            case Action.REOPEN | Action.STATUS:
                self._set(status=alert.status, date_closed=None)
            case Action.CLOSE:
                assert self.incident is not None
                closed = max(decision.when, self.incident.head.date_started)
                self._set(status=Status.CLOSED, date_closed=closed)

    def _set(self, *, status: Status, date_closed: datetime | None) -> None:
        assert self.incident is not None
        head = replace(self.incident.head, status=status, date_closed=date_closed)
        self.incident = replace(self.incident, head=head, method=StatusMethod.RULE_TRIGGERED)

    @property
    def fires(self) -> Status | None:
        """The status of the open incident, None when there is none."""
        if self.incident is None or self.incident.head.status is Status.CLOSED:
            return None
        return self.incident.head.status


@st.composite
def days(draw: st.DrawFn) -> list[Alert]:
    """The deliveries of a day in which one alert fires a few times, the last time perhaps until its end."""
    times = sorted(draw(st.lists(st.integers(0, 86_000), min_size=1, max_size=8, unique=True)))
    deliveries = []
    for number in range(0, len(times), 2):
        started = DAY + timedelta(seconds=times[number])
        firing = Alert("key", "x", True, draw(st.sampled_from(SEVERITIES)), 1, started=started)
        deliveries.append(firing)
        if number + 1 < len(times):
            ended = DAY + timedelta(seconds=times[number + 1])
            deliveries.append(replace(firing, firing=False, ended=ended))
    return deliveries


@given(days(), st.data())
def test_any_order_with_repeats_ends_in_the_same_state(day: list[Alert], data: st.DataObject) -> None:
    repeats = data.draw(st.lists(st.sampled_from(day), max_size=6))
    shuffled = data.draw(st.permutations([*day, *repeats]))
    in_order, any_order = Played(), Played()
    for alert in day:
        in_order.deliver(alert, ARRIVAL)
    for alert in shuffled:
        any_order.deliver(alert, ARRIVAL)
    assert any_order.fires == in_order.fires
    assert in_order.fires == (day[-1].status if day[-1].firing else None)
    assert any_order.opened <= sum(alert.firing for alert in day)


@given(days(), st.data())
def test_a_day_replayed_after_itself_changes_nothing(day: list[Alert], data: st.DataObject) -> None:
    played = Played()
    for alert in day:
        played.deliver(alert, ARRIVAL)
    before = (played.incident, played.opened, played.memory.fired, played.memory.resolved)
    for alert in data.draw(st.permutations(day)):
        played.deliver(alert, ARRIVAL + timedelta(minutes=1))
    assert (played.incident, played.opened, played.memory.fired, played.memory.resolved) == before


@given(st.lists(st.booleans(), max_size=12))
def test_without_times_the_order_of_arrival_decides(fires: list[bool]) -> None:
    played = Played()
    now = ARRIVAL
    for firing in fires:
        now += timedelta(minutes=1)
        played.deliver(Alert("key", "x", firing, Status.OPEN, 1), now)
    assert (played.fires is not None) == (bool(fires) and fires[-1])


def _event(key: str, alert: Alert) -> dict[str, str | None]:
    return {
        "dedup_key": key,
        "title": "x",
        "status": "firing" if alert.firing else "resolved",
        "severity": {Status.WARNING: "warning", Status.CRITICAL: "critical"}.get(alert.status),
        "started_at": alert.started.isoformat() if alert.started else None,
        "ended_at": alert.ended.isoformat() if alert.ended else None,
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(days(), min_size=1, max_size=3), st.data())
def test_in_the_database_too_in_batches_of_any_size(
    bench: Bench, alerts: list[list[Alert]], data: st.DataObject
) -> None:
    bench.go_to(ARRIVAL)
    with bench.store.write() as tx:
        tx.execute(delete(AlertMemory))
        tx.execute(delete(Incident))
    token = bench.token()
    told = [_event(f"key-{number}", alert) for number, day in enumerate(alerts) for alert in day]
    told += data.draw(st.lists(st.sampled_from(told), max_size=6))
    told = data.draw(st.permutations(told))
    size = data.draw(st.integers(1, len(told)))
    for first in range(0, len(told), size):
        answer = bench.post(token, told[first : first + size])
        assert (answer.status_code, answer.json()["errors"]) == (202, [])
    with bench.store.read() as connection:
        unclosed = connection.execute(
            select(Incident.dedup_key, Incident.status).where(Incident.status != Status.CLOSED)
        )
        fires = {key: Status(status) for key, status in unclosed}
    assert fires == {f"key-{number}": day[-1].status for number, day in enumerate(alerts) if day[-1].firing}
