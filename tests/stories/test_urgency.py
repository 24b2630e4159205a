"""What a channel reads first when more waits than it can take: what people do, and what is critical."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from bot.intake.tokens import Source
from sandbox import SeenMessage
from storage.values import ALL_WORK
from tests.changes import change
from tests.stories.conftest import Deliver, World


def alert(number: int, **more: Any) -> dict[str, Any]:
    return {"dedup_key": f"host-{number}", "title": f"Host {number} is down", "severity": "warning", **more}


def cards(world: World) -> list[SeenMessage]:
    """The cards in the channel, in their order."""
    return [one for one in world.slack.messages(world.cast.checkout) if one.from_app and "#" in one.text]


def titles(world: World) -> list[str]:
    return [one.text.splitlines()[0].split(" ", 2)[2] for one in cards(world)]


@contextmanager
def busy_channel(world: World) -> Iterator[None]:
    """The channel takes nothing meanwhile; then everything that waits is sent."""
    world.declare("An incident from before")
    world.rest()
    _set_next_send(world, timedelta(days=1))
    yield
    world.slack.wait_until(lambda: _is_expanded(world), what="posts of all changes")
    # So long ago that nothing waits for more changes to come.
    change(world.store, "UPDATE post SET due_at = date_added WHERE wanted_version > drawn_version")
    _set_next_send(world, timedelta(0))
    world.bot.delivery.wake(ALL_WORK)
    world.rest()


def _set_next_send(world: World, later: timedelta) -> None:
    change(
        world.store,
        "UPDATE destination SET next_send_at = %(at)s,"
        " due_at = CASE WHEN due_at IS NOT NULL THEN %(at)s::timestamptz END WHERE channel_id = 'C0001'",
        at=world.store.clock.now() + later,
    )


def _is_expanded(world: World) -> bool:
    with world.store.read() as connection:
        return not connection.exec_driver_sql("SELECT EXISTS (SELECT FROM outbox)").scalar_one()


def test_what_people_do_and_what_is_critical_goes_before_the_other_cards(world: World, deliver: Deliver) -> None:
    with busy_channel(world):
        deliver(Source.EVENTS, [alert(number) for number in range(1, 5)])
        deliver(Source.EVENTS, alert(7, severity="critical"))
        world.declare("Payments fail")
        world.ask(world.ben, "comment 4 I am on it")
        world.slack.wait_until(lambda: _is_expanded(world), what="posts of all changes")
    first, *later = titles(world)[1:4], titles(world)[4:]
    assert set(first) == {"Host 7 is down", "Payments fail", "Host 3 is down"}
    assert later == [[f"Host {number} is down" for number in (1, 2, 4)]]


def test_an_alert_that_becomes_critical_while_its_card_waits_goes_first(world: World, deliver: Deliver) -> None:
    with busy_channel(world):
        deliver(Source.EVENTS, [alert(number) for number in range(1, 5)])
        world.slack.wait_until(lambda: _is_expanded(world), what="posts of all changes")
        deliver(Source.EVENTS, alert(4, severity="critical"))
    assert titles(world)[1:] == [f"Host {number} is down" for number in (4, 1, 2, 3)]


def test_changes_of_cards_go_before_new_cards(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert(1))
    world.rest()
    with busy_channel(world):
        deliver(Source.EVENTS, [alert(number) for number in range(2, 5)])
        world.slack.wait_until(lambda: _is_expanded(world), what="posts of all changes")
        deliver(Source.EVENTS, alert(1, title="Host 1 is on fire"))
        world.slack.wait_until(lambda: _is_expanded(world), what="posts of all changes")
        traffic = world.slack.platform.deliveries.traffic
        traffic.clear()
    calls = [one.name for one in traffic if one.kind == "web_api" and one.name in ("chat.update", "chat.postMessage")]
    assert calls == ["chat.update", "chat.postMessage", "chat.postMessage", "chat.postMessage"]


def test_an_incident_that_is_over_before_its_card_is_posted_gets_none(world: World, deliver: Deliver) -> None:
    with busy_channel(world):
        deliver(Source.EVENTS, [alert(number) for number in range(1, 4)])
        world.ask(world.ben, "comment 3 it is the switch")
        world.slack.wait_until(lambda: _is_expanded(world), what="posts of all changes")
        deliver(Source.EVENTS, [alert(number, status="resolved") for number in (1, 2)])
    assert titles(world)[1:] == ["Host 3 is down"]
    assert "#3 Host 2 is down" in world.ask(world.ada, "list closed").text
    # When it fires again, it gets its card.
    deliver(Source.EVENTS, alert(2))
    world.slack.wait_until(lambda: "Host 2 is down" in titles(world), what="the card")
    world.rest()
    (reopened,) = [one for one in cards(world) if "Host 2 is down" in one.text]
    assert reopened.buttons == ["Acknowledge", "Take it", "Resolve"]


def test_a_comment_on_an_incident_without_a_card_waits_for_none(world: World) -> None:
    with busy_channel(world):
        world.declare("Payments fail")
        world.ask(world.ben, "comment 2 the replica lags")
        world.ask(world.ben, "resolve 2 failed over")
    assert titles(world) == ["An incident from before"]
    world.ask(world.ada, "reopen 2")
    world.slack.wait_until(lambda: "Payments fail" in titles(world), what="the card")
    world.rest()
