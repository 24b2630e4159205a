"""Alerts posted as events: what each does, alone, repeated, late, in another order, and wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.incidents import lifecycle
from bot.incidents.access import Access
from storage.models import AlertMemory, Incident, IncidentActivity, IntakeToken, Member, Organization, Outbox, Project
from storage.queries import intake
from storage.values import ActivityType, Role, Status, StatusMethod
from tests.intake.conftest import START, Bench

CPU = {"dedup_key": "cpu", "title": "CPU is hot"}
FULL = {
    "dedup_key": "disk",
    "title": "Disk full",
    "status": "firing",
    "severity": "critical",
    "environment": "production",
    "team": "payments",
    "url": "https://monitor.test/disk?x=1&y=2",
    "started_at": "2026-11-23T08:50:00+01:00",
    "ended_at": None,
}


def resolved(**more: Any) -> dict[str, Any]:
    return {**CPU, "status": "resolved", **more}


def at(minutes: float) -> str:
    """A time of START and some minutes, as a sender writes it."""
    return (START + timedelta(minutes=minutes)).isoformat()


def ada(bench: Bench) -> Access:
    """Ada, as a request of hers would be."""
    with bench.store.read() as connection:
        organization_id = connection.scalars(select(Organization.id)).one()
        member_id = connection.scalars(select(Member.id)).one()
        project_ids = tuple(connection.scalars(select(Project.id)))
    return Access(
        organization_id=organization_id,
        organization_name="Acme",
        workspace_id="T0001",
        member_id=member_id,
        name="Ada Obi",
        email="ada@acme.test",
        role=Role.OWNER,
        superuser=False,
        team_ids=frozenset(),
        loaded_project_ids=project_ids,
        sees_all=True,
        shared_channels=False,
        timezone="UTC",
    )


def by_hand(bench: Bench, number: int, status: Status) -> None:
    """Ada sets a status."""
    access = ada(bench)
    with bench.store.write() as tx:
        if status is Status.CLOSED:
            lifecycle.resolve(tx, access, number, bench.now)
        elif bench.statuses()[number - 1] is Status.CLOSED:
            lifecycle.reopen(tx, access, number, bench.now)
        else:
            lifecycle.set_severity(tx, access, number, status, bench.now)


def log(bench: Bench) -> list[tuple[ActivityType, int | None, int | None, datetime]]:
    with bench.store.read() as connection:
        rows = connection.execute(
            select(
                IncidentActivity.type,
                IncidentActivity.value,
                IncidentActivity.previous_value,
                IncidentActivity.date_added,
            ).order_by(IncidentActivity.id)
        )
        return [(ActivityType(row[0]), row[1], row[2], row[3]) for row in rows]


def test_an_alert_opens_an_incident_with_everything_that_it_says(bench: Bench) -> None:
    answer = bench.post(bench.token(), FULL)
    assert answer.status_code == 202
    assert answer.json() == {"accepted": [1], "errors": []}
    started = datetime(2026, 11, 23, 7, 50, tzinfo=UTC)
    with bench.store.read() as connection:
        row = connection.execute(select(Incident)).one()
        assert connection.scalars(select(Outbox.incident_id)).all() == [row.id]
    assert (row.title, row.status, row.status_method) == (
        "Disk full",
        Status.CRITICAL,
        StatusMethod.RULE_TRIGGERED,
    )
    assert (row.environment, row.url, row.source) == ("production", FULL["url"], "events")
    assert row.team_id is not None
    assert (row.date_started, row.date_detected, row.date_added) == (started, START, START)
    assert log(bench) == [
        (ActivityType.DETECTED, Status.CRITICAL, None, started),
        (ActivityType.CREATED, Status.CRITICAL, None, START),
    ]


def test_key_and_title_are_enough(bench: Bench) -> None:
    assert bench.post(bench.token(), CPU).json()["accepted"] == [1]
    assert bench.incidents() == [(1, "CPU is hot", Status.OPEN)]


def test_the_same_alert_again_changes_nothing(bench: Bench) -> None:
    token = bench.token()
    for payload in (CPU, FULL):
        bench.post(token, payload)
        before = log(bench)
        for _ in range(3):
            bench.later(minutes=7)
            assert bench.post(token, payload).json()["errors"] == []
        assert log(bench) == before


def test_the_alert_closes_its_incident(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, CPU)
    bench.later(minutes=10)
    assert bench.post(token, resolved(ended_at=at(8))).json() == {"accepted": [1], "errors": []}
    with bench.store.read() as connection:
        row = connection.execute(select(Incident)).one()
    assert (row.status, row.status_method) == (Status.CLOSED, StatusMethod.RULE_TRIGGERED)
    assert row.date_closed == START + timedelta(minutes=8)
    assert log(bench)[-1] == (
        ActivityType.STATUS_CHANGE,
        Status.CLOSED,
        Status.OPEN,
        START + timedelta(minutes=10),
    )
    before = log(bench)
    bench.post(token, resolved(ended_at=at(8)))
    bench.post(token, resolved())
    assert log(bench) == before, "closed once"


def test_severity_is_raised_and_lowered_while_it_fires(bench: Bench) -> None:
    token = bench.token()
    for severity in ("warning", "critical", "critical", "warning", None):
        bench.post(token, {**CPU, "severity": severity})
    changes = [(value, previous) for type_, value, previous, _ in log(bench) if type_ is ActivityType.STATUS_CHANGE]
    assert changes == [
        (Status.CRITICAL, Status.WARNING),
        (Status.WARNING, Status.CRITICAL),
        (Status.OPEN, Status.WARNING),
    ]


def test_a_severity_set_by_hand_stays_until_the_alert_says_another(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, {**CPU, "severity": "warning"})
    by_hand(bench, 1, Status.CRITICAL)
    bench.post(token, {**CPU, "severity": "warning"})
    assert bench.statuses() == [Status.CRITICAL]
    bench.post(token, CPU)
    assert bench.statuses() == [Status.OPEN]


def test_firing_again_within_the_quiet_time_reopens_and_later_opens_another(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, CPU)
    bench.post(token, resolved())
    bench.later(minutes=5)
    assert bench.post(token, {**CPU, "severity": "critical"}).json()["accepted"] == [1]
    assert bench.statuses() == [Status.CRITICAL]
    bench.post(token, resolved())
    bench.later(minutes=5, seconds=1)
    assert bench.post(token, CPU).json()["accepted"] == [2]
    assert bench.statuses() == [Status.CLOSED, Status.OPEN]


def test_the_times_in_the_alert_decide_what_is_quiet(bench: Bench) -> None:
    token = bench.token()
    bench.later(hours=1)
    bench.post(token, {**CPU, "started_at": at(0)})
    bench.post(token, resolved(ended_at=at(10)))
    bench.post(token, {**CPU, "started_at": at(14)})
    assert bench.statuses() == [Status.OPEN]
    bench.post(token, resolved(ended_at=at(20)))
    bench.post(token, {**CPU, "started_at": at(30)})
    assert bench.statuses() == [Status.CLOSED, Status.OPEN]


def test_each_project_has_its_quiet_time(bench: Bench) -> None:
    with bench.store.write() as tx:
        tx.execute(update(Project).where(Project.slug == "checkout").values(quiet_minutes=0))
    token = bench.token()
    for _ in range(2):
        bench.post(token, CPU)
        bench.post(token, resolved())
        bench.later(seconds=1)
    assert bench.statuses() == [Status.CLOSED, Status.CLOSED]


def test_what_a_person_closed_stays_closed_and_firing_again_opens_another(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, {**CPU, "started_at": at(0)})
    bench.later(minutes=1)
    by_hand(bench, 1, Status.CLOSED)
    before = log(bench)
    bench.later(minutes=1)
    for _ in range(2):
        bench.post(token, {**CPU, "started_at": at(0), "title": "CPU is hotter"})
    assert log(bench) == before, "a repetition changes nothing"
    assert bench.incidents()[0][1] == "CPU is hot"
    assert bench.post(token, {**CPU, "started_at": at(0.5)}).json()["accepted"] == [2], "a new start"
    assert bench.statuses() == [Status.CLOSED, Status.OPEN]


def test_what_a_person_closed_fires_anew_once_its_alert_has_ended(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, {**CPU, "started_at": at(0)})
    bench.later(minutes=1)
    by_hand(bench, 1, Status.CLOSED)
    before = log(bench)
    bench.post(token, resolved(ended_at=at(-5)))
    bench.post(token, {**CPU, "started_at": at(0)})
    assert log(bench) == before, "the end of an earlier firing is not its end"
    bench.post(token, resolved())
    assert log(bench) == before, "its end changes nothing"
    assert bench.post(token, {**CPU, "started_at": at(0)}).json()["accepted"] == [2]


def test_an_alert_without_times_that_fires_after_a_person_closed_opens_another(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, CPU)
    by_hand(bench, 1, Status.CLOSED)
    assert bench.post(token, CPU).json()["accepted"] == [2]


def test_what_a_person_reopened_is_closed_by_the_next_end_and_not_by_an_old_one(bench: Bench) -> None:
    token = bench.token()
    bench.later(hours=1)
    bench.post(token, {**CPU, "started_at": at(0)})
    bench.post(token, resolved(ended_at=at(10)))
    by_hand(bench, 1, Status.OPEN)
    bench.post(token, resolved(ended_at=at(10)))
    assert bench.statuses() == [Status.OPEN]
    bench.post(token, {**CPU, "started_at": at(0), "severity": "critical"})
    assert bench.statuses() == [Status.CRITICAL], "it says that it fires"
    bench.post(token, resolved(ended_at=at(40)))
    assert bench.statuses() == [Status.CLOSED]


def test_an_end_that_overtook_its_beginning_opens_no_ghost(bench: Bench) -> None:
    token = bench.token()
    assert bench.post(token, resolved(started_at=at(-20), ended_at=at(-10))).json()["accepted"] == []
    bench.later(seconds=20)
    bench.post(token, {**CPU, "started_at": at(-20)})
    assert bench.incidents() == []
    bench.post(token, {**CPU, "started_at": at(-9)})
    assert bench.statuses() == [Status.OPEN], "what began after that end is real"


def test_a_later_firing_is_overtaken_by_its_end_too(bench: Bench) -> None:
    token = bench.token()
    bench.later(hours=1)
    bench.post(token, {**CPU, "started_at": at(0)})
    bench.post(token, resolved(started_at=at(0), ended_at=at(10)))
    bench.post(token, resolved(started_at=at(20), ended_at=at(30)))
    bench.later(seconds=20)
    bench.post(token, {**CPU, "started_at": at(20)})
    assert bench.statuses() == [Status.CLOSED]
    bench.later(seconds=20)
    bench.post(token, {**CPU, "started_at": at(20)})
    assert bench.statuses() == [Status.CLOSED, Status.OPEN], "what still fires half a minute later is real"


def test_without_times_an_end_overtakes_by_seconds_only(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, resolved())
    bench.later(seconds=20)
    bench.post(token, CPU)
    assert bench.incidents() == []
    bench.later(seconds=20)
    bench.post(token, CPU)
    assert bench.statuses() == [Status.OPEN]


@pytest.mark.parametrize(
    ("after", "statuses"),
    [
        (timedelta(0), [Status.OPEN]),
        (timedelta(minutes=4), [Status.OPEN]),
        (timedelta(minutes=6), [Status.CLOSED, Status.OPEN]),
        (timedelta(hours=5), [Status.CLOSED, Status.OPEN]),
    ],
)
def test_an_alert_that_fires_after_its_end_with_its_first_start_is_real(
    bench: Bench, after: timedelta, statuses: list[Status]
) -> None:
    # Alertmanager ends an alert whose Prometheus it has lost, and tells it with its first start when it is back.
    token = bench.token()
    bench.post(token, {**CPU, "started_at": at(0)})
    bench.later(minutes=20)
    bench.post(token, resolved(started_at=at(0), ended_at=at(20)))
    bench.later(seconds=after.total_seconds())
    bench.post(token, {**CPU, "started_at": at(0)})
    assert bench.statuses() == statuses
    bench.later(minutes=1)
    bench.post(token, resolved(started_at=at(0)))
    assert bench.statuses() == [Status.CLOSED] * len(statuses)


def test_an_earlier_start_after_the_end_is_real_too(bench: Bench) -> None:
    """As of two Prometheus that both tell of it: one is lost, and the other one had begun before."""
    token = bench.token()
    bench.post(token, {**CPU, "started_at": at(-1)})
    bench.post(token, resolved())
    bench.later(minutes=1)
    bench.post(token, {**CPU, "started_at": at(-2)})
    assert bench.statuses() == [Status.OPEN]


def test_a_batch_is_taken_in_its_order(bench: Bench) -> None:
    answer = bench.post(bench.token(), [CPU, FULL, resolved(), {**CPU, "severity": "warning"}])
    assert answer.json() == {"accepted": [1, 2], "errors": []}
    assert bench.statuses() == [Status.WARNING, Status.CRITICAL]


def test_one_bad_item_does_not_lose_the_good_ones(bench: Bench) -> None:
    items = [CPU, {"title": "no key"}, "text", FULL, {**FULL, "project": "none", "dedup_key": "x"}]
    answer = bench.post(bench.token(), items)
    assert answer.status_code == 202
    body = answer.json()
    assert body["accepted"] == [1, 2]
    assert [(e["item"], e["field"]) for e in body["errors"]] == [(1, "dedup_key"), (2, "body"), (4, "project")]


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("dedup_key", None, "missing"),
        ("dedup_key", "", "empty"),
        ("dedup_key", " \0\x7f\ud800", "empty"),
        ("status", "acknowledged", "firing or resolved"),
        ("status", True, "firing or resolved"),
        ("project", "catalogue", "checkout alone"),
        ("project", "no such project", "checkout alone"),
    ],
)
def test_what_nobody_could_tell_apart_is_named_and_nothing_is_changed(
    bench: Bench, field: str, value: Any, hint: str
) -> None:
    answer = bench.post_text(bench.token(), json.dumps({**FULL, field: value}))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["item"], error["field"]) == (0, field)
    assert hint in error["message"]
    assert "no such project" not in error["message"], "what was sent is not repeated"
    assert bench.incidents() == []


def test_a_long_title_is_shortened_and_markup_is_kept_as_text(bench: Bench) -> None:
    bench.post(bench.token(), {**CPU, "title": "<!channel> *" + "x" * 300})
    ((_, title, _),) = bench.incidents()
    assert len(title) == 255
    assert title.startswith("<!channel> *x")
    assert title.endswith("…")


def test_a_token_of_the_organization_lets_the_alert_name_its_project(bench: Bench) -> None:
    token = bench.token(project=None)
    for payload, hint in ((CPU, "is missing"), ({**CPU, "project": "none"}, "no project")):
        answer = bench.post(token, payload)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "project"
        assert hint in answer.json()["errors"][0]["message"]
    assert bench.post(token, {**CPU, "project": "catalogue"}).json()["accepted"] == [1]
    assert bench.post(token, resolved()).json()["accepted"] == [1], "an end need not name it"
    assert bench.statuses() == [Status.CLOSED]


def test_an_alert_finds_the_incident_that_a_person_reopened(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, CPU)
    bench.post(token, resolved())
    bench.later(hours=1)
    bench.post(token, CPU)
    bench.post(token, resolved())
    by_hand(bench, 1, Status.OPEN)
    bench.later(hours=1)
    assert bench.post(token, CPU).json()["accepted"] == [1]
    assert bench.post(token, resolved()).json()["accepted"] == [1]
    assert bench.statuses() == [Status.CLOSED, Status.CLOSED]


def test_incidents_switched_off_are_told(bench: Bench) -> None:
    with bench.store.write() as tx:
        tx.execute(update(Organization).values(incidents=False))
    answer = bench.post(bench.token(), CPU)
    assert answer.status_code == 403
    assert "switched off" in answer.json()["errors"][0]["message"]


def test_the_use_of_a_token_is_recorded(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, CPU)
    bench.later(seconds=30)
    bench.post(token, CPU)
    used = select(IntakeToken.last_used)
    with bench.store.read() as connection:
        assert connection.scalar(used) == START, "to the minute"
    bench.later(seconds=31)
    bench.post(token, CPU)
    with bench.store.read() as connection:
        assert connection.scalar(used) == START + timedelta(seconds=61)


def remembered(bench: Bench) -> set[str]:
    """The keys of the alerts that are remembered."""
    with bench.store.read() as connection:
        return set(connection.scalars(select(AlertMemory.dedup_key)))


def test_alerts_that_nobody_hears_of_any_more_are_forgotten_and_no_others(bench: Bench) -> None:
    token = bench.token()
    for key in ("ended", "ended-too", "fires", "by-hand", "told-again"):
        bench.post(token, {**CPU, "dedup_key": key, "started_at": at(0)})
    for key in ("ended", "ended-too", "never-began"):
        bench.post(token, {**CPU, "dedup_key": key, "status": "resolved"})
    for number in (4, 5):
        by_hand(bench, number, Status.CLOSED)
    bench.later(days=20)
    bench.post(token, {**CPU, "dedup_key": "told-again", "started_at": at(0)})
    before = bench.now - timedelta(days=10)
    with bench.store.read() as connection:
        assert intake.delete_silent_alerts(connection, before, 2) == 2, "no more than was asked for"
        assert intake.delete_silent_alerts(connection, before, 100) == 2
        assert intake.delete_silent_alerts(connection, before, 100) == 0
    assert remembered(bench) == {"fires", "told-again"}
    bench.post(token, {**CPU, "dedup_key": "told-again", "started_at": at(0)})
    assert bench.statuses()[4:] == [Status.CLOSED], "what a person closed and is still told stays closed"


def test_an_alert_that_was_forgotten_finds_the_incident_that_a_person_reopened(bench: Bench) -> None:
    token = bench.token()
    bench.post(token, CPU)
    bench.post(token, resolved())
    bench.later(days=40)
    with bench.store.read() as connection:
        assert intake.delete_silent_alerts(connection, bench.now, 100) == 1
    by_hand(bench, 1, Status.OPEN)
    answer = bench.post(token, {**CPU, "severity": "critical"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": [1], "errors": []})
    assert bench.statuses() == [Status.CRITICAL]
    bench.post(token, resolved())
    assert bench.statuses() == [Status.CLOSED]
