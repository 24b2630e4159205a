"""The bot told to stop while people wait for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from bot.slack.connections import Message, WebSocket
from storage.values import ALL_WORK
from tests.patience import PATIENCE_S
from tests.stories.conftest import World


def test_everything_that_has_arrived_is_answered_before_it_goes(world: World) -> None:
    world.declare("Payments fail")
    world.rest()
    assert world.bot.socket is not None
    connections, arrived = world.bot.socket.connections, list[Message]()
    take = connections._on_message

    def taken(socket: WebSocket, message: Message) -> None:
        take(socket, message)
        if message["type"] == "slash_commands":  # events come again that were on their way over the old connection
            arrived.append(message)

    connections._on_message = taken
    world.slack.drop_sockets()  # the next one is read this way
    world.slack.wait_until_connected()
    people = [world.ada, world.ben, world.dan, world.sue] * 5
    with ThreadPoolExecutor(len(people)) as pool:
        with world.nobody_writes("incident_subscription"):  # so that they wait
            answers = [pool.submit(world.ask, person, "subscribe 1") for person in people]
            world.slack.wait_until(lambda: len(arrived) == len(people))
            stopping = pool.submit(world.bot.socket.close, PATIENCE_S)
        texts = [answer.result().text for answer in answers]
        stopping.result()
    assert all("#1 Payments fail" in text for text in texts)
    world.slack.wait_until(lambda: not world.slack.connections, what="the socket's end")


def test_delivery_told_to_stop_at_the_worst_moment_does(world: World) -> None:
    """Between being woken and noting that it has been: what woke it, and what stops it, must not be taken for one."""
    delivery = world.bot.delivery

    class Awkward(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            found = super().wait(timeout)
            delivery.begin_nothing()
            return found

    woken, delivery._others._woken = delivery._others._woken, Awkward()
    notifier = next(one.thread for one in delivery._workers if one.thread.name == "delivery-notifier")
    woken.set()

    def has_ended() -> bool:
        delivery._others.wake(ALL_WORK)  # the first only has it wait at the awkward place
        return not notifier.is_alive()

    world.slack.wait_until(has_ended, what="the notifier's end")
