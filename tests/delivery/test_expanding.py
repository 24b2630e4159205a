"""What alerts changed is expanded in bulk: the same posts as one by one, and no change suffers from another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, insert, update

from bot.delivery.expansion import ALERTS_AT_ONCE, Expanded, expand_next
from bot.delivery.metrics import DeliveryMetrics
from bot.incidents import lifecycle, lookup
from storage.engine import Store
from storage.models import Organization, ProjectChannel
from storage.queries import notifications, outbox_changes
from storage.queries import subscriptions as followers
from storage.queries.outbox_changes import Change, take_changes
from storage.rows import IncidentHead
from storage.values import Status, StatusMethod, Work
from tests.clock import FixedClock
from tests.house import NOW, House, build

METRICS = DeliveryMetrics(CollectorRegistry())
LATER = NOW + timedelta(minutes=5)
Post = tuple[str, str | int, str, str]  # workspace, channel or member, kind, title


@dataclass(frozen=True)
class Street:
    """Two organizations whose channels have the same ids, and one that has incidents switched off."""

    store: Store
    acme: House
    other: House
    off: House

    def posts(self) -> list[Post]:
        """Everything that is to be posted."""
        with self.store.read() as connection:
            return [
                (workspace, channel or member, kind, title)
                for workspace, channel, member, kind, title in connection.exec_driver_sql(
                    "SELECT d.workspace_id, d.channel_id, d.member_id, p.kind, i.title FROM post p"
                    " JOIN destination d ON d.id = p.destination_id JOIN incident i ON i.id = p.incident_id"
                    " ORDER BY 1, 2, 3, 4, 5"
                )
            ]

    def waiting(self) -> list[tuple[int, int]]:
        """The changes that wait: their incident, and how often expanding them failed."""
        with self.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT incident_id, failures FROM outbox ORDER BY id")
            return [(incident, failures) for incident, failures in rows]

    def dues(self) -> list[str]:
        """The destinations that are looked at, as they stand in the posts."""
        with self.store.read() as connection:
            return list(
                connection.exec_driver_sql(
                    "SELECT workspace_id || coalesce(channel_id, member_id::text) FROM destination"
                    " WHERE due_at IS NOT NULL ORDER BY 1"
                ).scalars()
            )


@pytest.fixture
def street(database_url: str) -> Iterator[Street]:
    # Time stands still: how long a change is put off is nothing that the machine decides.
    with closing(Store.open(database_url, clock=FixedClock(LATER))) as store:
        street = Street(store, build(store), build(store, "other"), build(store, "off"))
        with store.write() as tx:
            for house in (street.acme, street.other, street.off):
                for project, channel in (("payments", "C1"), ("payments", "C2"), ("search", "C2")):
                    tx.execute(insert(ProjectChannel).values(project_id=house.projects[project], channel_id=channel))
            tx.execute(
                update(Organization).where(Organization.id == street.off.organization_id).values(incidents=False)
            )
        yield street


def follow(house: House, incident: IncidentHead, *names: str) -> None:
    with house.store.write() as tx:
        followers.subscribe(tx, incident.organization_id, incident.id, [house.members[name] for name in names], NOW)


def alert_sets(house: House, incident: IncidentHead, status: Status) -> None:
    with house.store.write() as tx:
        lifecycle.change_status(tx, incident, status, StatusMethod.RULE_TRIGGERED, LATER)


def happen(street: Street) -> list[Post]:
    """Seven changes that alerts make; gives what is to be posted of them."""
    acme, other = street.acme, street.other
    payments = acme.open("Payments fail")
    search = acme.open("Search is slow", "search")
    acme.open("Both", "payments", "search")
    other.open("Elsewhere")
    street.off.open("Off")
    follow(acme, payments, "pia", "sam")  # sam cannot see it
    follow(acme, search, "sam", "owner")
    alert_sets(acme, payments, Status.CRITICAL)
    alert_sets(acme, search, Status.CLOSED)
    in_channels: list[Post] = [
        ("T-acme", "C1", "card", "Both"),
        ("T-acme", "C1", "card", "Payments fail"),
        ("T-acme", "C1", "mirror", "Payments fail"),
        ("T-acme", "C2", "card", "Both"),
        ("T-acme", "C2", "card", "Payments fail"),
        ("T-acme", "C2", "card", "Search is slow"),
        ("T-acme", "C2", "mirror", "Payments fail"),
        ("T-acme", "C2", "mirror", "Search is slow"),
    ]
    told: list[Post] = sorted(
        [
            ("T-acme", acme.members["owner"], "notification", "Search is slow"),
            ("T-acme", acme.members["pia"], "notification", "Payments fail"),
            ("T-acme", acme.members["sam"], "notification", "Search is slow"),
        ]
    )
    return in_channels + told + [("T-other", "C1", "card", "Elsewhere"), ("T-other", "C2", "card", "Elsewhere")]


@pytest.mark.parametrize("at_once", [ALERTS_AT_ONCE, 3, 1])
def test_the_same_is_posted_however_many_are_expanded_at_once(
    street: Street, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("bot.delivery.expansion.ALERTS_AT_ONCE", at_once)
    expected = happen(street)
    expanded = []
    while number := expand_next(street.store, METRICS, of_alert=True).count:
        expanded.append(number)
    assert sum(expanded) == 7 and max(expanded) == min(at_once, 7)
    assert street.posts() == expected
    assert street.dues() == sorted({f"{workspace}{target}" for workspace, target, _, _ in expected})
    assert street.waiting() == []


def test_what_alerts_change_waits_for_what_another_replica_expands(street: Street) -> None:
    one, other = street.acme.open("Payments fail"), street.acme.open("Search is slow", "search")
    while expand_next(street.store, METRICS, of_alert=True).count:
        pass
    alert_sets(street.acme, one, Status.CRITICAL)
    with pytest.raises(ZeroDivisionError), street.store.write() as replica:
        assert len(take_changes(replica, of_alert=True, most=1, now=LATER).changes) == 1
        for status in (Status.CLOSED, Status.CRITICAL):
            alert_sets(street.acme, one, status)
        alert_sets(street.acme, other, Status.CRITICAL)
        done = expand_next(street.store, METRICS, of_alert=True)
        assert (done.count, done.more) == (1, True), "of the other incident; what waits is looked for again"
        assert expand_next(street.store, METRICS, of_alert=True) == Expanded(0, more=True)
        raise ZeroDivisionError  # it dies, and its change waits again
    assert expand_next(street.store, METRICS, of_alert=True) == Expanded(3, work=Work.POSTS), "in one batch"
    with street.store.read() as connection:
        shown = connection.exec_driver_sql(
            "SELECT a.id FROM post p JOIN incident_activity a ON a.id = p.activity_id"
            " WHERE p.incident_id = %(id)s AND p.kind = 'mirror' ORDER BY p.id",
            {"id": one.id},
        )
        found = list(shown.scalars())
        assert found == sorted(found) and len(set(found)) == 3


def test_who_lost_sight_of_it_follows_no_longer(street: Street) -> None:
    happen(street)
    expand_next(street.store, METRICS, of_alert=True)
    with street.store.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT s.member_id FROM incident_subscription s JOIN incident i ON i.id = s.incident_id"
            " WHERE i.title = 'Payments fail'"
        )
        assert list(rows.scalars()) == [street.acme.members["pia"]]


def test_peoples_changes_go_one_by_one_and_apart(street: Street) -> None:
    incident = street.acme.open()
    access = street.acme.access("pia")
    for _ in range(2):
        with street.store.write() as tx:
            lifecycle.acknowledge(tx, access, incident.identifier, NOW)
    assert expand_next(street.store, METRICS, of_alert=True).count == 1
    assert expand_next(street.store, METRICS, of_alert=True).count == 0
    assert [expand_next(street.store, METRICS, of_alert=False).count for _ in range(3)] == [1, 1, 0]


def test_what_an_alert_changes_waits_for_what_a_person_changed_before(street: Street) -> None:
    incident, other = street.acme.open("Payments fail"), street.acme.open("Search is slow", "search")
    assert expand_next(street.store, METRICS, of_alert=True).count == 2
    with street.store.write() as tx:
        lifecycle.resolve(tx, street.acme.access("pia"), incident.identifier, NOW)
    for one in (incident, other):
        alert_sets(street.acme, one, Status.CRITICAL)
    assert expand_next(street.store, METRICS, of_alert=True).count == 1, "of the other incident"
    assert [waiting for waiting, _ in street.waiting()] == [incident.id, incident.id]
    assert expand_next(street.store, METRICS, of_alert=False).count == 1
    assert expand_next(street.store, METRICS, of_alert=True).count == 1
    with street.store.read() as connection:
        authors = connection.exec_driver_sql(
            "SELECT a.member_id FROM post p JOIN incident_activity a ON a.id = p.activity_id"
            " WHERE p.incident_id = %(id)s AND p.kind = 'mirror' ORDER BY p.id",
            {"id": incident.id},
        )
        pia = street.acme.members["pia"]
        assert list(authors.scalars()) == [pia, pia, None, None], "in the threads of two cards"


def test_what_an_alert_changes_does_not_wait_for_what_cannot_be_expanded(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = street.acme.open()
    with street.store.write() as tx:
        lifecycle.resolve(tx, street.acme.access("pia"), incident.identifier, NOW)
    alert_sets(street.acme, incident, Status.CRITICAL)
    assert expand_next(street.store, METRICS, of_alert=True).count == 1, "the opening"
    with monkeypatch.context() as patch:
        patch.setattr(outbox_changes, "get_audiences", lambda *_: 1 / 0)
        assert expand_next(street.store, METRICS, of_alert=False).count == 1
    assert expand_next(street.store, METRICS, of_alert=True).count == 1


def test_one_that_cannot_be_expanded_is_put_off_alone(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = happen(street)
    want = notifications.create_notifications
    bad: list[int] = []

    def broken(tx: Connection, change: Change, *more: object, foldable: bool) -> None:
        if bad in ([], [change.id]):
            bad[:] = [change.id]
            raise ValueError("on purpose")
        want(tx, change, *more, foldable=foldable)  # type: ignore[arg-type]

    monkeypatch.setattr(notifications, "create_notifications", broken)
    assert expand_next(street.store, METRICS, of_alert=True).count == 7
    pia = ("T-acme", street.acme.members["pia"], "notification", "Payments fail")
    assert street.posts() == [post for post in expected if post != pia and post[2:] != ("mirror", "Payments fail")]
    assert [failures for _, failures in street.waiting()] == [1]
    assert expand_next(street.store, METRICS, of_alert=True).count == 0, "not at once again"


def test_several_replicas_expand_each_change_once(street: Street, database_url: str) -> None:
    count = 300
    for number in range(count):
        street.acme.open(f"Host {number}", *("payments", "search")[number % 2 :])

    def expand_all(store: Store) -> int:
        expanded = 0
        while number := expand_next(store, METRICS, of_alert=True).count:
            expanded += number
        return expanded

    with (
        closing(Store.open(database_url)) as one,
        closing(Store.open(database_url)) as two,
        ThreadPoolExecutor(4) as pool,
    ):
        assert sum(pool.map(expand_all, [one, two, one, two])) == count
    assert street.waiting() == []
    assert len(street.posts()) == len(set(street.posts())) == count // 2 * 3


def test_only_those_are_woken_who_have_something_to_do(street: Street) -> None:
    woken: list[Work] = []
    street.store.on_work = woken.append
    incident = street.acme.open()
    alert_sets(street.acme, incident, Status.CRITICAL)
    assert woken == [Work.ALERTS, Work.ALERTS]
    with street.store.write() as tx:
        lifecycle.acknowledge(tx, street.acme.access("pia"), incident.identifier, NOW)
        lifecycle.change_status(tx, incident, Status.WARNING, StatusMethod.RULE_TRIGGERED, LATER)
    assert woken[2:] == [Work.CHANGES | Work.ALERTS]
    with street.store.write() as tx:
        lookup.get_incident(tx, street.acme.access("pia"), incident.identifier, lock=True)
    assert len(woken) == 3
