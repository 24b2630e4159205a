"""What happens in the workspace is acknowledged when its outcome is known, and else sent again: nothing is lost by it,
and nothing done twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from bot.people import notices
from bot.slack.requests import Command
from bot.slack.responses import Response
from sandbox.deliveries import Exchange
from storage.engine import Store, is_reachable
from storage.errors import DatabaseAway
from storage.models import IncidentActivity
from storage.values import ActivityType
from tests.patience import PATIENCE_S
from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, World
from tests.stories.test_cards import card
from tests.stories.wire import Wire

pytestmark = pytest.mark.production_deadlines("acknowledge_seconds", "deadline_s", "connect_timeout")

A_MINUTE = 61.0
WORKERS = 10


@pytest.fixture
def wire(database_url: str) -> Iterator[Wire]:
    with Wire(database_url) as wire:
        yield wire


@pytest.fixture
def store(wire: Wire) -> Iterator[Store]:
    store = Store.open(wire.url, hung_after_s=None)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _refusals_are_no_problem(world: World) -> Iterator[None]:
    """The workspace calls it a problem when the bot leaves it to send something again."""
    yield
    for kind in ("not_acknowledged", "http_error"):
        world.slack.problems.take(kind)


def sent(world: World, name: str) -> list[Exchange]:
    """What the bot was sent of an event, the first time and again."""
    return [one for one in world.slack.sent if one.kind == "events_api" and one.name == name]


def send_again(world: World) -> None:
    """Sends a third time what was not taken. From here on the bot is well, and has all the time that it needs."""
    world.slack.platform.deliveries.acknowledge_seconds = PATIENCE_S
    if world.bot.http:
        world.bot.http._deadline_s = PATIENCE_S
    if world.bot.socket:
        world.bot.socket._watch._seconds = PATIENCE_S
    world.slack.clock.advance(A_MINUTE)


def unanswered(world: World, name: str) -> list[Exchange]:
    """Those whose time is over, without an acknowledgement."""
    return [one for one in sent(world, name) if one.answered_at is not None and one.answer is None]


def wait_until_acknowledged(world: World, *names: str) -> None:
    """Waits until each event of those kinds has been acknowledged, be it when it was sent again."""

    def acknowledged() -> bool:
        last = {str(one.sent["event_id"]): one for name in names for one in sent(world, name)}
        return all(one.answer is not None for one in last.values())

    world.slack.wait_until(acknowledged, what="every acknowledgement")


def comments(world: World) -> list[str]:
    """What the comments say, in the database: nobody has to be answered for it."""
    with world.store.read() as connection:
        query = select(IncidentActivity.comment).where(IncidentActivity.type == ActivityType.COMMENT)
        return [str(one) for one in connection.scalars(query.order_by(IncidentActivity.comment))]


@contextmanager
def everybody_busy(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All workers have commands that do not end before the block does."""
    router = world.bot.listeners._router
    carry_out, done = router.command, threading.Event()
    busy = threading.Semaphore(0)

    def held(ask: Command) -> Response:
        busy.release()
        assert done.wait(PATIENCE_S)
        return carry_out(ask)

    monkeypatch.setattr(router, "command", held)
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for _ in range(WORKERS):
                pool.submit(world.ask, world.dan, "whoami")
            for _ in range(WORKERS):
                assert busy.acquire(timeout=PATIENCE_S)
            yield
        finally:
            done.set()
    monkeypatch.undo()


@IN_BOTH_MODES
def test_what_nobody_has_begun_is_not_acknowledged_and_done_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.declare("Payments fail")
    shown = card(world)
    with everybody_busy(world, monkeypatch):
        for number in range(3):
            world.ben.reply(shown, f"reply {number}")
        world.ben.react(shown, "eyes")
        world.slack.wait_until(
            lambda: len(unanswered(world, "message")) >= 3 and unanswered(world, "reaction_added"),
            what="events that are refused",
        )
    shown.wait_for(lambda shown: "Seen by Ben Tal" in shown.text)
    replies = [f"reply {number}" for number in range(3)]
    world.slack.wait_until(lambda: comments(world) == replies, what="the comments")
    send_again(world)
    wait_until_acknowledged(world, "message", "reaction_added")
    world.rest()
    assert comments(world) == replies


