"""Alerts become incidents in front of responders, and end with the alert."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from bot.delivery import service
from bot.intake.http import create_http_app
from bot.intake.server import HttpServer
from bot.intake.tokens import Source, new_token, token_hash
from storage.models import AlertMemory, Organization, Project
from storage.queries.tokens import insert_token
from tests.intake.test_sources import sample
from tests.stories.conftest import World

Deliver = Callable[[Source, Any], httpx.Response]


@pytest.fixture
def intake(world: World) -> Iterator[str]:
    """The address of an intake on the world's database."""
    server = HttpServer(create_http_app(world.store, slack_problem=lambda: None), "127.0.0.1", 0)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def deliver(world: World, intake: str) -> Iterator[Deliver]:
    """Delivers a payload of a source for the project checkout."""
    tokens: dict[Source, str] = {}
    with httpx.Client(base_url=intake, timeout=30) as client:

        def post(source: Source, payload: Any) -> httpx.Response:
            if source not in tokens:
                tokens[source] = token_for_checkout(world, source)
            headers = {"Authorization": f"Bearer {tokens[source]}"}
            return client.post(f"/intake/{source}", json=payload, headers=headers)

        yield post


def token_for_checkout(world: World, source: Source) -> str:
    """A new token for the project checkout."""
    token = new_token()
    with world.store.write() as tx:
        insert_token(
            tx,
            organization_id=tx.scalars(select(Organization.id)).one(),
            project_id=tx.scalars(select(Project.id).where(Project.slug == "checkout")).one(),
            source=source,
            token_hash=token_hash(token),
            secret_encrypted=None,
            now=datetime.now(UTC),
        )
    return token


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
        tx.execute(update(AlertMemory).values(heard=datetime.now(UTC) - timedelta(days=31)))
    deadline = time.monotonic() + 30
    left = 2
    while left > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        with world.store.read() as connection:
            left = connection.scalars(select(func.count()).select_from(AlertMemory)).one()
    deliver(Source.EVENTS, {"dedup_key": "fires", "title": "x", "status": "resolved"})
    assert world.ask(world.ada, "list").text.count("#") == 0
