"""Owners from whom nothing is heard are asked, and then the team is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bot.digests.owner_reminders import remind_owners
from bot.intake.tokens import Source
from sandbox import SeenMessage
from storage.queries import destinations, expansion
from storage.queries.destinations import LockedDestinations, Shown
from storage.values import Work
from tests.patience import PATIENCE_S
from tests.stories.conftest import ORGANIZATION, Deliver, World
from tests.stories.test_cards import cards

REMINDING = ORGANIZATION.replace("slack_usergroup: S0001", "slack_usergroup: S0001, remind_owner: 60m")
HOUR = timedelta(hours=1)


@pytest.fixture
def owned(world: World) -> Iterator[World]:
    """Ben owns #1, whose team wants to be told after an hour."""
    world.apply(REMINDING)
    world.declare("Payments fail")
    world.ask(world.ben, "take 1")
    yield world


def asked(world: World) -> list[SeenMessage]:
    """The messages that ask Ben, once the bot has nothing left to do."""
    world.rest()
    return [one for one in world.ben.direct_messages() if "Are you still on" in one.text]


def let_pass(world: World, time: timedelta, *, replicas: int = 2) -> None:
    """Time passes, and two replicas look at once who is to be asked. The bot may be asking some of them already."""
    world.store.clock.offset += time
    now = world.store.clock.now()
    with ThreadPoolExecutor(replicas) as pool:
        for looked in [pool.submit(remind_owners, world.store, now) for _ in range(replicas)]:
            looked.result()

    def everybody_is_asked() -> bool:
        with world.store.read() as connection:
            query = "SELECT NOT EXISTS (SELECT FROM owner_reminder WHERE due_at <= %(now)s)"
            return bool(connection.exec_driver_sql(query, {"now": now}).scalar_one())

    world.slack.wait_until(everybody_is_asked, what="the reminders that are due")


def test_an_owner_is_asked_once_and_then_the_team_is_told(owned: World) -> None:
    owned.ask(owned.ada, "comment 1 the replica lags")
    let_pass(owned, HOUR - timedelta(minutes=2))
    assert asked(owned) == []
    let_pass(owned, timedelta(minutes=3))
    (message,) = asked(owned)
    assert "Are you still on #1 Payments fail? Your last update was" in message.text
    assert "the replica lags" in message.text and message.text.count("#1 Payments fail") == 1
    assert message.buttons == ["Still on it", "Hand off", "Resolve"]
    owned.ask(owned.ada, "comment 1 still lagging")
    owned.rest()
    assert "still lagging" in message.text and message.buttons == ["Still on it", "Hand off", "Resolve"]
    let_pass(owned, HOUR - timedelta(minutes=2))
    thread = [one.text for one in cards(owned)[0].thread]
    assert not any("No update from" in text for text in thread)
    let_pass(owned, timedelta(minutes=4))
    let_pass(owned, 3 * HOUR)
    assert len(asked(owned)) == 1
    thread = [one.text for one in cards(owned)[0].thread]
    (told,) = [text for text in thread if "No update from" in text]
    assert "No update from Ben Tal, who owns this, for 2 h" in told
    assert "No update from Ben Tal" in owned.ask(owned.ada, "activity 1").text
    assert not any("who owns" in one.text for one in owned.ben.direct_messages())


@pytest.mark.parametrize("sign", ["press", "comment 1 on it", "ack 1", "severity 1 critical"])
def test_any_sign_of_the_owner_starts_the_time_again(owned: World, sign: str) -> None:
    let_pass(owned, HOUR)
    (message,) = asked(owned)
    let_pass(owned, HOUR / 2)
    if sign == "press":
        owned.ben.press(message, "Still on it")
        message.wait_for(lambda m: "You are still on #1 Payments fail." in m.text)
        assert message.buttons == ["View"]
    else:
        owned.ask(owned.ben, sign)
    let_pass(owned, HOUR - timedelta(minutes=2))
    assert len(asked(owned)) == 0
    let_pass(owned, timedelta(minutes=3))
    assert len(asked(owned)) == 1
    assert not any("No update from" in one.text for one in cards(owned)[0].thread)


def test_the_buttons_hand_off_and_resolve(owned: World) -> None:
    let_pass(owned, HOUR)
    (message,) = asked(owned)
    owned.ben.press(message, "Hand off")
    assert owned.ben.wait_for_form("Hand off #1").choose("Who takes over?", owned.ada).submit().closed
    message.wait_for(lambda m: "You offered #1 Payments fail to Ada Obi. You own it until they accept." in m.text)
    owned.rest()
    assert message.buttons == ["View", "Withdraw"]
    owned.ben.press(message, "Withdraw")
    message.wait_for(lambda m: "You are still on #1 Payments fail." in m.text)
    let_pass(owned, HOUR)
    *_, message = asked(owned)
    owned.ben.press(message, "Resolve")
    assert owned.ben.wait_for_form("Resolve #1").submit().closed
    message.wait_for(lambda m: "#1 Payments fail is resolved." in m.text and m.buttons == ["View"])
    let_pass(owned, 3 * HOUR)
    assert asked(owned) == []


