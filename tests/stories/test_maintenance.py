"""Maintenance: silences of everything that matches a project, a team or an environment, and who may make them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from bot.intake.tokens import Source
from sandbox import Person
from tests.patience import PATIENCE_S
from tests.stories.conftest import Deliver, World
from tests.stories.test_cards import card, cards
from tests.stories.test_silences import pass_ends


def alert(key: str, **more: Any) -> dict[str, Any]:
    return {"dedup_key": key, "title": f"{key} is slow", "status": "firing", **more}


def start(world: World, person: Person, words: str) -> int:
    """The id of the silence that `maintenance` with these words makes."""
    text = world.ask(person, f"maintenance {words}").text
    found = re.search(r"\(silence (\d+)\)", text)
    assert found is not None, text
    return int(found[1])


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ("project:checkout 2h upgrade", ["db", "web"]),
        ("team:payments 2h", ["db", "web"]),
        ("team:search 2h", []),
        ("env:Production until:23:59 upgrade", ["db"]),
        ('2h project:checkout env:"staging" upgrade', ["web"]),
    ],
)
def test_maintenance_holds_what_matches(world: World, deliver: Deliver, words: str, held: list[str]) -> None:
    made = start(world, world.ada, words)
    deliver(Source.EVENTS, [alert("db", environment="production"), alert("web", environment="Staging")])
    world.declare("People always get a card")
    card(world, containing="People always")
    world.rest()
    silenced = world.ask(world.ada, "list silenced:yes").text
    assert [name for name in ("db", "web") if f"{name} is slow" in silenced] == held
    assert len(cards(world)) == 3 - len(held)
    listed = world.ask(world.ben, "silence list").text
    assert ("upgrade" in words) == ("upgrade" in listed)
    pass_ends(world)
    world.rest()
    assert len(cards(world)) == 3
    if held:
        note = world.ada.wait_for_message(containing=f"Your silence {made} of all alerts")
        assert f"It held back {len(held)} incident" in note.text


def test_only_admins_and_up_start_maintenance(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    for words in ("project:checkout 2h", "2h", ""):
        assert "Only admins, managers and owners" in world.ask(world.ben, f"maintenance {words}").text
    assert "No silences." in world.ask(world.ada, "silence list").text


def set_role(world: World, name: str, role: str) -> None:
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE member SET role = %s WHERE name = %s", (role, name))


def test_silencing_everything_is_for_managers_and_is_confirmed(world: World, deliver: Deliver) -> None:
    set_role(world, "Ben Tal", "admin")
    assert "Only managers and owners" in world.ask(world.ben, "maintenance 2h").text
    asked = world.see(world.ada, "maintenance all 2h moving house")
    assert "every alert of every project" in asked.text
    assert "No silences." in world.ask(world.ada, "silence list").text
    world.ada.press(asked, "Silence everything")
    deliver(Source.EVENTS, alert("db"))
    world.rest()
    assert cards(world) == []
    listed = world.ask(world.ben, "silence list").text
    assert "all alerts" in listed and "moving house" in listed and "holds 1 open incident" in listed


def test_an_admins_maintenance_holds_only_what_they_see(world: World, deliver: Deliver) -> None:
    set_role(world, "Cyn Roe", "admin")
    text = world.ask(world.cyn, "maintenance project:checkout 2h").text
    assert "There is no project “checkout” that you can see." in text
    start(world, world.cyn, "env:production 2h")
    deliver(Source.EVENTS, alert("db", environment="production"))
    card(world, containing="db is slow")
    assert "No open incidents" in world.ask(world.ada, "list silenced:yes").text
    assert "env" not in world.ask(world.ben, "silence list").text


def test_whoever_sees_a_part_ends_it_and_learns_of_that_part_only(world: World, deliver: Deliver) -> None:
    made = start(world, world.ada, "team:payments 2h secret")
    deliver(Source.EVENTS, alert("db"))
    assert "secret" not in world.ask(world.cyn, "silence list").text
    assert f"There is no silence {made}" in world.ask(world.cyn, f"silence end {made}").text
    assert "It held back 1 incident" in world.ask(world.ben, f"silence end {made}").text
    card(world, containing="db is slow")
    assert world.ada.wait_for_message(containing=f"Ben Tal ended your silence {made} of all alerts of team Payments")
    assert "Ben Tal ended the silence" in world.ask(world.ada, "activity 1").text


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("project:checkout", "Say how long"),
        ("project:checkout 90", "has no unit"),
        ("project:checkout 400d", "at most a year"),
        ("project:checkout until:2020-01-01", "has passed"),
        ("project:nope 2h", "There is no project “nope”"),
        ("team:nope 2h", "There is no team “nope”"),
        ("project:checkout project:checkout 2h", "project: can be given only once"),
        ('env:"" 2h', "Nothing follows env:"),
        (f"env:{'x' * 65} 2h", "An environment can have at most 64"),
        ("1 2h", "“1” has no unit"),
        ("2h " + "x" * 301, "A reason can have at most 300"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_silenced(world: World, words: str, answer: str) -> None:
    said = world.ask(world.ada, f"maintenance {words}").text
    assert answer in said
    assert "No silences." in world.ask(world.ada, "silence list").text


def test_the_form_starts_maintenance_and_asks_what_for(world: World, deliver: Deliver) -> None:
    world.ada.command("/incident", "maintenance")
    form = world.ada.wait_for_form("Maintenance")
    assert "Choose a project, a team or an environment" in form.submit().errors["Project"]
    form.choose("Project", "Checkout").fill("Reason", "known")
    late = form.pick("Or until", world.store.clock.now() - timedelta(hours=3))
    assert "That time has passed." in late.submit().errors["Or until"]
    assert form.pick("Or until", world.store.clock.now() + timedelta(hours=3)).submit().closed
    world.ada.wait_for_message(containing="You silenced all alerts of project Checkout")
    deliver(Source.EVENTS, alert("db"))
    world.rest()
    assert cards(world) == []


def test_home_says_which_silences_end_today(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    world.bot.digests.stop(PATIENCE_S)  # it would end the silence before somebody looks
    world.ask(world.ada, "silence 1 1s")
    world.ada.opens_home()
    world.ada.wait_for_home("1 silence ends today")
    world.cyn.opens_home()
    assert "ends today" not in world.cyn.wait_for_home("Acme incidents").text


def test_a_maker_who_lost_sight_is_not_told_of_the_end(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    world.ask(world.ben, "silence 1 2h")
    with world.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM member_team")
    pass_ends(world)
    world.rest()
    assert [one.text for one in world.ben.direct_messages() if "silence" in one.text.lower()] == []
