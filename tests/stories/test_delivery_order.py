"""What happened to an incident is read in the order in which it happened, whatever Slack answers on the way."""

from __future__ import annotations

import random

import pytest

from sandbox import Person, SeenMessage
from sandbox.faults import Fault, Faults
from tests.changes import change
from tests.stories.conftest import ORGANIZATION, World


def follow(world: World, *people: Person) -> int:
    """An incident that these people follow; gives its number."""
    number = world.declare("Pay")
    for person in people:
        world.ask(person, f"subscribe {number}")
    world.rest()
    return number


def post_no_cards(world: World) -> None:
    """No project names a channel, so that the next message of the bot is a direct one."""
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: []"), prune=True)


def thread(world: World, number: int) -> list[SeenMessage]:
    card = next(m for m in world.slack.messages(world.cast.checkout) if f"#{number} Pay" in m.text)
    return card.thread


def places(messages: list[SeenMessage], *words: str) -> list[int]:
    """Where each of these words is first read."""
    found = [next((n for n, m in enumerate(messages) if word in m.text), None) for word in words]
    assert None not in found, f"{words} in {[m.text for m in messages]}"
    return [place for place in found if place is not None]


def unanswered(faults: Faults, kind: str) -> Fault:
    """The next message meets with trouble of which nobody can tell whether it was posted."""
    match kind:
        case "500":
            return faults.fail("chat.postMessage", status=500)
        case "500 after it was posted":
            return faults.fail("chat.postMessage", status=500, performed=True)
        case "internal_error":
            return faults.refuse("chat.postMessage", "internal_error")
        case "cut":
            return faults.cut("chat.postMessage", performed=False)
        case "cut after it was posted":
            return faults.cut("chat.postMessage")
    raise ValueError(kind)


def wait_for(world: World, fault: Fault) -> None:
    """Waits until a message has met with the trouble."""
    world.slack.wait_until(lambda: fault.hits > 0, what="a message that meets with trouble")


UNKNOWN = ["500", "500 after it was posted", "internal_error", "cut", "cut after it was posted"]


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_subscriber_reads_the_change_before_the_end(world: World, kind: str) -> None:
    post_no_cards(world)
    number = follow(world, world.ben)
    trouble = unanswered(world.slack.faults, kind)
    world.ask(world.ada, f"severity {number} critical")
    wait_for(world, trouble)
    world.ask(world.ada, f"resolve {number}")
    world.rest()
    changed, resolved = places(world.ben.direct_messages(), "to Critical", "resolved")
    assert changed < resolved
    assert len(world.ben.direct_messages()) == 2


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_thread_shows_comments_in_their_order(world: World, kind: str) -> None:
    number = follow(world)
    trouble = unanswered(world.slack.faults, kind)
    world.ask(world.ada, f"comment {number} the first word")
    wait_for(world, trouble)
    world.ask(world.ada, f"comment {number} the second word")
    world.rest()
    assert places(thread(world, number), "first word", "second word") == [0, 1]
    assert len(thread(world, number)) == 2


def test_another_incident_does_not_wait_for_a_search(world: World) -> None:
    post_no_cards(world)
    number = follow(world, world.ben)
    other = follow(world, world.ben)
    trouble = unanswered(world.slack.faults, "cut")
    world.ask(world.ada, f"severity {number} critical")
    wait_for(world, trouble)
    world.ask(world.ada, f"resolve {other}")
    world.rest()
    assert places(world.ben.direct_messages(), f"#{other} Pay", f"#{number} Pay") == [0, 1]


def test_what_cannot_be_held_back_any_longer_says_that_it_is_older(world: World) -> None:
    number = follow(world)
    trouble = world.slack.faults.refuse("chat.postMessage", "ekm_access_denied", times=None)
    world.ask(world.ada, f"comment {number} the first word")
    wait_for(world, trouble)
    put_off(world, "+ interval '1 hour'")  # as after some tries
    world.slack.faults.clear()
    world.ask(world.ada, f"comment {number} the second word")
    world.slack.wait_until(lambda: bool(thread(world, number)), what="the second word")
    put_off(world, "- interval '1 hour'")
    world.rest()
    second, first = thread(world, number)
    assert "second word" in second.text and "delayed" not in second.text
    assert "first word" in first.text and "delayed, from" in first.text


def put_off(world: World, by: str) -> None:
    """Has what is refused tried later, or earlier."""
    change(
        world.store,
        "UPDATE destination SET due_at = now()",
        f"UPDATE post SET due_at = due_at {by} WHERE refused_at IS NOT NULL",  # noqa: S608
    )


@pytest.mark.parametrize("seed", range(4))
def test_comments_stay_in_order_under_any_trouble(world: World, seed: int) -> None:
    chance = random.Random(seed)
    number = follow(world, world.ben, world.sue)
    words = [f"word-{n}-" for n in range(8)]
    for word in words:
        trouble = unanswered(world.slack.faults, chance.choice(UNKNOWN)) if chance.random() < 0.7 else None
        if chance.random() < 0.3:
            world.slack.faults.rate_limit("chat.postMessage", retry_after=1)
        world.ask(world.ada, f"comment {number} {word}")
        if trouble and chance.random() < 0.5:
            wait_for(world, trouble)
    world.rest()
    world.slack.faults.clear()
    for conversation in (world.ben.direct_messages(), world.sue.direct_messages(), thread(world, number)):
        said = "\n".join(m.text for m in conversation)
        assert [said.count(word) for word in words] == [1] * len(words)
        assert [said.index(word) for word in words] == sorted(said.index(word) for word in words)
