"""The connection to Slack is cut, hung up or renewed: another is opened at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.slack import connections
from sandbox import Person
from tests.patience import PATIENCE_S
from tests.stories.conftest import WITH_AND_WITHOUT_TLS, World

pytestmark = WITH_AND_WITHOUT_TLS


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the end of the old connection tells that there must be another."""
    monkeypatch.setattr(connections, "PING_INTERVAL_S", 3600.0)


@pytest.mark.parametrize("how", ["drop_sockets", "hang_up", "refresh_sockets"])
def test_a_connection_that_ends_is_renewed(world: World, how: str) -> None:
    world.declare("Payments fail")
    world.rest()  # what is on its way when a socket is cut off is lost, and nobody's fault
    for _ in range(3):
        getattr(world.slack, how)()
        world.slack.wait_until_connected()
        assert "#1 Payments fail" in world.ask(world.ada, "list").text


def test_it_goes_on_trying_while_slack_refuses(world: World) -> None:
    world.declare("Payments fail")
    world.rest()
    world.slack.faults.fail("apps.connections.open", times=2)
    world.slack.drop_sockets()
    world.slack.wait_until_connected()
    assert "#1 Payments fail" in world.ask(world.ada, "list").text


def test_an_answer_finds_its_way_by_the_next_connection(world: World) -> None:
    world.declare("Payments fail")
    world.rest()
    with ThreadPoolExecutor(1) as pool:
        with world.nobody_writes("incident_subscription"):  # so that it waits
            answer = pool.submit(world.ask, world.ben, "subscribe 1")
            world.wait_for_blocked()
            world.slack.drop_sockets()
            world.slack.wait_until_connected()
        assert "#1 Payments fail" in answer.result().text


def test_when_slack_warns_the_next_connection_opens_while_the_old_one_goes_on(world: World) -> None:
    """Several people ask all the while, by whichever connection: everybody is answered, once."""
    world.declare("Payments fail")
    world.rest()
    people = (world.ada, world.ben, world.dan, world.sue)
    opened = len(world.slack.calls("apps.connections.open"))
    warned, asked = threading.Event(), threading.Semaphore(0)

    def asks(person: Person) -> list[str]:
        texts = []
        while not warned.is_set():
            texts.append(world.ask(person, "view 1").text)
            asked.release()
        return [*texts, *(world.ask(person, "view 1").text for _ in range(5))]

    with ThreadPoolExecutor(len(people)) as pool:
        asking = [pool.submit(asks, person) for person in people]
        for _ in people:
            asked.acquire(timeout=PATIENCE_S)
        world.slack.warn_sockets()
        world.slack.wait_until_connected(2)  # the sandbox leaves the old one open
        warned.set()
        texts = [text for one in asking for text in one.result()]
    assert all("Payments fail" in text for text in texts)
    assert len(world.slack.calls("apps.connections.open")) == opened + 1
    world.slack.refresh_sockets()
    world.slack.wait_until(lambda: world.slack.connections == 1, PATIENCE_S, "one connection in place of both")


def test_many_people_at_once_are_all_answered_by_one_connection(world: World) -> None:
    world.declare("Payments fail")
    world.rest()
    people = [world.ada, world.ben, world.dan, world.sue] * 2
    opened = len(world.slack.calls("apps.connections.open"))

    def asks(person: Person) -> list[str]:
        return [world.ask(person, "list").text for _ in range(25)]

    with ThreadPoolExecutor(len(people)) as pool:
        texts = [text for answers in pool.map(asks, people) for text in answers]
    assert all("#1 Payments fail" in text for text in texts)
    assert len(world.slack.calls("apps.connections.open")) == opened
