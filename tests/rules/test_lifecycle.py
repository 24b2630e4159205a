"""How an incident opens, changes, is seen and closes, and what each step writes; named after Sentry's incidents."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.incidents import lifecycle, lookup, subscriptions
from bot.incidents.comments import CommentText
from bot.incidents.errors import AlreadyClosed, InvalidInput, NotFound
from bot.incidents.lifecycle import Declaration, check_title
from storage.models import Incident, IncidentActivity, IncidentProject, IncidentSeen, IncidentSubscription
from storage.rows import IncidentHead
from storage.values import ActivityType, Status, StatusMethod
from tests.house import NOW, House

CREATED, CHANGE, DETECTED = ActivityType.CREATED, ActivityType.STATUS_CHANGE, ActivityType.DETECTED


def followers(house: House, incident: IncidentHead) -> set[int]:
    with house.store.read() as connection:
        query = select(IncidentSubscription.member_id).where(IncidentSubscription.incident_id == incident.id)
        return set(connection.scalars(query))


def stored(house: House, incident: IncidentHead) -> Incident:
    with house.store.read() as connection:
        return connection.execute(select(Incident.__table__).where(Incident.id == incident.id)).one()  # type: ignore[return-value]


def test_opening_writes_detected_at_the_start_and_created_now(house: House) -> None:
    start = NOW - timedelta(hours=2)
    incident = house.open(status=Status.WARNING, started=start)
    with house.store.read() as connection:
        log = connection.execute(
            select(IncidentActivity.type, IncidentActivity.date_added, IncidentActivity.value).order_by(
                IncidentActivity.date_added
            )
        ).all()
    assert [tuple(row) for row in log] == [(DETECTED, start, Status.WARNING), (CREATED, NOW, Status.WARNING)]
    assert incident.identifier == 1 and stored(house, incident).date_added == NOW


def test_who_declares_has_seen_it_and_follows_it(house: House) -> None:
    pia = house.access("pia")
    declared = Declaration("  Payments \n fail ", Status.CRITICAL, pia.project_ids, house.teams["payments"], "prod")
    with house.store.write() as tx:
        incident = lifecycle.declare(tx, pia, declared, NOW)
    row = stored(house, incident)
    assert (row.title, row.status, row.status_method) == ("Payments fail", Status.CRITICAL, StatusMethod.MANUAL)
    assert followers(house, incident) == {pia.member_id}
    with house.store.read() as connection:
        assert connection.scalars(select(IncidentSeen.member_id)).all() == [pia.member_id]


@pytest.mark.parametrize("before", [Status.OPEN, Status.WARNING, Status.CRITICAL])
def test_closing_dates_it_and_reopening_restores_the_status(house: House, before: Status) -> None:
    incident = house.open(status=before)
    pia = house.access("pia")
    later = NOW + timedelta(hours=1)
    with house.store.write() as tx:
        lifecycle.resolve(tx, pia, 1, later, CommentText("rolled back"))
    row = stored(house, incident)
    assert (row.status, row.date_closed, row.status_method) == (Status.CLOSED, later, StatusMethod.MANUAL)
    with house.store.write() as tx:
        again = lifecycle.reopen(tx, pia, 1, later)
    row = stored(house, incident)
    assert again.status is before and (row.status, row.date_closed) == (before, None)
    assert house.log(incident)[2:] == [
        (CHANGE, Status.CLOSED, before, "rolled back"),
        (CHANGE, before, Status.CLOSED, None),
    ]
    assert followers(house, incident) == {pia.member_id}


def test_what_lists_go_by_follows_the_status(house: House) -> None:
    incident = house.open("Both", "payments", "search")
    with house.store.write() as tx:
        lifecycle.resolve(tx, house.access("owner"), 1, NOW)
    with house.store.read() as connection:
        query = select(IncidentProject.status).where(IncidentProject.incident_id == incident.id)
        assert connection.scalars(query).all() == [Status.CLOSED, Status.CLOSED]


def test_the_same_status_again_writes_nothing(house: House) -> None:
    incident = house.open(status=Status.WARNING)
    pia = house.access("pia")
    before = house.log(incident)
    with house.store.write() as tx:
        _, changed = lifecycle.set_severity(tx, pia, 1, Status.WARNING, NOW, CommentText("lost"))
    assert not changed and house.log(incident) == before and followers(house, incident) == set()


def test_what_is_closed_is_not_closed_again_nor_its_severity_set(house: House) -> None:
    incident = house.open()
    pia = house.access("pia")
    with house.store.write() as tx:
        lifecycle.resolve(tx, pia, 1, NOW)
    before = house.log(incident)
    with pytest.raises(AlreadyClosed), house.store.write() as tx:
        lifecycle.resolve(tx, pia, 1, NOW)
    with pytest.raises(AlreadyClosed), house.store.write() as tx:
        lifecycle.set_severity(tx, pia, 1, Status.CRITICAL, NOW)
    with house.store.write() as tx:
        lifecycle.reopen(tx, pia, 1, NOW)
    with pytest.raises(InvalidInput, match="not resolved"), house.store.write() as tx:
        lifecycle.reopen(tx, pia, 1, NOW)
    assert house.log(incident)[:-1] == before


def test_an_alert_closes_with_a_date_of_its_own_but_never_before_the_start(house: House) -> None:
    for number, (ended, closed) in enumerate(((1, 1), (-1, 0)), 1):
        incident = house.open(dedup_key=f"k{number}")
        with house.store.write() as tx:
            held = lookup.get_incident(tx, house.access("owner"), incident.identifier, lock=True)
            lifecycle.change_status(
                tx,
                held,
                Status.CLOSED,
                StatusMethod.RULE_TRIGGERED,
                NOW + timedelta(hours=3),
                closed_at=NOW + timedelta(hours=ended),
            )
        row = stored(house, incident)
        assert row.date_closed == NOW + timedelta(hours=closed)
        assert row.status_method == StatusMethod.RULE_TRIGGERED
        assert followers(house, incident) == set()  # nobody in person did it


def test_reopening_leaves_the_dedup_key_with_the_incident_that_has_it_now(house: House) -> None:
    first = house.open(dedup_key="disk")
    with house.store.write() as tx:
        lifecycle.resolve(tx, house.access("pia"), 1, NOW)
    second = house.open(dedup_key="disk")
    with house.store.write() as tx:
        lifecycle.reopen(tx, house.access("pia"), 1, NOW)
    assert stored(house, first).dedup_key is None and stored(house, second).dedup_key == "disk"


def test_acknowledging_again_refreshes_the_time_and_never_sets_it_back(house: House) -> None:
    incident = house.open()
    pia = house.access("pia")
    firsts = []
    for minutes in (0, 5, 3):
        with house.store.write() as tx:
            firsts.append(lifecycle.acknowledge(tx, pia, 1, NOW + timedelta(minutes=minutes))[1])
    assert firsts == [True, False, False]
    assert house.log(incident)[2:] == [(ActivityType.ACKNOWLEDGED, None, None, None)]
    with house.store.read() as connection:
        assert connection.scalars(select(IncidentSeen.last_seen)).all() == [NOW + timedelta(minutes=5)]


def test_following_and_leaving(house: House) -> None:
    incident = house.open()
    pia = house.access("pia")
    with house.store.write() as tx:
        assert subscriptions.subscribe(tx, pia, 1, NOW)[1] is True
        assert subscriptions.subscribe(tx, pia, 1, NOW)[1] is False
    assert followers(house, incident) == {pia.member_id}
    with house.store.write() as tx:
        assert subscriptions.unsubscribe(tx, pia, 1, NOW)[1] is True
        assert subscriptions.unsubscribe(tx, pia, 1, NOW)[1] is False


@pytest.mark.parametrize("name", ["sam", "nobody"])
@pytest.mark.parametrize("identifier", [1, 2, 0, -1, 2**63, 10**30])
def test_no_verb_works_on_what_is_not_theirs_to_see_nor_on_what_is_not_there(
    house: House, name: str, identifier: int
) -> None:
    incident = house.open()
    who = house.access(name)
    before = house.log(incident)
    for verb in (
        lambda tx: lifecycle.acknowledge(tx, who, identifier, NOW),
        lambda tx: lifecycle.resolve(tx, who, identifier, NOW),
        lambda tx: lifecycle.reopen(tx, who, identifier, NOW),
        lambda tx: lifecycle.set_severity(tx, who, identifier, Status.CRITICAL, NOW),
        lambda tx: subscriptions.subscribe(tx, who, identifier, NOW),
        lambda tx: subscriptions.unsubscribe(tx, who, identifier, NOW),
        lambda tx: lookup.get_details(tx, who, identifier),
    ):
        with pytest.raises(NotFound) as refused, house.store.write() as tx:
            verb(tx)
        assert refused.value.sentence == f"There is no incident #{identifier} that you can see."
    assert house.log(incident) == before and followers(house, incident) == set()


def test_a_title_is_one_line_of_at_most_255_characters() -> None:
    assert check_title(" a\n\tb\u00a0c ") == "a b c"
    assert check_title("x" * 255) == "x" * 255
    for title in ("", " \u00a0\n", "x" * 256):
        with pytest.raises(InvalidInput):
            check_title(title)