@IN_BOTH_MODES
def test_a_reply_that_takes_longer_than_slack_waits_is_one_comment(world: World) -> None:
    names = [f"p{number}" for number in range(20)]
    members = [f"  - {{email: {name}@acme.test, name: {name}, role: member, teams: [payments]}}\n" for name in names]
    world.apply(ORGANIZATION + "".join(members))
    world.declare("Payments fail")
    shown = card(world)
    world.ask(world.ben, "whoami")
    people = [world.slack.person(f"U1{name.upper()}", name, f"{name}@acme.test") for name in names]
    world.slack.faults.slow("users.info", 0.3, times=None)
    world.ben.reply(shown, "please look: " + " ".join(f"<@{person.id}>" for person in people))
    world.slack.wait_until(lambda: comments(world), what="the comment")
    world.slack.faults.clear()
    send_again(world)
    wait_until_acknowledged(world, "message")
    world.rest()
    assert len(comments(world)) == 1
    for person in people:
        assert len(person.direct_messages()) == 1
    assert unanswered(world, "message"), "Slack waits three seconds, and this took six"


@IN_BOTH_MODES
def test_what_comes_while_the_database_hangs_comes_again(world: World, wire: Wire) -> None:
    world.declare("Payments fail")
    shown = card(world)
    world.rest()
    before = len(world.slack.sent)
    wire.hang(world.store)
    for number in range(6):
        world.ben.reply(shown, f"reply {number}")
    world.ben.react(shown, "eyes")
    world.slack.change(world.cyn, tz="Europe/Madrid")
    events = ("message", "reaction_added", "user_change")
    world.slack.wait_until(
        # The second time follows at once.
        lambda: all(len(unanswered(world, name)) >= 2 for name in events) and len(unanswered(world, "message")) >= 12,
        what="events that are refused",
    )
    assert not [one for one in world.slack.sent[before:] if one.name in events and one.answer is not None]
    wire.mend()
    world.slack.wait_until(lambda: is_reachable(world.store), what="the database")
    send_again(world)
    shown.wait_for(lambda shown: "Seen by Ben Tal" in shown.text)
    world.slack.wait_until(lambda: len(comments(world)) == 6, what="the comments")
    wait_until_acknowledged(world, *events)
    wire.reset()


@IN_BOTH_MODES
def test_a_mention_that_nobody_has_begun_is_answered_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.declare("Payments fail")
    world.slack.invite_bot(world.cast.random)
    with everybody_busy(world, monkeypatch):
        world.ben.say(world.cast.random, f"{world.slack.bot_mention} ack 1")
        world.slack.wait_until(lambda: unanswered(world, "app_mention"), what="a refusal")
    world.ben.wait_for_message(world.cast.random, "You acknowledged #1")
    send_again(world)
    wait_until_acknowledged(world, "app_mention")
    told_so = [one for one in world.ben.sees(world.cast.random) if "acknowledged #1" in one.text]
    assert len(told_so) == 1


def test_what_is_told_of_a_reply_is_told_with_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comment and the note about whom it does not mention are one transaction: none is there without the other."""
    world.declare("Payments fail")
    shown = card(world)
    tell, failed = notices.send_notice, threading.Event()

    def failing_once(*arguments: object) -> None:
        if not failed.is_set():
            failed.set()
            raise DatabaseAway("cut in the middle")
        tell(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(notices, "send_notice", failing_once)
    world.ada.reply(shown, "@cyn can you look")
    world.ada.wait_for_message(containing="Cyn Roe cannot see #1")
    world.slack.settle()
    assert failed.is_set() and len(comments(world)) == 1
