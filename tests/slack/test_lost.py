"""The connection to Slack is cut, without a word."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.stories.conftest import World


def test_a_connection_that_is_cut_is_renewed(world: World) -> None:
    world.declare("Payments fail")
    for _ in range(3):
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
