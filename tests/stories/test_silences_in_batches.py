"""Silences that match more open incidents than one transaction holds or releases: none is lost, none is done twice."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from sqlalchemy import Connection

from bot.digests import silence_ends
from bot.digests.silence_ends import hold_more, release_more
from bot.intake.tokens import Source
from sandbox import Person
from storage.errors import Contended
from storage.queries import silence_holding
from storage.values import Work
from tests.patience import PATIENCE_S
from tests.storage.test_at_once import at_once
from tests.stories.conftest import Deliver, World
from tests.stories.test_calls import calls_of, make_calls, night, oncall, pass_by  # noqa: F401 - fixtures
from tests.stories.test_cards import cards
from tests.stories.test_maintenance import alert, start
from tests.stories.test_silences import pass_ends

MANY = [alert(f"db{number}") for number in range(5)]


@pytest.fixture(autouse=True)
def small_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two incidents in a batch, and no worker that goes on by itself: as if its process had died."""
    monkeypatch.setattr(silence_holding, "BATCH", 2)
    world.bot.digests.stop(PATIENCE_S)


def go_on(world: World) -> bool:
    """One replica does some of what is left. Returns whether there may be more."""
    now = world.store.clock.now()
    return any([hold_more(world.store, now), release_more(world.store, now)])


def finish(world: World) -> None:
    """Several replicas go on where another one stopped."""
    at_once(lambda _: go_on(world), 4)
    while go_on(world):
        pass
    world.rest()


def count_entries(world: World, text: str) -> int:
    return sum(world.ask(world.ada, f"activity {number}").text.count(text) for number in range(1, len(MANY) + 1))


def list_silenced(world: World) -> int:
    return len(re.findall(r"is slow", world.ask(world.ada, "list silenced:yes").text))


def test_a_silence_holds_all_that_it_matches_batch_by_batch(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, MANY)
    world.rest()
    made = world.ask(world.ada, "maintenance project:checkout 2h").text
    assert "It holds 2 open incidents so far, and I am going through the rest now." in made
    assert "holds 2 open incidents so far" in world.ask(world.ada, "silence list").text
    assert list_silenced(world) == 2
    deliver(Source.EVENTS, alert("new"))  # it finds the silence by itself
    assert list_silenced(world) == 3
    finish(world)
    listed = world.ask(world.ada, "silence list").text
    assert "holds 6 open incidents" in listed and "so far" not in listed
    assert count_entries(world, "silenced its alert") == len(MANY), world.ask(world.ada, "activity 1").text


@pytest.mark.parametrize("by", ["its time", "its maker", "somebody else"])
def test_a_silence_releases_all_that_it_holds_batch_by_batch(world: World, deliver: Deliver, by: str) -> None:
    made = start(world, world.ada, "project:checkout 2h")
    deliver(Source.EVENTS, MANY)
    world.rest()
    person: Person = world.ben if by == "somebody else" else world.ada
    if by == "its time":
        pass_ends(world)
    else:
        assert "I am going through the incidents that it held" in world.ask(person, f"silence end {made}").text
    assert "No silences." in world.ask(world.ada, "silence list").text
    assert list_silenced(world) == 3  # these are held until they are released
    world.rest()
    assert len(cards(world)) == 2
    assert not [one for one in world.ada.direct_messages() if "silence" in one.text]
    finish(world)
    assert len(cards(world)) == len(MANY)
    assert count_entries(world, "silence ended") + count_entries(world, "ended the silence") == len(MANY)
    lead = f"Ben Tal ended your silence {made}" if by == "somebody else" else f"Your silence {made}"
    (note,) = (one.text for one in world.ada.direct_messages() if "silence" in one.text)
    assert (
        note.startswith(lead)
        and "It held back 5 incidents, which are all still open. Their cards are posted now." in note
    )


def test_silences_that_cannot_hold_more_keep_no_other_from_releasing(
    world: World, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(world, world.ada, "project:checkout 2h")
    deliver(Source.EVENTS, MANY)
    pass_ends(world)
    assert list_silenced(world) == 3

    def hold(tx: Connection, now: datetime) -> bool:  # noqa: ARG001 - somebody holds a lock that it needs
        raise Contended

    monkeypatch.setattr(silence_ends, "go_on_holding", hold)
    with pytest.raises(Contended):
        world.bot.digests.tick(Work.SILENCES)
    assert list_silenced(world) == 0


def test_what_another_silence_matches_stays_held(world: World, deliver: Deliver) -> None:
    other = start(world, world.ada, "env:production 3h")
    made = start(world, world.ada, "project:checkout 2h")
    deliver(Source.EVENTS, [{**one, "environment": "production"} for one in MANY])
    with world.store.write() as tx:  # it was made last, so it would hold them if it had come to its batches
        tx.exec_driver_sql("UPDATE incident SET silence_id = %(id)s", {"id": made})
    pass_ends(world, made)
    assert list_silenced(world) == len(MANY)
    finish(world)
    assert list_silenced(world) == len(MANY) and cards(world) == []
    note = world.ada.wait_for_message(containing=f"Your silence {made}").text
    assert "It held back no cards." in note and f"Silence {other} keeps some" in note


def test_a_silence_that_is_ended_before_it_holds_all_holds_no_more(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, MANY)
    world.rest()
    made = start(world, world.ada, "project:checkout 2h")
    assert f"You ended silence {made}." in world.ask(world.ada, f"silence end {made}").text
    finish(world)
    assert list_silenced(world) == 0
    assert count_entries(world, "silenced its alert") == 2


def test_a_silence_that_the_version_before_ended_keeps_no_other_from_holding(world: World, deliver: Deliver) -> None:
    """That version does not know that the silence was still to be compared with incidents."""
    deliver(Source.EVENTS, MANY)
    world.rest()
    made = start(world, world.ada, "project:checkout 2h")
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE silence SET date_ended = now() WHERE id = %(id)s", {"id": made})
    start(world, world.ada, "project:checkout 1h")
    batches = len(MANY) * 2
    assert not all(go_on(world) for _ in range(batches))
    assert list_silenced(world) == len(MANY)


@pytest.mark.usefixtures("oncall")
def test_nobody_is_called_for_what_a_silence_has_yet_to_hold(night: World, deliver: Deliver) -> None:  # noqa: F811
    deliver(Source.EVENTS, [{**one, "severity": "critical"} for one in MANY])
    make_calls(night)
    before = len(calls_of(night.ada))
    assert "so far" in night.ask(night.sue, "maintenance project:checkout 2h").text
    pass_by(night, 60)
    assert len(calls_of(night.ada)) == before == 0
    assert "Silenced until" in night.seen_by(night.ada, 5)
