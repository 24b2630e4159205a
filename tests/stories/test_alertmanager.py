"""The real Alertmanager on loopback: what Prometheus tells it reaches the responders, and ends for them too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.intake.tokens import Source
from storage.engine import Store
from tests.clock import store_at_the_machines_date
from tests.intake import alertmanager
from tests.patience import PATIENCE_S
from tests.stories.conftest import World, token_for_checkout
from tests.stories.test_cards import cards


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """At the machine's date, which Alertmanager goes by as well."""
    opened = store_at_the_machines_date(database_url)
    yield opened
    opened.close()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_alert_that_the_real_alertmanager_lost_and_found_is_open_again(
    world: World, intake: str, tmp_path: Path
) -> None:
    token = token_for_checkout(world, Source.ALERTMANAGER)
    receiver = f"{intake}/intake/alertmanager"
    with alertmanager.running(alertmanager.required(), tmp_path, receiver, token) as prometheus:
        began = world.store.clock.now() - timedelta(minutes=1)

        def tell(for_seconds: float) -> None:
            prometheus.tell("HostDown", began, world.store.clock.now() + timedelta(seconds=for_seconds), instance="db1")

        tell(5)  # and then Prometheus is not heard of: Alertmanager ends it by itself
        _until(lambda: "Resolved" in world.ask(world.ada, "list closed").text)
        tell(240)  # it never stopped, so its start is what it was
        _until(lambda: "#1 HostDown (instance=db1)" in world.ask(world.ada, "list").text)


def test_the_real_alertmanager_opens_changes_and_closes_incidents(
    world: World,
    intake: str,
    tmp_path: Path,
) -> None:
    program = alertmanager.required()
    token = token_for_checkout(world, Source.ALERTMANAGER)
    began = world.store.clock.now() - timedelta(minutes=2)

    def listed(words: str, *titles: str) -> None:
        def shows() -> bool:
            text = world.ask(world.ben, words).text
            return all(title in text for title in titles) and text.count("DiskFull") == len(titles)

        _until(shows)

    with alertmanager.running(program, tmp_path, f"{intake}/intake/alertmanager", token) as prometheus:
        prometheus.tell("DiskFull", began, instance="db1", severity="critical")
        listed("list critical", "#1 DiskFull (instance=db1)")
        prometheus.tell("DiskFull", began, instance="db2", severity="warning")
        listed("list", "#1 DiskFull (instance=db1)", "#2 DiskFull (instance=db2)")
        world.rest()
        assert [("Critical" in card.text) for card in cards(world)] == [True, False]

        prometheus.tell("DiskFull", began, world.store.clock.now(), instance="db1", severity="critical")
        listed("list", "#2 DiskFull (instance=db2)")
        assert "Resolved" in world.seen_by(world.ada, 1)
        prometheus.tell("DiskFull", world.store.clock.now(), instance="db1", severity="critical")
        listed("list critical", "#1 DiskFull (instance=db1)")

        # The next notification of the group holds db2 too, which a person has resolved: it stays so.
        world.ask(world.ada, "resolve 2 it is only a warning")
        prometheus.tell("DiskFull", began, world.store.clock.now(), instance="db1", severity="critical")
        listed("list")
        assert world.ask(world.ben, "list all").text.count("DiskFull") == 2
