"""Whoever is mentioned is told, at once and once."""

from __future__ import annotations

from tests.stories.conftest import World


def test_somebody_who_is_mentioned_gets_one_direct_message(world: World) -> None:
    number = world.declare("Payments fail with 502")
    world.ask(world.ada, f"comment {number} @ben the replica is lagging")
    message = world.ben.wait_for_message(containing="the replica is lagging")
    assert "Ada Obi mentioned you on #1 Payments fail with 502" in message.text
    assert message.buttons == ["Acknowledge", "Take it", "Resolve", "Comment"]
    assert message.entries == ["View", "Activity", "Unsubscribe"]
    world.rest()
    assert len(world.ben.direct_messages()) == 1
    assert not world.ada.direct_messages()


def test_the_buttons_of_a_mention_work(world: World) -> None:
    number = world.declare("Payments fail with 502")
    world.ask(world.ada, f"comment {number} @ben please look")
    message = world.ben.wait_for_message(containing="please look")
    world.ben.press(message, "Acknowledge")
    message.wait_for(lambda shown: "Seen by Ben Tal" in shown.text and "Acknowledge" not in shown.buttons)
    world.rest()
    assert len(world.ben.direct_messages()) == 1  # the message shows it, so there is no answer


def test_a_mentioned_team_is_told_and_each_of_its_members_once(world: World) -> None:
    number = world.declare("Payments fail with 502")
    world.ask(world.ada, f"comment {number} @payments @ben and all: look")
    for person in (world.ben, world.sue):
        person.wait_for_message(containing="Ada Obi mentioned you")
    world.rest()
    assert [len(person.direct_messages()) for person in (world.ada, world.ben, world.sue)] == [0, 1, 1]
