"""Slack delivers again what it is not sure of: the same command, press or form acts once."""

from __future__ import annotations

from sandbox.records import Json
from tests.patience import PATIENCE_S
from tests.stories.conftest import World


def last_sent(world: World, kind: str) -> Json:
    """The latest payload of that kind that the bot was sent."""
    return next(exchange.sent for exchange in reversed(world.slack.sent) if exchange.kind == kind)


def again(world: World, kind: str, name: str) -> Json:
    """Delivers the latest payload of that kind once more, unchanged; gives the acknowledgement's payload."""
    delivery = world.slack.platform.deliveries.send(kind, name, last_sent(world, kind), accepts_response=True)
    delivery.settled.wait(PATIENCE_S)
    assert delivery.acknowledged
    world.settle()
    return delivery.answer


def times(world: World, words: str) -> int:
    """How often something stands in the log of #1."""
    return world.ask(world.ada, "activity 1").text.count(words)


def test_a_comment_typed_once_is_made_once(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 Only once")
    again(world, "slash_commands", "/incident")
    assert times(world, "Only once") == 1


def test_an_incident_declared_once_is_opened_once(world: World) -> None:
    world.declare("Payments fail")
    again(world, "slash_commands", "/incident")
    assert world.ask(world.ada, "list").text.count("Payments fail") == 1
    assert world.declare("The next") == 2  # and no number is lost


def test_a_comment_form_sent_once_makes_one_comment_and_closes_both_times(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    assert world.ben.wait_for_form("Comment #1").fill("Comment", "Only once").submit().closed
    assert again(world, "interactive", "view_submission") == {}
    assert times(world, "Only once") == 1


def test_a_resolve_form_sent_once_resolves_once_even_after_a_reopening(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Resolve")
    assert world.ben.wait_for_form("Resolve #1").fill("Comment", "Rolled back").submit().closed
    assert again(world, "interactive", "view_submission") == {}
    submitted = last_sent(world, "interactive")
    world.ask(world.ada, "reopen 1")
    delivery = world.slack.platform.deliveries.send("interactive", "view_submission", submitted, accepts_response=True)
    delivery.settled.wait(PATIENCE_S)
    assert delivery.answer == {}
    assert "Open" in world.seen_by(world.ada, 1)
    assert times(world, "resolved this") == 1 and times(world, "Rolled back") == 1


def test_an_edit_form_sent_once_edits_once(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 First")
    world.ben.press(world.ask(world.ben, "activity 1").message, "Edit")
    assert world.ben.wait_for_form("Edit #1").fill("Comment", "Second").submit().closed
    assert again(world, "interactive", "view_submission") == {}
    assert times(world, "Second") == 1


def test_a_form_that_was_refused_can_be_sent_again(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    form = world.ben.wait_for_form("Comment #1")
    assert form.fill("Comment", [world.cyn]).submit().errors
    assert form.fill("Comment", "Without her").submit().closed
    assert times(world, "Without her") == 1


def test_buttons_pressed_twice_change_things_once(world: World) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    for label in ("Acknowledge", "Subscribe"):
        world.ben.press(shown, label)
        world.settle()
        again(world, "interactive", "block_actions")
    assert times(world, "Ben Tal acknowledged this") == 1
    (seen,) = [line for line in world.seen_by(world.ada, 1).splitlines() if "Seen by" in line]
    assert seen.count("Ben Tal") == 1
    world.ask(world.ada, "resolve 1")
    closed = world.view(world.ben, 1)
    world.ben.press(closed, "Reopen")
    world.settle()
    again(world, "interactive", "block_actions")
    assert times(world, "reopened this") == 1


def test_a_delete_pressed_twice_deletes_one_comment(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 Keep me")
    world.ask(world.ben, "comment 1 Drop me")
    world.ben.press(world.ask(world.ben, "activity 1").message, "Delete", row=0)
    world.settle()
    again(world, "interactive", "block_actions")
    assert times(world, "Drop me") == 0 and times(world, "Keep me") == 1


def test_status_words_sent_twice_change_the_status_once(world: World) -> None:
    world.declare("Payments fail")
    for words in ("severity 1 critical worse", "resolve 1 done", "reopen 1 back"):
        world.ask(world.ben, words)
        again(world, "slash_commands", "/incident")
    for said in ("worse", "done", "back"):
        assert times(world, said) == 1, said
    assert times(world, "Ben Tal") == 3
