"""Many messages are begun and recorded together: each arrives once, and none waits for another one's trouble."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event

from bot.delivery import api_calls
from bot.delivery.api_calls import WorkspaceClient
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.rendering import RenderDigest
from bot.delivery.sender import Delivery, Sender
from bot.delivery.service import DeliveryService, open_delivery_store
from bot.people.identity import Identity
from bot.slack.background import Background
from bot.slack.clients import Clients, web_client
from sandbox import Person, Sandbox
from storage.engine import Store
from storage.queries import destinations, leases, outbox
from storage.queries.leases import Lease, Only
from storage.values import PostKind
from tests.delivery.worker import HURRIED, no_digest
from tests.stories.conftest import ORGANIZATION, apply_file

PEOPLE = 8
PATIENCE_S = 60.0
PACE = replace(HURRIED, start_s=30.0, call_s=30)  # a busy machine is no trouble of Slack's


class Batch:
    """People to each of whom a message waits, in conversations that one process has leased at the same time."""

    def __init__(self, slack: Sandbox, store: Store) -> None:
        self.slack = slack
        self.store = store
        self.people = [
            slack.person(f"U1{number:03}", f"Person {number}", f"p{number}@x.test") for number in range(PEOPLE)
        ]
        self.clients = Clients.connect(slack.bot_token, slack.api_url)
        (one,) = self.clients.all()
        self.client = WorkspaceClient(one, web_client(slack.api_url, slack.bot_token, timeout_s=PACE.call_s))
        self.identity = Identity(store, self.clients, Background(slack.api_url))
        metrics = DeliveryMetrics(CollectorRegistry())
        self.sender = Sender(store, {one.workspace_id: self.client}, self.identity, PACE, metrics, no_digest)
        for number, person in enumerate(self.people):
            self.ask_for(person, f"note {number}.")

    def ask_for(self, person: Person, text: str) -> None:
        """Another message."""
        with self.store.write() as tx:
            outbox.enqueue(
                tx,
                workspace_id="T0001",
                user_id=person.id,
                kind=PostKind.NOTE,
                key=text,
                message={"text": text},
                now=self.store.clock.now(),
            )

    def lease(self, seconds: float) -> list[Lease]:
        """All conversations. With 0 seconds, another process may take them at once."""
        with self.store.read() as connection:
            found = leases.lease_destinations(connection, Only(("T0001",)), 100, seconds, self.store.clock.now())
        assert len(found) == PEOPLE
        return sorted(found, key=lambda one: one.destination_id)

    def begin(self, seconds: float = 0.0) -> list[Delivery]:
        """Records that the posting of all messages begins."""
        ready, others = self.sender.begin(self.lease(seconds))
        assert (len(ready), others) == (PEOPLE, [])
        return ready

    def count(self, condition: str) -> int:
        """How many posts there are like this."""
        with self.store.read() as connection:
            found = connection.exec_driver_sql(f"SELECT count(*) FROM post WHERE {condition}")  # noqa: S608
            return int(found.scalar_one())

    def pass_time(self) -> None:
        """Until the outcome of what has begun can be searched for."""
        seconds = PACE.settles_s + 1
        self.store.clock.offset += timedelta(seconds=seconds)
        self.slack.clock.advance(seconds)
        api_calls.read(self.client, "auth.test")

    @contextmanager
    def delivering(self, render_digest: RenderDigest = no_digest) -> Iterator[None]:
        """Meanwhile another replica delivers."""
        service = DeliveryService(
            open_delivery_store(self.store),
            self.clients,
            self.identity,
            api_url=self.slack.api_url,
            render_digest=render_digest,
            pace=PACE,
        )
        service.start()
        try:
            yield
        finally:
            service.stop()

    def wait_for(self, condition: str, count: int) -> None:
        """Until there are so many posts like this."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.count(condition)) != count:
            assert time.monotonic() < deadline, f"{found} instead of {count}"
            time.sleep(0.02)

    def expect_each_once(self) -> None:
        """Everybody has got their message, and nobody twice."""
        seen = {person.name: [one.text for one in person.direct_messages()] for person in self.people}
        assert seen == {person.name: [f"note {number}."] for number, person in enumerate(self.people)}


@pytest.fixture
def batch(slack: Sandbox, store: Store, tmp_path: Path) -> Batch:
    apply_file(store, tmp_path, ORGANIZATION)
    return Batch(slack, store)


def test_a_replica_that_dies_before_it_posts_what_it_has_begun(batch: Batch) -> None:
    batch.begin()
    assert batch.count("attempted_at IS NOT NULL") == PEOPLE, "committed before anything is posted"
    assert not batch.slack.calls("chat.postMessage")
    batch.pass_time()
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", PEOPLE)
    batch.expect_each_once()
    assert len(batch.slack.calls("conversations.history")) >= PEOPLE, "first they are searched for"


def test_a_replica_that_dies_before_it_records_what_it_has_posted(batch: Batch) -> None:
    for delivery in batch.begin():
        batch.sender.send(delivery)
    batch.pass_time()
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", PEOPLE)
    batch.expect_each_once()
    assert len(batch.slack.calls("chat.postMessage")) == PEOPLE


