"""Following what does not exist yet: new incidents of a team, a project or a severity."""

from __future__ import annotations

import pytest

from bot.intake.tokens import Source
from sandbox import Person
from tests.stories.conftest import ORGANIZATION, Deliver, World


def told(world: World, person: Person, words: str) -> list[str]:
    """The direct messages to somebody with these words, once the bot has nothing left to do."""
    world.rest()
    return [one.text for one in person.direct_messages() if words in one.text]


def test_new_incidents_that_match_are_told_and_then_followed(world: World) -> None:
    answer = world.ask(world.dan, "subscribe team:payments critical").text
    assert "You follow new incidents that match team:payments critical now." in answer.replace("`", "")
    assert "You already follow new incidents" in world.ask(world.dan, "subscribe TEAM:payments Critical").text
    world.declare("Payments fail", options="project:checkout critical")
    world.declare("Payments are slow", options="project:checkout warning")
    world.declare("Search fails", options="project:catalogue critical")
    assert any("Ada Obi opened #1 Payments fail" in text for text in told(world, world.dan, "opened"))
    assert not told(world, world.dan, "#2") and not told(world, world.dan, "#3")
    world.ask(world.ada, "comment 1 the replica lags")
    assert told(world, world.dan, "the replica lags")
    assert "#1 Payments fail" in world.ask(world.dan, "list following:yes").text


def test_an_alert_and_a_rise_of_severity(world: World, deliver: Deliver) -> None:
    world.ask(world.ben, "subscribe project:checkout critical")
    deliver(Source.EVENTS, {"dedup_key": "disk", "title": "Disk is full", "severity": "critical"})
    assert any("An alert opened #1 Disk is full" in text for text in told(world, world.ben, "Disk is full"))
    world.declare("Payments are slow", options="project:checkout warning")
    assert not told(world, world.ben, "#2")
    world.ask(world.ada, "severity 2 critical")
    assert told(world, world.ben, "changed the severity of #2")
    world.ask(world.ben, "unsubscribe 2")
    before = len(told(world, world.ben, "#2"))
    world.ask(world.ada, "resolve 2")
    world.ask(world.ada, "reopen 2")
    assert len(told(world, world.ben, "#2")) == before


def test_nobody_is_told_of_what_they_cannot_see_or_want(world: World) -> None:
    world.ask(world.cyn, "subscribe team:payments")
    world.ask(world.cyn, "subscribe critical")
    world.ask(world.ada, "subscribe team:payments")
    world.ask(world.sue, "subscribe team:payments")
    world.ask(world.sue, "notify mentions")
    world.declare("Payments fail", options="project:checkout critical")
    assert not told(world, world.cyn, "Payments") and not told(world, world.ada, "opened")
    assert not told(world, world.sue, "Payments")
    assert "There is no" in world.ask(world.cyn, "subscribe project:checkout").text
    world.apply(
        ORGANIZATION.replace("name: Cyn Roe, role: member, teams: [search]", "name: Cyn Roe, role: member"), prune=True
    )
    world.declare("Search fails", options="project:catalogue critical")
    assert not told(world, world.cyn, "Search")


def test_what_is_followed_is_listed_and_ended(world: World) -> None:
    assert "You follow no new incidents of a team" in world.ask(world.ben, "subscribe").text
    for words in ("team:payments critical", "project:checkout", "warning"):
        world.ask(world.ben, f"subscribe {words}")
    listed = world.ask(world.ben, "subscribe")
    for words in ("team:payments critical", "project:checkout", "warning"):
        assert words in listed.text
    world.ben.opens_home()
    home = world.ben.wait_for_home("incidents")
    world.ben.press(home, "Following")
    world.ben.wait_for_home("You also follow new incidents that match")
    message = world.shown(listed)
    world.ben.press(message, "Unsubscribe", containing="project:checkout")
    message.wait_for(lambda m: "You no longer follow these." in m.text)
    assert "project:checkout" not in message.text
    assert (
        "You no longer follow new incidents that match"
        in world.ask(world.ben, "unsubscribe team:payments critical").text
    )
    assert "You do not follow new incidents that match" in world.ask(world.ben, "unsubscribe team:payments").text
    world.declare("Payments fail", options="project:checkout critical")
    assert not told(world, world.ben, "#1")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("team:paymnts", "There is no team “paymnts”"),
        ("team:payments soon", "“soon” is no number of an incident, team, project or severity."),
        ("team:payments team:search", "Give one team at a time."),
        ("team:", "team: needs a value."),
        ("tomorrow", "is not the number of an incident"),
    ],
)
def test_what_cannot_be_followed(world: World, words: str, sentence: str) -> None:
    assert sentence in world.ask(world.ben, f"subscribe {words}").text.replace("`", "")
    assert "You follow no new incidents" in world.ask(world.ben, "subscribe").text
