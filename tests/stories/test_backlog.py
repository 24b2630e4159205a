"""What operators see of storms and silences in the metrics."""

from __future__ import annotations

from bot.intake.tokens import Source
from storage.queries.backlog import Backlog, find_backlog
from tests.stories.conftest import Deliver, World
from tests.stories.test_storms import alerts, wait_for_storm


def read(world: World) -> Backlog:
    with world.store.read() as connection:
        return find_backlog(connection, ["T0001"], world.store.clock.now())


def test_storms_and_silences_and_what_they_hold_are_counted(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 12))
    wait_for_storm(world, "12 new incidents")
    world.rest()
    world.ask(world.ada, "silence 3 2h")
    world.rest()
    found = read(world)
    assert (found.storms, found.folded_incidents) == (1, 7)
    assert (found.silences, found.silenced_incidents) == (1, 1)
    assert not any(waiting.count for waiting in found.delivery.values())
    world.ask(world.ada, "resolve 3")
    world.rest()
    assert (read(world).silences, read(world).silenced_incidents) == (1, 0)
