"""The bot told to stop while people wait for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.stories.conftest import World


def test_everything_that_has_arrived_is_answered_before_it_goes(world: World) -> None:
    world.declare("Payments fail")
    world.rest()
    assert world.bot.socket is not None
    people = [world.ada, world.ben, world.dan, world.sue] * 5
    with ThreadPoolExecutor(len(people)) as pool:
        with world.store.write() as tx:
            tx.exec_driver_sql("LOCK TABLE incident_subscription")  # so that they wait
            asked = len(world.slack.sent)
            answers = [pool.submit(world.ask, person, "subscribe 1") for person in people]
            world.slack.wait_until(lambda: len(world.slack.sent) == asked + len(people))
            stopping = pool.submit(world.bot.socket.close)
        texts = [answer.result().text for answer in answers]
        stopping.result()
    assert all("#1 Payments fail" in text for text in texts)
    assert not world.slack.connections
