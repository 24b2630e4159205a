"""What happened to an incident is posted in its order, whichever step of delivery comes late or fails.

Each test makes the steps of the replicas itself, one after the other, so that they meet as it says.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from bot.delivery import api_calls
from bot.delivery import sender as senders
from bot.delivery.api_calls import WorkspaceClient
from bot.delivery.expansion import expand_next
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.sender import Sender
from bot.people.identity import Identity
from bot.slack.background import Background
from bot.slack.clients import Clients, web_client
from sandbox import Sandbox
from storage.engine import Store
from storage.queries import leases, outbox_changes, posts
from storage.queries.leases import Lease, Only
from storage.queries.post_kinds import DuePost
from tests.delivery.conftest import found_company
from tests.delivery.worker import HURRIED, no_digest

METRICS = DeliveryMetrics(CollectorRegistry())
# Busy machines reach none of these; the tests move the clock.
PACE = replace(HURRIED, start_s=60.0, call_s=60, late_s=0.0, order_s=600.0, defect_s=3000.0)


class Thread:
    """An incident with its card in a channel, and the steps by which comments get into the card's thread."""

    def __init__(self, slack: Sandbox, store: Store, folder: Path) -> None:
        self.slack, self.store = slack, store
        self.company = found_company(slack, store, folder, 0)
        clients = Clients.connect(slack.bot_token, slack.api_url)
        (one,) = clients.all()
        self.client = WorkspaceClient(one, web_client(slack.api_url, slack.bot_token, timeout_s=PACE.call_s))
        identity = Identity(store, clients, Background(slack.api_url))
        self.sender = Sender(store, {one.workspace_id: self.client}, identity, PACE, METRICS, no_digest)
        self.incident = self.company.comment("zero")
        self.expand()
        self.send()
        assert self.read() == ["zero"]

    def comment(self, word: str) -> None:
        """Somebody comments, and delivery has not looked at it yet."""
        self.company.remark(self.incident, word)

    def expand(self) -> None:
        """A replica expands what people changed."""
        while expand_next(self.store, METRICS, of_alert=False).count:
            pass

    def post(self, *words: str) -> None:
        """Somebody comments, and posts wait for Slack."""
        for word in words:
            self.comment(word)
            self.expand()

    def lease(self) -> list[Lease]:
        """Leases the channel, if it is due."""
        with self.store.read() as connection:
            return leases.lease_destinations(connection, Only(("T0001",)), 1, 3600.0, self.store.clock.now())

    def send_next(self) -> bool:
        """A turn of the channel. Returns whether it had one."""
        for lease in self.lease():
            outcome = self.sender.serve(lease)
            if outcome is not None:
                self.sender.settlement.settle(outcome)
            return True
        return False

    def send(self) -> None:
        """Turns of the channel, until it has nothing to send now."""
        while self.send_next():
            pass

    def pass_time(self, seconds: float) -> None:
        """For everybody, so that Slack's time is known to have passed, too."""
        self.store.clock.offset += timedelta(seconds=seconds)
        self.slack.clock.advance(seconds)
        api_calls.read(self.client, "auth.test")

    def read(self) -> list[str]:
        """The words that the thread shows. Each has a mark where the message says that it is late."""
        texts = [reply.text for reply in self.company.card("zero").thread]
        words = [text.split("[", 1)[1].split("]", 1)[0] for text in texts]
        return [word + ", late" * ("delayed, from" in text) for word, text in zip(words, texts, strict=True)]

    def count(self, condition: str) -> int:
        """How many messages like this wait."""
        with self.store.read() as connection:
            found = connection.exec_driver_sql(
                f"SELECT count(*) FROM post WHERE wanted_version > drawn_version AND {condition}"  # noqa: S608
            )
            return int(found.scalar_one())


@pytest.fixture
def thread(slack: Sandbox, store: Store, tmp_path: Path) -> Thread:
    return Thread(slack, store, tmp_path)


