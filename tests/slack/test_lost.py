"""The connection to Slack is cut, hung up or renewed: another is opened at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.slack import socket
from tests.stories.conftest import World


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the end of the old connection tells that there must be another."""
    monkeypatch.setattr(socket, "PING_EVERY_S", 3600.0)


@pytest.mark.parametrize("how", ["drop_sockets", "hang_up", "refresh_sockets"])
def test_a_connection_that_ends_is_renewed(world: World, how: str) -> None:
    world.declare("Payments fail")
    for _ in range(3):
        getattr(world.slack, how)()
        world.slack.wait_until_connected()
        assert "#1 Payments fail" in world.ask(world.ada, "list").text


def test_it_goes_on_trying_while_slack_refuses(world: World) -> None:
    world.declare("Payments fail")
    world.slack.faults.fail("apps.connections.open", times=2)
    world.slack.drop_sockets()
    world.slack.wait_until_connected()
    assert "#1 Payments fail" in world.ask(world.ada, "list").text


def test_an_answer_finds_its_way_by_the_next_connection(world: World) -> None:
    world.declare("Payments fail")
    world.rest()
    with ThreadPoolExecutor(1) as pool:
        with world.store.write() as tx:
            tx.exec_driver_sql("LOCK TABLE incident_subscription")  # so that it waits
            answer = pool.submit(world.ask, world.ben, "subscribe 1")
            world.wait_for_blocked()
            world.slack.drop_sockets()
            world.slack.wait_until_connected()
        assert "#1 Payments fail" in answer.result().text
