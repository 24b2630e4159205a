"""Reactions on a card."""

from __future__ import annotations

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
    card(world).wait_for(lambda m: "· Resolved" in m.text)
    world.ada.react(card(world), "white_check_mark")
    world.rest()
    assert not [m for m in world.ada.direct_messages() if "changed nothing" in m.text]


def test_a_refused_reaction_is_answered_by_one_direct_message(world: World) -> None:
    world.declare("Payments fail with 502")
    world.cyn.react(card(world), "white_check_mark")
    told = world.cyn.wait_for_message(containing="changed nothing")
    assert "There is no incident #1 that you can see" in told.text
    for exchange in [one for one in world.slack.sent if one.name == "reaction_added"]:
        world.slack.redeliver(exchange)
    world.rest()
    assert len(world.cyn.direct_messages()) == 1
    assert "· Open" in card(world).text


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
    card(world).wait_for(lambda m: "Seen by Sue Perm, Ada Obi" in m.text)
    world.rest()
    assert "· Open" in card(world).text and "Ben" not in card(world).text
    world.ben.react(card(world), "tada")
    card(world).wait_for(lambda m: "· Resolved" in m.text)


def test_other_reactions_and_other_messages_mean_nothing(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ben.react(card(world), "tada")
    hello = world.ben.say(world.cast.checkout, "hello")
    world.ben.react(hello, "white_check_mark")
    world.rest()
    assert "· Open" in card(world).text and "Ben" not in card(world).text
