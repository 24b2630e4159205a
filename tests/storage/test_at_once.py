"""Several at once: identifiers without gaps or repeats, one change for one wish, keys that are unique."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import pytest
from psycopg2 import IntegrityError
from sqlalchemy import func, select

from bot.incidents import comments, lifecycle, subscriptions
from bot.incidents.comments import CommentText
from bot.incidents.errors import AlreadyClosed
from storage.engine import Store
from storage.errors import AlreadyHandled, Contended
from storage.models import Incident, IncidentActivity, IncidentSeen, IncidentSubscription
from storage.queries.handled_requests import record_once
from storage.queries.organization_changes import lock_open_incidents_only_of
from storage.values import Status
from tests.house import NOW, House, build
from tests.patience import PATIENCE_S

WORKERS = 8
T = TypeVar("T")


def at_once(work: Callable[[int], T], count: int = WORKERS) -> list[T | Exception]:
    """Runs `work` on as many threads, all let go together; gives what each returned or raised."""
    together = threading.Barrier(count)

    def run(number: int) -> T | Exception:
        together.wait(PATIENCE_S)
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def of(results: list[T | Exception], kind: type[Exception]) -> int:
    """How many raised that; nothing else may have been raised."""
    raised = [one for one in results if isinstance(one, Exception)]
    assert all(isinstance(one, kind) for one in raised), raised
    return len(raised)


def test_identifiers_have_no_gap_and_no_repeat(house: House) -> None:
    def open_some(number: int) -> list[int]:
        return [house.open(f"{number}-{count}").identifier for count in range(10)]

    found = [one for some in at_once(open_some) if isinstance(some, list) for one in some]
    assert sorted(found) == list(range(1, 10 * WORKERS + 1))


def test_a_transaction_that_fails_leaves_no_gap(house: House) -> None:
    house.open()
    with pytest.raises(RuntimeError), house.store.write() as tx:
        tx.exec_driver_sql("UPDATE organization SET last_identifier = last_identifier + 1")
        raise RuntimeError
    assert house.open().identifier == 2


def test_each_organization_counts_for_itself(house: House) -> None:
    other = build(house.store, "globex")

    def open_some(number: int) -> list[int]:
        return [(house, other)[number % 2].open().identifier for _ in range(5)]

    found = Counter(one for some in at_once(open_some) if isinstance(some, list) for one in some)
    assert found == dict.fromkeys(range(1, 5 * WORKERS // 2 + 1), 2)


def test_projects_are_removed_while_something_about_their_incidents_is_being_stored(house: House) -> None:
    """Whoever stores it may be waiting for a card that was changed before the incidents are locked."""
    incident = house.open()
    given = {"organization_id": house.organization_id, "id": incident.id}
    with house.store.write() as delivering, house.store.write() as removing:
        delivering.exec_driver_sql(
            "INSERT INTO outbox (organization_id, incident_id) VALUES (%(organization_id)s, %(id)s)", given
        )
        locked = lock_open_incidents_only_of(removing, house.organization_id, [house.projects["payments"]])
        assert locked == [incident]


def test_two_who_resolve_at_once_are_one_who_did_and_one_who_is_told(house: House) -> None:
    incident = house.open()

    def resolve(number: int) -> object:
        who = house.access(("pia", "paul")[number % 2])
        with house.store.write() as tx:
            return lifecycle.resolve(tx, who, 1, NOW, CommentText(f"by {number}"))

    assert of(at_once(resolve), AlreadyClosed) == WORKERS - 1
    assert len(house.log(incident)) == 3


def test_status_changes_at_once_make_one_chain(house: House) -> None:
    incident = house.open()
    wishes = [Status.WARNING, Status.CRITICAL, Status.OPEN, Status.WARNING]

    def change(number: int) -> object:
        with house.store.write() as tx:
            return lifecycle.set_severity(tx, house.access("pia"), 1, wishes[number % 4], NOW + timedelta(seconds=1))

    assert of(at_once(change), Contended) == 0
    with house.store.read() as connection:
        rows = connection.execute(
            select(IncidentActivity.previous_value, IncidentActivity.value)
            .where(IncidentActivity.incident_id == incident.id, IncidentActivity.type == 2)
            .order_by(IncidentActivity.id)
        ).all()
        status = connection.scalars(select(Incident.status)).one()
    chain = [Status.OPEN, *(row.value for row in rows)]
    assert [row.previous_value for row in rows] == chain[:-1] and chain[-1] == status


def test_acknowledging_at_once_is_one_row_and_one_first_time(house: House) -> None:
    house.open()

    def acknowledge(number: int) -> bool:
        with house.store.write() as tx:
            return lifecycle.acknowledge(tx, house.access("pia"), 1, NOW + timedelta(seconds=number))[1]

    assert Counter(at_once(acknowledge)) == {True: 1, False: WORKERS - 1}
    with house.store.read() as connection:
        assert connection.scalars(select(IncidentSeen.last_seen)).all() == [NOW + timedelta(seconds=WORKERS - 1)]


def test_subscribing_at_once_is_one_subscription(house: House) -> None:
    house.open()

    def follow(_number: int) -> bool:
        with house.store.write() as tx:
            return subscriptions.subscribe(tx, house.access("pia"), 1, NOW)[1]

    assert Counter(at_once(follow)) == {True: 1, False: WORKERS - 1}
    with house.store.read() as connection:
        assert connection.scalars(select(func.count()).select_from(IncidentSubscription)).one() == 1


def test_comments_on_two_incidents_that_mention_each_other_never_deadlock(house: House) -> None:
    house.open("One")
    house.open("Two")

    def comment(number: int) -> object:
        everybody = frozenset({house.members["pia"], house.members["paul"], house.members["owner"]})
        for identifier in (1, 2) if number % 2 else (2, 1):
            with house.store.write() as tx:
                comments.add(tx, house.access("pia"), identifier, CommentText(f"{number}", everybody), NOW)
        return None

    assert of(at_once(comment), Contended) == 0


def test_a_dedup_key_has_one_unclosed_incident(house: House) -> None:
    results = at_once(lambda _: house.open(dedup_key="disk"))
    assert of(results, IntegrityError) == WORKERS - 1
    with house.store.read() as connection:
        assert connection.scalars(select(func.count()).select_from(Incident)).one() == 1


def test_a_dedup_key_is_free_again_once_its_incident_is_closed_and_is_another_organizations_too(house: House) -> None:
    house.open(dedup_key="disk")
    build(house.store, "globex").open(dedup_key="disk")
    with house.store.write() as tx:
        lifecycle.resolve(tx, house.access("pia"), 1, NOW)
    assert house.open(dedup_key="disk").identifier == 2


def test_a_request_is_the_first_of_its_key_once(store: Store) -> None:
    def handle(_number: int) -> None:
        with store.write() as tx:
            record_once(tx, "T0001", "view:V1", NOW)

    assert of(at_once(handle), AlreadyHandled) == WORKERS - 1
    with store.write() as tx:
        record_once(tx, "T0002", "view:V1", NOW)  # another workspace's


def test_a_request_whose_transaction_failed_may_come_again(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write() as tx:
        record_once(tx, "T0001", "view:V1", NOW)
        tx.exec_driver_sql("SELECT 1")
        raise RuntimeError
    with store.write() as tx:
        record_once(tx, "T0001", "view:V1", NOW)
    with pytest.raises(AlreadyHandled), store.write() as tx:
        record_once(tx, "T0001", "view:V1", NOW)


@pytest.mark.production_deadlines("LOCK_TIMEOUT_MS")
def test_who_waits_too_long_for_a_row_is_told_and_changes_nothing(house: House) -> None:
    incident = house.open()
    with house.store.write() as holder:
        holder.execute(select(Incident.id).with_for_update())
        with pytest.raises(Contended), house.store.write() as tx:
            lifecycle.resolve(tx, house.access("pia"), 1, NOW)
    assert len(house.log(incident)) == 2