def test_a_replica_that_dies_between_two_posts_of_a_batch(batch: Batch) -> None:
    outcomes = [batch.sender.send(delivery) for delivery in batch.begin()[: PEOPLE // 2]]
    assert batch.sender.settlement.settle_together(outcomes[:1]) == []
    batch.pass_time()
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", PEOPLE)
    batch.expect_each_once()
    assert len(batch.slack.calls("chat.postMessage")) == PEOPLE


def test_a_replica_that_stood_still_does_not_post_what_others_may_post_now(batch: Batch) -> None:
    late = [replace(delivery, begun=delivery.begun - PACE.start_s - 1) for delivery in batch.begin(30.0)]
    for outcome in [batch.sender.send(delivery) for delivery in late]:
        batch.sender.settlement.settle(outcome)
    assert not batch.slack.calls("chat.postMessage")
    assert batch.count("attempted_at IS NULL AND ts IS NULL") == PEOPLE
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", PEOPLE)
    batch.expect_each_once()


def test_a_refusal_of_one_message_does_not_concern_the_others(batch: Batch) -> None:
    first, *others = batch.begin(30.0)
    batch.slack.faults.refuse("chat.postMessage", "restricted_action", times=1)
    outcomes = [batch.sender.send(delivery) for delivery in (first, *others)]
    assert batch.sender.settlement.settle_together(outcomes) == outcomes[:1]
    assert batch.count("ts IS NOT NULL") == PEOPLE - 1
    batch.sender.settlement.settle(outcomes[0])
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", PEOPLE)
    batch.expect_each_once()


def test_one_message_that_cannot_be_rendered_does_not_concern_the_others(batch: Batch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    batch.slack.channel("C0009", "broken")
    with batch.store.write() as tx:
        outbox.enqueue(
            tx, workspace_id="T0001", channel_id="C0009", kind=PostKind.DIGEST, key="d:1", now=batch.store.clock.now()
        )
    with batch.delivering(fail):
        batch.wait_for("ts IS NOT NULL", PEOPLE)
        batch.wait_for("kind = 'digest' AND due_at > date_added + interval '1 minute'", 1)
    batch.expect_each_once()
    assert batch.count("attempted_at IS NOT NULL") == 0


def test_a_destination_that_somebody_has_locked_does_not_hold_up_the_others(batch: Batch) -> None:
    leased = batch.lease(30.0)
    with batch.store.write() as tx:
        destinations.lock_destination(tx, leased[0].destination_id)
        ready, others = batch.sender.begin(leased)
    assert (len(ready), others) == (PEOPLE - 1, leased[:1])
    outcomes = [batch.sender.send(delivery) for delivery in ready]
    assert batch.sender.settlement.settle_together(outcomes) == []
    outcome = batch.sender.serve(leased[0])
    assert outcome is not None
    with batch.store.write() as tx:
        destinations.lock_destination(tx, leased[0].destination_id)
        assert batch.sender.settlement.settle_together([outcome]) == [outcome]
    batch.sender.settlement.settle(outcome)
    assert batch.count("ts IS NOT NULL") == PEOPLE
    batch.expect_each_once()


def test_leases_of_a_part_of_a_batch_are_lost(batch: Batch) -> None:
    lost = batch.lease(0.0)[: PEOPLE // 2]
    leased = batch.lease(30.0)
    ids = {one.destination_id for one in lost}
    valid = [one for one in leased if one.destination_id not in ids]
    ready, others = batch.sender.begin([*lost, *valid])
    assert [one.lease for one in ready] == valid and others == lost
    assert [batch.sender.serve(one) for one in others] == [None] * len(lost)
    assert batch.count("attempted_at IS NOT NULL") == len(valid)
    outcomes = [batch.sender.send(delivery) for delivery in ready]
    with batch.store.write() as tx:  # another process takes over what it believes to be dead
        tx.exec_driver_sql(
            "UPDATE destination SET lease = lease + 1 WHERE id = %(id)s", {"id": ready[0].lease.destination_id}
        )
    assert batch.sender.settlement.settle_together(outcomes) == outcomes[:1]
    batch.sender.settlement.settle(outcomes[0])
    assert batch.count("ts IS NOT NULL AND attempted_at IS NULL") == len(valid), "a late answer is recorded, too"
    with batch.store.write() as tx:
        tx.exec_driver_sql("UPDATE destination SET leased_until = NULL")
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", PEOPLE)
    batch.expect_each_once()


def test_a_slow_answer_does_not_hold_up_what_others_have_got(batch: Batch) -> None:
    held = batch.slack.faults.hold("chat.postMessage", times=1)
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", PEOPLE - 1)
        assert batch.count("attempted_at IS NOT NULL") == 1
        batch.slack.faults.remove(held)
        batch.wait_for("ts IS NOT NULL", PEOPLE)
    batch.expect_each_once()


def test_a_batch_is_begun_and_recorded_in_one_transaction_each(batch: Batch) -> None:
    leased = batch.lease(30.0)
    commits: list[object] = []
    event.listen(batch.store._writing, "commit", commits.append)
    ready, others = batch.sender.begin(leased)
    assert (len(ready), len(commits), others) == (PEOPLE, 1, [])
    outcomes = [batch.sender.send(delivery) for delivery in ready]
    assert batch.sender.settlement.settle_together(outcomes) == []
    assert len(commits) == 2
    assert batch.count("ts IS NOT NULL AND attempted_at IS NULL") == PEOPLE


def test_many_messages_to_many_people_arrive_once_and_in_order(batch: Batch) -> None:
    more = 5
    for number in range(more):
        for person in batch.people:
            batch.ask_for(person, f"{person.id} {number}")
    began = batch.count("TRUE")
    assert began == PEOPLE * (more + 1)
    with batch.delivering():
        batch.wait_for("ts IS NOT NULL", began)
    texts = Counter(one.text for person in batch.people for one in person.direct_messages())
    assert set(texts.values()) == {1} and len(texts) == began
    for person in batch.people:
        mine = [one.text for one in person.direct_messages()]
        assert mine[1:] == [f"{person.id} {number}" for number in range(more)], "in order"