def stand_still_once(thread: Thread, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The process stands still for so long between its next look at the posts and putting one of them off."""
    put_off = posts.postpone_post

    def late(tx: Connection, post: DuePost, wait_s: float, _before: object) -> None:
        monkeypatch.setattr(posts, "postpone_post", put_off)
        thread.store.clock.offset += timedelta(seconds=seconds)
        thread.slack.clock.advance(seconds)
        put_off(tx, post, wait_s, thread.store.clock.now())

    monkeypatch.setattr(posts, "postpone_post", late)


def test_what_waited_for_a_search_a_little_too_long_is_not_overtaken(
    thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread.post("one")
    thread.slack.faults.cut("chat.postMessage", performed=False)
    thread.send_next()
    assert thread.count("attempted_at IS NOT NULL") == 1
    thread.post("two")
    stand_still_once(thread, monkeypatch, PACE.settles_s / 2)
    thread.send()
    thread.post("three")
    thread.send()
    thread.pass_time(PACE.settles_s / 2 + 1)  # the search is due, and so is the third, but not the second
    thread.send()
    assert thread.read() == ["zero", "one"]
    thread.pass_time(PACE.settles_s)
    thread.send()
    assert thread.read() == ["zero", "one", "two", "three"]


def test_what_another_replica_queued_by_a_clock_that_is_ahead_is_not_overtaken(thread: Thread) -> None:
    thread.comment("one")
    thread.store.clock.offset += timedelta(seconds=60)
    thread.expand()
    thread.store.clock.offset -= timedelta(seconds=60)
    thread.post("two")
    thread.send()
    assert thread.read() == ["zero"]
    thread.pass_time(61)
    thread.send()
    assert thread.read() == ["zero", "one", "two"]


def test_nothing_waits_for_longer_than_that_behind_a_search(thread: Thread) -> None:
    thread.post("one")
    thread.slack.faults.cut("chat.postMessage")
    thread.send_next()
    thread.slack.faults.rate_limit("conversations.replies", retry_after=int(PACE.order_s) * 4)
    thread.pass_time(PACE.settles_s + 1)
    thread.send()
    thread.post("two")
    thread.send()
    assert thread.read() == ["zero", "one"], "it was posted, but nobody knows"
    thread.pass_time(PACE.order_s + 5)
    thread.send()
    assert thread.read() == ["zero", "one", "two"]
    assert thread.count("attempted_at IS NOT NULL") == 1


def test_a_thread_does_not_wait_for_another_one(thread: Thread) -> None:
    thread.post("one")
    with thread.store.write() as tx:  # as when the incident was a part of a storm, whose message is not posted yet
        tx.exec_driver_sql(
            "WITH storm AS (INSERT INTO post (organization_id, destination_id, kind, due_at, date_added)"
            "  SELECT organization_id, destination_id, 'storm', due_at + interval '1 day', date_added FROM post"
            "  WHERE kind = 'card' RETURNING id)"
            " UPDATE post SET card_id = storm.id FROM storm WHERE kind = 'mirror' AND wanted_version > drawn_version"
        )
    thread.post("two")
    thread.send()
    assert thread.read() == ["zero", "two"]
    assert thread.count("kind = 'mirror' AND attempts = 0") == 1


def test_a_defect_puts_off_the_message_that_has_it(thread: Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    thread.comment("one")
    thread.store.clock.offset += timedelta(seconds=5)
    thread.expand()
    thread.store.clock.offset -= timedelta(seconds=5)
    thread.post("two")  # it is due first, and looked at first
    thread.pass_time(6)
    with monkeypatch.context() as defect:
        defect.setattr(senders, "render", lambda *_: 1 / 0)
        thread.send_next()
    thread.send()
    assert thread.read() == ["zero", "two"], "without waiting for a repair"
    thread.pass_time(PACE.defect_s + 1)
    thread.send()
    assert thread.read() == ["zero", "two", "one, late"]


@pytest.mark.parametrize("begun_together", [True, False])
def test_a_defect_in_a_call_does_not_put_off_the_next_message(thread: Thread, begun_together: bool) -> None:
    thread.post("one", "two")
    (lease,) = thread.lease()
    if begun_together:
        (delivery,), _ = thread.sender.begin([lease])
    else:
        delivery = thread.sender._prepare(lease)  # type: ignore[assignment]
    assert delivery is not None
    thread.sender.put_off(lease, delivery.post)  # as when the call has raised what nobody expects
    thread.send()
    assert thread.read() == ["zero"]
    thread.pass_time(PACE.order_s + 5)
    thread.send()
    assert thread.read() == ["zero", "two"], "for no longer than for any other search"
    thread.pass_time(PACE.defect_s)
    thread.send()
    assert thread.read() == ["zero", "two", "one, late"]


def test_two_replicas_expand_the_changes_of_an_incident_in_their_order(thread: Thread) -> None:
    thread.comment("one")
    with pytest.raises(ZeroDivisionError), thread.store.write() as other:
        taken = outbox_changes.take_changes(other, of_alert=False, most=1, now=thread.store.clock.now())
        assert len(taken.changes) == 1
        thread.comment("two")
        thread.company.comment("elsewhere")
        thread.expand()
        assert thread.count("kind = 'mirror'") == 1, "the second waits until the other replica has done, nothing else"
        raise ZeroDivisionError  # it dies, and the change waits again
    thread.expand()
    thread.send()
    assert thread.read() == ["zero", "one", "two"]


def test_what_could_not_be_expanded_before_a_later_comment_says_that_it_is_older(
    thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread.comment("one")
    with monkeypatch.context() as defect:
        defect.setattr(outbox_changes, "get_audiences", lambda *_: 1 / 0)
        assert expand_next(thread.store, METRICS, of_alert=False).count == 1
    thread.post("two")
    thread.send()
    thread.pass_time(60)
    thread.expand()
    thread.send()
    assert thread.read() == ["zero", "two", "one, late"]
