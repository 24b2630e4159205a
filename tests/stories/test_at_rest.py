"""What the bot asks of the database while nothing happens, and for what people do. What is not there costs nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bot.delivery.pace import Pace
from storage.clock import READ_EVERY_S
from tests.statements import Asked, counted
from tests.stories.conftest import ORGANIZATION, World

LOOK = "SELECT clock_timestamp(), "
QUIET = ORGANIZATION.replace("channels: [C0001]", "channels: []")


@pytest.fixture
def asked(world: World) -> Iterator[Asked]:
    """What is asked, but for the look at digests that the beginning of a minute adds: it may fall into any test."""
    world.bot.digests._scheduler.pause()
    with counted() as found:
        yield found


def look_away(world: World, asked: Asked, looks: int = 2) -> None:
    """Waits until the bot has looked a few times for what is due."""
    before = len(asked.by("due-work"))
    world.slack.wait_until(lambda: len(asked.by("due-work")) >= before + looks, what="looks at what is due")


def find_others(asked: Asked) -> list[str]:
    """What the bot asked besides looking for what is due."""
    return [one for one in asked.statements if not one.startswith("SELECT clock_timestamp()")]


def test_a_bot_at_rest_only_looks_for_what_is_due(world: World, asked: Asked) -> None:
    world.declare("Payments fail with 502", options="critical project:checkout team:payments")
    world.ask(world.ben, "comment 1 hello @dan")
    world.rest()
    look_away(world, asked)  # what it does at the start, and after the last message, is done by then
    asked.clear()
    look_away(world, asked, looks=3)
    assert (find_others(asked), asked.commits) == ([], 0)
    assert {one[: len(LOOK)] for one in asked.by("due-work")} == {LOOK}
    # So many a second, with the clock, the heartbeat and the minute of digests.
    assert 1 / Pace().poll_s + 2 / READ_EVERY_S + 1 / 60 < 1


def test_a_bot_has_no_more_threads_than_it_has_needed(world: World) -> None:
    def find_senders() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("delivery-sender")}

    others = find_senders()  # of a test that had one hang
    world.declare("Payments fail with 502")
    world.rest()
    assert 1 < len(find_senders() - others) < 10  # one posts the card, one would record its outcome


def test_what_nobody_follows_and_no_card_shows_is_done_with_its_commit(world: World, asked: Asked) -> None:
    world.apply(QUIET, prune=True)
    world.declare("Payments fail with 502", by=world.ben)
    world.ask(world.ben, "unsubscribe 1")
    world.ask(world.dan, "whoami")
    world.rest()
    for words, statements in (("ack 1", 3), ("ack 1", 3), ("comment 1 so it is", 4)):
        look_away(world, asked)
        asked.clear()
        world.ask(world.dan, words)
        look_away(world, asked)
        found = find_others(asked)
        assert (len(found), asked.commits) == (statements, 1), found


def test_what_a_card_shows_is_looked_at_once(world: World, asked: Asked) -> None:
    world.declare("Payments fail with 502")
    world.rest()
    look_away(world, asked)
    asked.clear()
    world.ask(world.ben, "ack 1")
    world.rest()
    look_away(world, asked)
    took = [one for one in find_others(asked) if "DELETE FROM outbox" in one]
    assert len(took) == 1, took
    leased = [one for one in find_others(asked) if "leased_until = %(now)s + make_interval" in one]
    assert len(leased) <= 3, "when it is expanded, when it is due, and when it has been sent"
