"""Alerts become incidents in front of responders, and end with the alert."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bot.delivery import service
from bot.intake.tokens import Source
from storage.models import AlertMemory
from tests.intake.test_lenient import group
from tests.intake.test_sources import sample
from tests.patience import PATIENCE_S
from tests.stories.conftest import Deliver, World
from tests.stories.test_cards import card, cards


def test_an_alert_is_listed_viewed_and_ends(world: World, deliver: Deliver) -> None:
    deliveries = sample("alertmanager")
    deliver(Source.ALERTMANAGER, deliveries[0])
    assert "#1 DiskFull (device=/dev/sda1, instance=db1:9100)" in world.ask(world.ben, "list critical").text
    shown = world.ask(world.ada, "view 1")
    for fact in ("Critical", "Checkout", "Payments", "production", "Source", "Runbook", "Silence"):
        assert fact in shown.text, fact
    assert "An alert opened this" in shown.text
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


def test_every_label_description_and_link_of_an_event_is_shown(world: World, deliver: Deliver) -> None:
    event = {
        "dedup_key": "x",
        "description": "queue grows <!here>",
        "labels": {f"label{number}": f"value{number}" for number in range(25)},
        "links": {f"Link {number}": f"https://h/{number}/" + "x" * 1500 for number in range(5)},
    }
    deliver(Source.EVENTS, event)
    shown = world.ask(world.ada, "view 1").text
    assert "queue grows <!here>" in shown
    assert all(f"label{number} value{number}" in shown for number in range(25))
    assert all(f"Link {number}" in shown for number in range(5))


def notification(status: str, began: datetime, summary: str = "db1 is down") -> dict[str, Any]:
    """What Alertmanager sends of one alert."""
    delivery = group(status, annotations={"summary": summary}, startsAt=began.isoformat())
    if status == "resolved":
        delivery["alerts"][0]["endsAt"] = (began + timedelta(minutes=29)).isoformat()
    return delivery


def test_an_alert_that_fires_again_with_its_first_start_is_open_again(world: World, deliver: Deliver) -> None:
    began = world.store.clock.now() - timedelta(minutes=30)
    for status, card_says in (
        ("firing", "Critical ·"),
        ("resolved", "Resolved by its alert"),
        ("firing", "Critical ·"),
    ):
        answer = deliver(Source.ALERTMANAGER, notification(status, began))
        assert answer.json() == {"accepted": [1], "errors": []}
        card(world).wait_for(lambda m, says=card_says: says in m.text)  # type: ignore[misc]
    world.rest()
    assert len(cards(world)) == 1
    assert "#1 db1 is down" in world.ask(world.ada, "list critical").text


def test_an_alert_told_again_with_other_words_changes_its_card_and_bothers_nobody(
    world: World, deliver: Deliver
) -> None:
    began = world.store.clock.now() - timedelta(minutes=30)
    deliver(Source.ALERTMANAGER, notification("firing", began, "disk is 91 % full"))
    posted = card(world)
    world.ask(world.ben, "subscribe 1")
    world.rest()
    activity, direct = world.ask(world.ada, "activity 1").text, len(world.ben.direct_messages())
    deliver(Source.ALERTMANAGER, notification("firing", began, "disk is 99 % full"))
    posted.wait_for(lambda m: "#1 disk is 99 % full" in m.text)
    assert "disk is 99 % full" in world.ask(world.ada, "view 1").text
    assert "disk is 99 % full" in world.ask(world.ada, "list 99").text
    world.rest()
    assert world.ask(world.ada, "activity 1").text == activity.replace("91 %", "99 %")
    assert len(world.ben.direct_messages()) == direct
    assert len(cards(world)) == 1
    updates = len(world.slack.calls("chat.update"))
    deliver(Source.ALERTMANAGER, notification("firing", began, "disk is 99 % full"))
    world.rest()
    assert len(world.slack.calls("chat.update")) == updates, "the same words change nothing"


def test_an_alert_told_again_with_other_values_and_links_changes_card_and_view(world: World, deliver: Deliver) -> None:
    began = world.store.clock.now() - timedelta(minutes=30)
    first = notification("firing", began, "disk is 91 % full")
    deliver(Source.ALERTMANAGER, first)
    posted = card(world)
    assert "Runbook" not in posted.text
    runbook = {
        "summary": "disk is 99 % full",
        "description": "/data grows",
        "runbook_url": "https://runbooks.test/disk",
    }
    second = group(annotations=runbook, labels={"environment": "production"}, startsAt=began.isoformat())
    deliver(Source.ALERTMANAGER, second)
    posted.wait_for(lambda m: "#1 disk is 99 % full" in m.text)
    for shown in (posted, world.view(world.ada, 1)):
        assert "/data grows" in shown.text and "production" in shown.text
        assert "<https://runbooks.test/disk|Runbook>" in shown.markup


@pytest.fixture
def often_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivery cleans up all the time, and not every ten minutes."""
    monkeypatch.setattr(service, "_CLEAN_EVERY_S", 0.05)


def test_what_alerts_said_is_cleaned_up_in_the_end(often_cleaned: None, world: World, deliver: Deliver) -> None:  # noqa: ARG001
    deliver(Source.EVENTS, [{"dedup_key": key, "title": "x"} for key in ("over", "fires")])
    deliver(Source.EVENTS, {"dedup_key": "over", "title": "x", "status": "resolved"})
    with world.store.write() as tx:
        tx.execute(update(AlertMemory).values(heard=world.store.clock.now() - timedelta(days=31)))
    deadline = time.monotonic() + PATIENCE_S
    left = 2
    while left > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        with world.store.read() as connection:
            left = connection.scalars(select(func.count()).select_from(AlertMemory)).one()
    deliver(Source.EVENTS, {"dedup_key": "fires", "title": "x", "status": "resolved"})
    assert world.ask(world.ada, "list").text.count("#") == 0
