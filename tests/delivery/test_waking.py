"""A change is left to delivery only if somebody is to learn of it or something shows it, and wakes only its workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import insert

from bot.delivery.expansion import expand_next
from bot.delivery.metrics import DeliveryMetrics
from bot.incidents import comments, lifecycle
from bot.incidents.comments import CommentText
from storage.engine import Store
from storage.models import FollowedFilter, Handoff, HandoffItem, ProjectChannel, Silence
from storage.queries import subscriptions
from storage.rows import IncidentHead
from storage.values import NO_WORK, Status, StatusMethod, Work
from tests.house import NOW, House, build
from tests.statements import counted

METRICS = DeliveryMetrics(CollectorRegistry())
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def house(store: Store) -> House:
    return build(store)


@pytest.fixture
def incident(house: House) -> IncidentHead:
    """One whose opening has been expanded: nobody follows it, and no channel shows it."""
    opened = house.open()
    assert expand_next(house.store, METRICS, of_alert=True).count == 1
    return opened


def waiting(house: House) -> int:
    with house.store.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar_one())


def acknowledge(house: House, incident: IncidentHead) -> None:
    with house.store.write() as tx:
        lifecycle.acknowledge(tx, house.access("pia"), incident.identifier, LATER)


def comment(house: House, incident: IncidentHead, written: CommentText | None = None) -> None:
    with house.store.write() as tx:
        comments.add(tx, house.access("pia"), incident.identifier, written or CommentText("So it is."), LATER)


def raise_severity(house: House, incident: IncidentHead) -> None:
    with house.store.write() as tx:
        lifecycle.set_severity(tx, house.access("pia"), incident.identifier, Status.CRITICAL, LATER)


def test_what_concerns_nobody_leaves_nothing_and_wakes_nobody(house: House, incident: IncidentHead) -> None:
    woken: list[Work] = []
    house.store.on_work = woken.append
    with counted() as asked:
        acknowledge(house, incident)
        assert (len(asked.statements), asked.commits) == (2, 1), asked.statements
        asked.clear()
        acknowledge(house, incident)
        assert (len(asked.statements), asked.commits) == (2, 1), "it is in the log already"
        asked.clear()
        comment(house, incident)
        assert (len(asked.statements), asked.commits) == (2, 1), asked.statements
    comment(house, incident)  # its author follows it by now, and knows
    raise_severity(house, incident)
    assert (waiting(house), woken) == (0, [])


def follow(house: House, incident: IncidentHead) -> None:
    with house.store.write() as tx:
        subscriptions.subscribe(tx, incident.organization_id, incident.id, [house.members["paul"]], NOW)


def name_channel(house: House, _incident: IncidentHead) -> None:
    with house.store.write() as tx:
        tx.execute(insert(ProjectChannel).values(project_id=house.projects["payments"], channel_id="C1"))


def make_card(house: House, incident: IncidentHead) -> None:
    """A card stays where it is when the project names the channel no longer."""
    with house.store.write() as tx:
        tx.exec_driver_sql("INSERT INTO destination (workspace_id, channel_id) VALUES ('T-acme', 'C1')")
        tx.exec_driver_sql(
            "INSERT INTO post (destination_id, kind, incident_id) SELECT id, 'card', %(id)s FROM destination",
            {"id": incident.id},
        )


def offer(house: House, incident: IncidentHead) -> None:
    with house.store.write() as tx:
        ids = {"organization_id": house.organization_id}
        people = {"shift": False, "giver_id": house.members["pia"], "receiver_id": house.members["paul"]}
        made = insert(Handoff).values(ids | people | {"workspace_id": "T-acme", "date_added": NOW, "expires_at": LATER})
        handoff_id = tx.execute(made.returning(Handoff.id)).scalar_one()
        tx.execute(
            insert(HandoffItem).values(ids | {"handoff_id": handoff_id, "incident_id": incident.id, "state": "offered"})
        )


def ask_the_owner(house: House, incident: IncidentHead) -> None:
    with house.store.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO owner_reminder (organization_id, incident_id, due_at, step, post_key)"
            " VALUES (%(organization_id)s, %(id)s, now(), 1, 'reminder')",
            {"organization_id": house.organization_id, "id": incident.id},
        )


def leave_a_change(house: House, incident: IncidentHead) -> None:
    with house.store.write() as tx:
        tx.exec_driver_sql("INSERT INTO outbox (incident_id) VALUES (%(id)s)", {"id": incident.id})


@pytest.mark.parametrize("change", [acknowledge, comment, raise_severity])
@pytest.mark.parametrize("concern", [name_channel, make_card, offer, ask_the_owner, leave_a_change])
def test_what_somebody_is_shown_is_left_to_delivery(
    house: House,
    incident: IncidentHead,
    concern: Callable[[House, IncidentHead], None],
    change: Callable[[House, IncidentHead], None],
) -> None:
    woken: list[Work] = []
    concern(house, incident)
    before = waiting(house)
    house.store.on_work = woken.append
    change(house, incident)
    assert (waiting(house) - before, woken) == (1, [Work.CHANGES])


def test_who_follows_is_told_of_comments_and_not_of_acknowledgements(house: House, incident: IncidentHead) -> None:
    follow(house, incident)
    acknowledge(house, incident)
    assert waiting(house) == 0
    comment(house, incident)
    assert waiting(house) == 1


def test_who_is_mentioned_is_told(house: House, incident: IncidentHead) -> None:
    paul = house.members["paul"]
    comment(house, incident, CommentText(f"<person:{paul}> look", frozenset({paul})))
    assert waiting(house) == 1


def make_silence(house: House) -> None:
    with house.store.write() as tx:
        values = {"organization_id": house.organization_id, "workspace_id": "T-acme", "matchers": {}}
        tx.execute(insert(Silence).values(values | {"member_id": house.members["pia"], "starts": NOW, "ends": LATER}))


def follow_critical(house: House) -> None:
    with house.store.write() as tx:
        values = {"organization_id": house.organization_id, "member_id": house.members["paul"], "date_added": NOW}
        tx.execute(insert(FollowedFilter).values(values | {"severity": Status.CRITICAL}))


@pytest.mark.parametrize("make", [make_silence, follow_critical])
def test_a_change_of_status_may_match_what_was_made_before(
    house: House, incident: IncidentHead, make: Callable[[House], None]
) -> None:
    make(house)
    comment(house, incident)
    assert waiting(house) == 0
    raise_severity(house, incident)
    assert waiting(house) == 1


def test_an_expansion_says_what_waits_after_it(house: House, incident: IncidentHead) -> None:
    other = house.open("Search is slow")
    for one in (incident, other):
        leave_a_change(house, one)
    with house.store.write() as tx:
        lifecycle.change_status(tx, other, Status.CRITICAL, StatusMethod.RULE_TRIGGERED, LATER)
    done = expand_next(house.store, METRICS, of_alert=True)
    assert (done.count, done.more, done.work) == (1, True, NO_WORK), "the opening; the change waits for a person's"
    assert expand_next(house.store, METRICS, of_alert=True).count == 0
    done = expand_next(house.store, METRICS, of_alert=False)
    assert (done.count, done.more, done.work) == (1, True, NO_WORK)
    done = expand_next(house.store, METRICS, of_alert=False)
    assert (done.count, done.more, done.work) == (1, False, Work.ALERTS)
    name_channel(house, other)
    done = expand_next(house.store, METRICS, of_alert=True)
    assert (done.count, done.more, done.work) == (1, False, Work.POSTS)
