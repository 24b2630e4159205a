"""A workspace that goes from one organization to another: what was drawn before acts on nothing afterwards."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from sandbox.records import Json
from tests.stories.conftest import ORGANIZATION, World
from tests.stories.test_cards import card
from tests.stories.test_permissions import state

GLOBEX = """
organization: {slug: globex, name: Globex, workspaces: [T0001]}
teams: [{slug: core, name: Core}]
projects: [{slug: reactor, name: Reactor, teams: [core], channels: [C0003]}]
members:
  - {email: ada@globex.test, name: Ada Obi, slack: U0001, role: owner, teams: [core]}
"""
GONE = "made for another organization"


def move(world: World) -> None:
    """Acme gives its workspace up, Globex gets it and has an incident by the same number."""
    world.apply(ORGANIZATION.replace("[T0001]", "[T0404]"), prune=True)
    world.apply(GLOBEX)
    assert world.declare("Coolant lost", options="project:reactor") == 1
    world.rest()


def pressed(world: World) -> list[Json]:
    """Every kind of button and form about Acme's incident, as it was used when the workspace was Acme's."""
    world.declare("Payments fail")
    world.ask(world.ada, "subscribe 1")
    posted = card(world)
    world.ask(world.ben, "comment 1 look")
    told = world.ada.wait_for_message(containing="look")
    for label in ("Acknowledge", "View", "Activity", "Subscribe"):
        world.ada.press(posted, label)
    world.ada.press(told, "View")
    world.ada.wait_for_form("Incident").close(everything=True)
    world.ada.press(world.view(world.ada, 1), "Comment")
    world.ada.wait_for_form("Comment #1").fill("Comment", "mine").submit()
    log = world.see(world.ada, "activity 1")
    world.ada.press(log, "Edit")
    world.ada.wait_for_form().submit()
    world.ada.press(log, "Delete")
    world.ada.press(world.see(world.ada, "list"), "View", containing="#1")
    world.ada.wait_for_form("Incident").close()
    world.ada.press(world.view(world.ada, 1), "Resolve")
    world.ada.wait_for_form("Resolve #1").submit()
    posted.wait_for(lambda shown: "Reopen" in shown.buttons)
    world.ada.press(posted, "Reopen")
    world.ada.opens_home()
    home = world.ada.wait_for_home("#1")
    world.ada.press(home, "Acknowledge", containing="#1")
    world.rest()
    kinds = ("block_actions", "view_submission")
    return [copy.deepcopy(e.sent) for e in world.slack.sent if e.sent.get("type") in kinds]


def used_again(world: World, payloads: list[Json], change: Callable[[Json], Json]) -> None:
    """Ada, who is of both organizations, uses everything once more."""
    for number, payload in enumerate(payloads):
        again = change(copy.deepcopy(payload))
        if payload["type"] == "view_submission":
            again["view"] |= {"id": f"V{number}"}
            answer = world.ada.replay(again).answer
            assert GONE in str(answer), (payload["view"]["callback_id"], answer)
        else:
            world.ada.replay(again)
    world.settle()
    world.rest()
    world.slack.problems.take("no_original")


def as_drawn_before(payload: Json) -> Json:
    """The same as the version before drew it: nothing in it says whose it is."""
    for action in payload.get("actions", []):
        action["block_id"] = "xYz1"
    if payload["type"] == "view_submission":
        payload["view"]["private_metadata"] = payload["view"]["private_metadata"].replace('"o":', '"unknown":')
    return payload


@pytest.mark.parametrize("change", [lambda payload: payload, as_drawn_before], ids=["now", "by the version before"])
def test_what_was_drawn_for_one_organization_does_nothing_in_another(
    world: World, change: Callable[[Json], Json]
) -> None:
    payloads = pressed(world)
    assert len(payloads) > 12
    move(world)
    before = state(world)
    seen = len(world.ada.sees(world.cast.checkout))
    used_again(world, payloads, change)
    assert state(world) == before
    new = world.ada.sees(world.cast.checkout)[seen:]
    assert new and all(GONE in message.text for message in new), new
    assert not world.ada.form or GONE in world.ada.form.text


def test_the_values_of_the_version_before_work_where_the_workspace_has_not_moved(world: World) -> None:
    world.joined_long_ago()
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Acknowledge")
    world.ben.press(shown, "Comment")
    world.ben.wait_for_form("Comment #1").fill("Comment", "hello").submit()
    world.settle()
    sent = [
        copy.deepcopy(e.sent) for e in world.slack.sent if e.sent.get("type") in ("block_actions", "view_submission")
    ]
    # The version before reads the values of this one, too: the number alone.
    assert {action["value"] for payload in sent for action in payload.get("actions", [])} == {"1"}
    form = as_drawn_before(sent[-1])
    form["view"]["id"] = "V1X"
    assert not world.ben.replay(form).answer
    assert world.seen_by(world.ada, 1).count("hello") == 1
    world.ada.replay(as_drawn_before(sent[0]))
    world.settle()
    assert "Seen by Ada Obi" in world.seen_by(world.ben, 1)
    world.slack.problems.take("no_original")


def test_what_the_version_before_draws_after_the_move_works(world: World) -> None:
    move(world)
    world.ada.press(world.view(world.ada, 1), "Acknowledge")
    world.settle()
    sent = next(copy.deepcopy(e.sent) for e in world.slack.sent if e.sent.get("type") == "block_actions")
    sent["actions"][0]["action_id"] = "resolve"
    world.ada.replay(as_drawn_before(sent))
    assert world.ada.wait_for_form("Resolve #1").submit().closed
    world.settle()
    world.slack.problems.take("no_original")


def test_reactions_and_replies_to_a_card_of_before_do_nothing(world: World) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.rest()
    move(world)
    before = state(world)
    world.ada.react(posted, "eyes")
    world.ada.reply(posted, "hello")
    world.slack.settle()
    world.rest()
    assert state(world) == before
