"""An alert's deliveries in any order, with repeats, and people beside them: against the table in docs/alerts.md."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from bot.incidents.alerts import Action, Alert, decide
from storage.models import AlertMemory, Incident
from storage.queries.intake import AlertIncident, AlertMemoryRow
from storage.rows import AlertKey, AlertText, IncidentHead
from storage.values import Status, StatusMethod
from tests.intake.conftest import Bench

DAY = datetime(2026, 11, 22, tzinfo=UTC)
ARRIVAL = DAY + timedelta(days=1)
SEVERITIES = (Status.OPEN, Status.WARNING, Status.CRITICAL)
QUIET = timedelta(minutes=5)
KEY = AlertKey("events", 1, "key")
WORDS = AlertText("x", None, None, None, (), ())


@dataclass
class Played:
    """The state machine of one alert, with a database of one row in memory."""

    memory: AlertMemoryRow = field(default_factory=lambda: AlertMemoryRow(KEY, "key"))
    incident: AlertIncident | None = None
    opened: int = 0

    def deliver(self, alert: Alert, now: datetime) -> Action:
        decision = decide(self.memory, self.incident, alert, QUIET, now)
        self.memory = decision.memory
        match decision.action:
            case Action.OPEN:
                self.opened += 1
                head = IncidentHead(self.opened, self.opened, "x", alert.status, None, decision.when, None, 1)
                self.incident = AlertIncident(head, StatusMethod.RULE_TRIGGERED, WORDS)
                self.memory = replace(self.memory, incident_id=self.opened)
            case Action.REOPEN | Action.STATUS:
                self._set(alert.status, None)
            case Action.CLOSE:
                assert self.incident is not None
                self._set(Status.CLOSED, max(decision.when, self.incident.head.date_started))
        return decision.action

    def by_hand(self, status: Status, now: datetime) -> None:
        """A person closes the incident, or opens it again."""
        self._set(status, now if status is Status.CLOSED else None, StatusMethod.MANUAL)

    def _set(
        self, status: Status, date_closed: datetime | None, method: StatusMethod = StatusMethod.RULE_TRIGGERED
    ) -> None:
        assert self.incident is not None
        head = replace(self.incident.head, status=status, date_closed=date_closed)
        self.incident = replace(self.incident, head=head, method=method)

    @property
    def fires(self) -> Status | None:
        """The status of the open incident, None when there is none."""
        if self.incident is None or self.incident.head.status is Status.CLOSED:
            return None
        return self.incident.head.status


# --- any order ---------------------------------------------------------------------------------------------


@st.composite
def days(draw: st.DrawFn) -> list[Alert]:
    """The deliveries of a day in which one alert fires a few times, the last time perhaps until its end."""
    times = sorted(draw(st.lists(st.integers(0, 86_000), min_size=1, max_size=8, unique=True)))
    deliveries = []
    for number in range(0, len(times), 2):
        started = DAY + timedelta(seconds=times[number])
        firing = Alert(KEY, "x", True, draw(st.sampled_from(SEVERITIES)), started=started)
        deliveries.append(firing)
        if number + 1 < len(times):
            ended = DAY + timedelta(seconds=times[number + 1])
            deliveries.append(replace(firing, firing=False, ended=ended))
    return deliveries


@given(days(), st.data())
def test_any_order_within_seconds_ends_in_the_same_state(day: list[Alert], data: st.DataObject) -> None:
    in_order, any_order = Played(), Played()
    for alert in day:
        in_order.deliver(alert, ARRIVAL)
    for number, alert in enumerate(data.draw(st.permutations(day))):
        any_order.deliver(alert, ARRIVAL + timedelta(seconds=number))
    assert any_order.fires == in_order.fires
    assert in_order.fires == (day[-1].status if day[-1].firing else None)
    assert any_order.opened <= sum(alert.firing for alert in day)


@given(days(), st.data())
def test_a_delivery_that_comes_twice_in_a_row_counts_once(day: list[Alert], data: st.DataObject) -> None:
    once, twice = Played(), Played()
    for alert in data.draw(st.permutations(day)):
        once.deliver(alert, ARRIVAL)
        for _ in range(2):
            twice.deliver(alert, ARRIVAL)
    assert (twice.incident, twice.opened) == (once.incident, once.opened)


@given(days(), st.data())
def test_a_day_told_again_by_another_sender_ends_as_it_ended(day: list[Alert], data: st.DataObject) -> None:
    """As two Alertmanagers do that have lost each other."""
    played = Played()
    for alert in day:
        played.deliver(alert, ARRIVAL)
    before = played.fires
    for alert in day[data.draw(st.integers(0, len(day) - 1)) :]:
        played.deliver(alert, ARRIVAL + timedelta(minutes=1))
    assert played.fires == before


@given(st.lists(st.booleans(), max_size=12))
def test_without_times_the_order_of_arrival_decides(fires: list[bool]) -> None:
    played = Played()
    now = ARRIVAL
    for firing in fires:
        now += timedelta(minutes=1)
        played.deliver(Alert(KEY, "x", firing, Status.OPEN), now)
    assert (played.fires is not None) == (bool(fires) and fires[-1])


# --- the table ---------------------------------------------------------------------------------------------


@dataclass
class Table:
    """What docs/alerts.md says of an alert whose senders say when it began and ended."""

    state: str = "nothing"  # "nothing", "ended unheard", "fires", "ended", "closed by hand", "closed and ended"
    began: datetime | None = None  # the latest firing
    ended: datetime | None = None
    end_arrived: datetime = ARRIVAL
    end_began: datetime | None = None  # when the firing that ended began
    reopened: bool = False  # a person has done that since it ended
    severity: Status = Status.OPEN

    def firing(self, began: datetime, severity: Status, now: datetime) -> Action:
        at_once = now - self.end_arrived <= timedelta(seconds=30)
        heard = began == self.began
        past = self.ended is not None and began <= self.ended
        ended = self.state in ("ended", "closed and ended") or self.reopened
        if self.state == "ended unheard" and at_once and past:
            return Action.NOTHING
        if ended and at_once and not heard and self.began and began <= max(self.began, self.end_began or self.began):
            return Action.NOTHING
        if self.state in ("fires", "closed by hand") and self.began and began < self.began:
            return Action.NOTHING
        if self.state == "closed by hand" and heard:
            return Action.NOTHING
        if self.state == "fires":
            action = Action.NOTHING if severity is self.severity else Action.STATUS
        else:
            counts_from = began if self.ended and began > self.ended else now
            quiet = self.ended is not None and counts_from - self.ended <= QUIET
            action = Action.REOPEN if self.state == "ended" and quiet else Action.OPEN
        self.state, self.began, self.ended, self.end_began, self.reopened = "fires", began, None, None, False
        self.severity = severity
        return action

    def end(self, began: datetime, ended: datetime, now: datetime) -> Action:
        if self.began and ended < self.began:
            return Action.NOTHING
        if self.state == "fires" and self.reopened and self.ended and ended <= self.ended:
            return Action.NOTHING
        action = Action.CLOSE if self.state == "fires" else Action.NOTHING
        if self.ended is None or ended >= self.ended:
            self.ended, self.end_began = ended, began
        self.end_arrived, self.reopened = now, False
        self.state = {
            "nothing": "ended unheard",
            "fires": "ended",
            "closed by hand": "closed and ended",
        }.get(self.state, self.state)
        return action

    def by_hand(self) -> Status | None:
        """What a person may do now: close what is open, open what is closed."""
        if self.state == "fires":
            self.state = "closed and ended" if self.reopened else "closed by hand"
            self.reopened = False
            return Status.CLOSED
        if self.state in ("ended", "closed and ended", "closed by hand"):
            self.reopened = self.state != "closed by hand"
            self.state = "fires"
            return Status.OPEN
        return None


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("firing", "firing", "end", "end", "person")),
            st.integers(0, 3),  # which of a few firings
            st.sampled_from((0, 5, 20, 40, 200, 400)),  # seconds since the delivery before
            st.sampled_from(SEVERITIES),
        ),
        max_size=14,
    )
)
def test_deliveries_and_people_do_what_the_table_says(steps: list[tuple[str, int, int, Status]]) -> None:
    played, table, now = Played(), Table(), ARRIVAL
    for what, which, seconds, severity in steps:
        now += timedelta(seconds=seconds)
        began = ARRIVAL - timedelta(minutes=40 - 10 * which)
        ended = min(began + timedelta(minutes=9), now)
        if what == "person":
            status = table.by_hand()
            if status is not None:
                played.by_hand(status, now)
        elif what == "firing":
            alert = Alert(KEY, "x", True, severity, started=began)
            assert played.deliver(alert, now) is table.firing(began, severity, now)
        else:
            alert = Alert(KEY, "x", False, severity, started=began, ended=ended)
            assert played.deliver(alert, now) is table.end(began, ended, now)
        assert (played.fires is not None) == (table.state == "fires")


# --- with a database ---------------------------------------------------------------------------------------


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
    told = [event for event in data.draw(st.permutations(told)) for _ in range(data.draw(st.integers(1, 2)))]
    size = data.draw(st.integers(1, len(told)))
    for first in range(0, len(told), size):
        answer = bench.post(token, told[first : first + size])
        assert (answer.status_code, answer.json()["errors"]) == (202, [])
    with bench.store.read() as connection:
        unclosed = connection.execute(
            select(Incident.alert_key, Incident.status).where(Incident.status != Status.CLOSED)
        )
        fires = {key: Status(status) for key, status in unclosed}
    assert fires == {f"key-{number}": day[-1].status for number, day in enumerate(alerts) if day[-1].firing}
