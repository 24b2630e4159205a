"""Alerts become incidents in front of responders, and end with the alert."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from bot.delivery import service
from bot.intake.tokens import Source
from storage.models import AlertMemory
from tests.intake.test_sources import sample
from tests.stories.conftest import Deliver, World


def test_an_alert_is_listed_viewed_and_ends(world: World, deliver: Deliver) -> None:
    deliveries = sample("alertmanager")
    deliver(Source.ALERTMANAGER, deliveries[0])
    assert "#1 DiskFull (device=/dev/sda1, instance=db1:9100)" in world.ask(world.ben, "list critical").text
    shown = world.ask(world.ada, "view 1")
    for fact in ("Critical", "checkout", "Payments", "production", "alertmanager", "Runbook", "Silence"):
        assert fact in shown.text, fact
    assert "Opened by an alert" in shown.text
    assert "#1" not in world.ask(world.cyn, "list").text
    deliver(Source.ALERTMANAGER, deliveries[2])
    assert "Resolved" in world.ask(world.ada, "view 1").text
    assert "#1" not in world.ask(world.ada, "list").text


def test_what_grafana_measured_is_shown(world: World, deliver: Deliver) -> None:
    (delivery,) = sample("grafana")
    deliver(Source.GRAFANA, delivery)
    assert "Values B = 44.2394, C = 1" in world.ask(world.ada, "view 1").text


def test_text_of_an_alert_calls_nobody_and_draws_no_link(world: World, deliver: Deliver) -> None:
    title = "<!channel> <https://evil.test|click> &amp; <@U0001>"
    deliver(Source.EVENTS, {"dedup_key": "x", "title": title, "environment": "<!here>"})
    assert title in world.ask(world.ada, "view 1").text
    assert title in world.ask(world.ada, "list").text


def test_what_a_person_resolves_stays_resolved_while_the_alert_goes_on(world: World, deliver: Deliver) -> None:
    first = sample("alertmanager")[0]
    deliver(Source.ALERTMANAGER, first)
    world.ask(world.ada, "resolve 1 not ours")
    deliver(Source.ALERTMANAGER, first)
    assert "Resolved" in world.ask(world.ada, "view 1").text
    assert "#2" not in world.ask(world.ada, "list all").text


@pytest.fixture
def often_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivery cleans up all the time, and not every ten minutes."""
    monkeypatch.setattr(service, "_CLEAN_EVERY_S", 0.05)


def test_what_alerts_said_is_cleaned_up_in_the_end(often_cleaned: None, world: World, deliver: Deliver) -> None:  # noqa: ARG001
    deliver(Source.EVENTS, [{"dedup_key": key, "title": "x"} for key in ("over", "fires")])
    deliver(Source.EVENTS, {"dedup_key": "over", "title": "x", "status": "resolved"})
    with world.store.write() as tx:
        tx.execute(update(AlertMemory).values(heard=world.store.clock.now() - timedelta(days=31)))
    deadline = time.monotonic() + 30
    left = 2
    while left > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        with world.store.read() as connection:
            left = connection.scalars(select(func.count()).select_from(AlertMemory)).one()
    deliver(Source.EVENTS, {"dedup_key": "fires", "title": "x", "status": "resolved"})
    assert world.ask(world.ada, "list").text.count("#") == 0