def test_nobody_is_asked_about_what_they_do_not_own_or_what_is_over(owned: World) -> None:
    owned.declare("Search is slow", options="project:catalogue")  # of a team that asks nobody
    owned.ask(owned.dan, "take 2")
    owned.ask(owned.ben, "release 1")
    let_pass(owned, HOUR)
    owned.ask(owned.ben, "take 1")
    owned.ask(owned.ada, "resolve 1")
    let_pass(owned, HOUR)
    assert asked(owned) == []
    owned.ask(owned.ada, "reopen 1")  # it is Ben's again
    let_pass(owned, HOUR - timedelta(minutes=1))
    assert asked(owned) == []
    let_pass(owned, timedelta(minutes=2))
    (message,) = asked(owned)
    owned.slack.faults.refuse("chat.update", "internal_error", times=None)
    owned.dan.press(owned.view(owned.dan, 1), "Take over")
    owned.ben.press(message, "Still on it")
    owned.ben.wait_for_message(containing="Dan Wu owns #1 Payments fail now. Nothing was changed.")
    owned.slack.faults.clear()
    message.wait_for(lambda m: "Dan Wu owns #1 Payments fail now." in m.text and m.buttons == ["View"])


def test_who_lost_access_sees_nothing_more_of_what_they_were_asked(owned: World) -> None:
    let_pass(owned, HOUR)
    (message,) = asked(owned)
    owned.apply(REMINDING.replace("Ben Tal, role: member, teams: [payments]", "Ben Tal, role: member"), prune=True)
    message.wait_for(lambda m: m.text == "You can no longer see what you were asked about.")


def test_a_message_that_was_sent_while_a_change_was_expanded_does_not_wait_for_another(owned: World) -> None:
    let_pass(owned, HOUR)
    (message,) = asked(owned)
    with owned.store.write() as tx:
        ids = list(tx.exec_driver_sql("SELECT id FROM incident").scalars())
        organization_ids = list(tx.exec_driver_sql("SELECT id FROM organization").scalars())
        # Its conversation was not locked before.
        locked = LockedDestinations([], {}, frozenset({Shown.REMINDERS}))
        expansion.redraw_messages(tx, organization_ids, ids, locked, owned.store.clock.now())
    owned.rest()
    with owned.store.write() as tx:
        tx.exec_driver_sql("UPDATE incident SET status = 20")
        locked = destinations.lock_destinations(
            tx, dict.fromkeys(ids), [], owned.store.clock.now(), organization_ids=organization_ids
        )
        expansion.redraw_messages(tx, organization_ids, ids, locked, owned.store.clock.now())
        destinations.reschedule_destinations(tx, locked.ids, owned.store.clock.now())
    owned.bot.delivery.wake(Work.POSTS)
    message.wait_for(lambda m: "Critical" in m.text)


def test_a_message_of_which_nobody_knew_whether_it_was_sent_is_kept_current(owned: World) -> None:
    owned.rest()
    owned.slack.faults.cut("chat.postMessage")
    let_pass(owned, HOUR)
    message = owned.ben.wait_for_message(containing="Are you still on")
    owned.ask(owned.dan, "resolve 1")
    message.wait_for(lambda m: "#1 Payments fail is resolved." in m.text)


def test_several_at_once_are_one_message(owned: World) -> None:
    owned.bot.digests.stop(PATIENCE_S)  # of two that look at once, each asks about those that it locks first
    owned.declare("Cache is cold")
    owned.ask(owned.ben, "take 2")
    let_pass(owned, HOUR + timedelta(minutes=1), replicas=1)
    (message,) = asked(owned)
    assert "Are you still on these 2 incidents?" in message.text
    assert "#1 Payments fail" in message.text and "#2 Cache is cold" in message.text
    assert message.buttons == ["View", "View", "Still on it", "Hand off"]
    owned.ben.press(message, "Still on it")
    # The answer names both in one sentence, and when it is drawn again each has its own.
    message.wait_for(lambda m: "You are still on" in m.text and "Are you" not in m.text)
    assert "#1 Payments fail" in message.text and "#2 Cache is cold" in message.text


def test_who_took_all_of_a_storm_is_asked_too(world: World, deliver: Deliver) -> None:
    world.bot.digests.stop(PATIENCE_S)  # as above
    world.apply(REMINDING)
    alerts = [{"dedup_key": str(number), "title": f"Host {number} is down"} for number in range(1, 8)]
    deliver(Source.EVENTS, alerts)
    storm = world.ben.wait_for_message(world.cast.checkout, containing="7 new incidents")
    world.ben.press(storm, "Take all")
    world.ben.wait_for_message(world.cast.checkout, containing="You own 7 incidents of this storm now.")
    let_pass(world, HOUR, replicas=1)
    (message,) = asked(world)
    assert "Are you still on these 7 incidents?" in message.text
    let_pass(world, HOUR, replicas=1)
    world.rest()
    (told,) = [one.text for one in storm.thread if "No update from" in one.text]
    assert re.search(r"#\d Host \d is down: .*No update from Ben Tal, who owns this, for 2 h", told), told


def test_a_team_that_wants_reminders_later_asks_the_owners_it_has(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "take 1")
    let_pass(world, 2 * HOUR)
    assert asked(world) == []
    world.apply(REMINDING)
    let_pass(world, timedelta(seconds=1))
    assert len(asked(world)) == 1


def test_a_digest_says_what_was_acknowledged_and_is_owned_by_nobody(owned: World) -> None:
    owned.declare("Cache is cold")
    owned.ask(owned.ada, 'digest add "weekdays at 9" picture:no')
    number = owned.ask(owned.ada, "digest list").text.partition("Digest ")[2].split()[0].strip("*:.·")
    owned.ask(owned.ada, f"digest now {number}")
    digest = owned.ada.wait_for_message(owned.cast.checkout, containing="2 open incidents")
    assert "1 acknowledged, but without an owner" in digest.text
    assert digest.text.count("without an owner") == 2 and "owned by Ben Tal" in digest.text
