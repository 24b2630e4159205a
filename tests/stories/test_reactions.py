"""Reactions on a card."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from storage.queries import threads
from tests.stories.conftest import ORGANIZATION, World
from tests.stories.test_cards import card


def test_eyes_acknowledge_and_taking_them_away_does_not_unsee(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ben.react(card(world), "eyes")
    card(world).wait_for(lambda m: "Seen by Ben Tal" in m.text)
    world.ben.unreact(card(world), "eyes")
    world.rest()
    assert "Seen by Ben Tal" in card(world).text


def test_a_check_mark_resolves_once(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ben.react(card(world), "white_check_mark")
    card(world).wait_for(lambda m: "Resolved by" in m.text)
    world.ada.react(card(world), "white_check_mark")
    world.rest()
    assert not [m for m in world.ada.direct_messages() if "changed nothing" in m.text]


def test_a_refused_reaction_is_answered_by_one_direct_message(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    world.rest()  # an answer names an incident only while its card shows what is stored
    world.cyn.react(posted, "white_check_mark")
    told = world.cyn.wait_for_message(containing="changed nothing")
    assert "You cannot open or change #1 Payments fail with 502" in told.text
    for exchange in [one for one in world.slack.sent if one.name == "reaction_added"]:
        world.slack.redeliver(exchange)
    world.rest()
    assert len(world.cyn.direct_messages()) == 1
    assert "No severity" in card(world).text


def test_the_organization_file_says_which_reactions_count(world: World) -> None:
    world.apply(
        ORGANIZATION.replace(
            "name: Acme,", "name: Acme, acknowledge_reaction: ':raised_hand:', resolve_reaction: tada,"
        )
    )
    world.declare("Payments fail with 502")
    world.ben.react(card(world), "eyes")
    world.ben.react(card(world), "white_check_mark")
    world.sue.react(card(world), "raised_hand::skin-tone-3")
    card(world).wait_for(lambda m: "Seen by Sue Perm and Ada Obi" in m.text)
    world.rest()
    assert "No severity" in card(world).text and "Ben" not in card(world).text
    world.ben.react(card(world), "tada")
    card(world).wait_for(lambda m: "Resolved by" in m.text)


def test_other_reactions_and_other_messages_mean_nothing(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ben.react(card(world), "tada")
    hello = world.ben.say(world.cast.checkout, "hello")
    world.ben.react(hello, "white_check_mark")
    world.rest()
    assert "No severity" in card(world).text and "Ben" not in card(world).text


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that were taken for a card that is on its way, each as often as that was waited for."""
    look, taken = threads.has_card_not_posted_yet, []

    def looking(connection: Connection, workspace_id: str, channel_id: str, ts: str) -> bool:
        found = look(connection, workspace_id, channel_id, ts)
        if found:
            taken.append(ts)
        return found

    monkeypatch.setattr(threads, "has_card_not_posted_yet", looking)
    return taken


def lose_track_of_cards(world: World) -> None:
    """Has the bot think that it does not know of any card whether Slack took it."""
    with world.store.write() as tx:
        tx.exec_driver_sql(
            "UPDATE post SET ts = NULL, attempted_at = now() + interval '1 day', wanted_version = drawn_version + 1,"
            " after_ts = %(ts)s, due_at = now() + interval '1 day' WHERE kind = 'card'",
            {"ts": f"{world.slack.clock.now():.6f}"},
        )


def test_an_emoji_that_means_nothing_waits_for_no_card(world: World, waits: list[str]) -> None:
    world.declare("Payments fail with 502")
    world.rest()
    lose_track_of_cards(world)
    hello = world.ben.say(world.cast.checkout, "hello")
    for person in (world.ada, world.ben, world.cyn):
        person.react(hello, "tada")
    world.slack.settle()
    assert not waits
    world.ben.react(hello, "eyes")  # which may be a card, for all that is known
    world.slack.wait_until(lambda: waits, what="a look for the card")
    assert set(waits) == {hello.ts}
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE post SET drawn_version = wanted_version")
    world.slack.settle()


def test_what_was_there_before_a_card_was_posted_is_not_that_card(world: World, waits: list[str]) -> None:
    hello = world.ben.say(world.cast.checkout, "hello")
    world.declare("Payments fail with 502")
    world.rest()
    lose_track_of_cards(world)
    world.ben.react(hello, "eyes")
    world.ben.reply(hello, "is anybody there?")
    world.slack.settle()
    assert not waits


def test_a_card_that_is_being_redrawn_holds_nobody_up(world: World, waits: list[str]) -> None:
    world.declare("Payments fail with 502")
    world.rest()
    hello = world.ben.say(world.cast.checkout, "hello")
    with world.store.write() as tx:
        tx.exec_driver_sql(
            "UPDATE post SET attempted_at = now(), wanted_version = drawn_version + 1,"
            " due_at = now() + interval '1 day' WHERE kind = 'card'"
        )
    world.ben.react(hello, "eyes")
    world.slack.settle()
    assert not waits
