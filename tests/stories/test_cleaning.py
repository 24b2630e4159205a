"""What delivery forgets, now and then, and what it must not."""

from __future__ import annotations

from datetime import timedelta

from bot.delivery.service import KEPT_FOR
from storage.queries import once
from tests.stories.conftest import World
from tests.stories.test_cards import card, cards


def kinds(world: World) -> dict[str, int]:
    """How many posts of each kind are remembered."""
    with world.store.read() as connection:
        found: dict[str, int] = dict(connection.exec_driver_sql("SELECT kind, count(*) FROM post GROUP BY kind").all())
    return found


def test_what_was_sent_long_ago_is_forgotten_and_what_is_shown_is_kept(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ada, "comment 1 @ben look")
    world.rest()
    remembered = kinds(world)
    assert remembered == {"card": 1, "mirror": 1, "notification": 1}
    now = world.store.clock.now()
    world.bot.delivery.clean_up(now + KEPT_FOR - timedelta(minutes=1))
    assert kinds(world) == remembered
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE post SET date_added = date_added - interval '1 year'")
    world.slack.faults.rate_limit("chat.postMessage", retry_after=2)
    world.ask(world.ada, "comment 1 @sue and you")
    world.slack.wait_until(lambda: kinds(world).get("notification") == 3)  # Ben's too
    world.bot.delivery.clean_up(now + KEPT_FOR + timedelta(minutes=1))
    world.rest()
    assert [("look" in m.text, "and you" in m.text) for m in world.ben.direct_messages()] == [
        (True, False),
        (False, True),
    ]
    assert len(world.sue.direct_messages()) == 1
    # What is shown follows what happens next, in its place.
    world.ask(world.ada, "resolve 1 done")
    card(world).wait_for(lambda m: "· Resolved" in m.text)
    world.rest()
    assert len(cards(world)) == 1
    assert len(card(world).thread) == 3


def test_forms_and_events_are_remembered_for_as_long_as_they_may_come_again(world: World) -> None:
    def first(key: str) -> bool:
        with world.store.write() as tx:
            return once.first_time(tx, "T0001", key, world.store.clock.now())

    assert first("a form")
    now = world.store.clock.now()
    world.bot.delivery.clean_up(now + once.KEPT_FOR - timedelta(minutes=1))
    assert not first("a form")
    world.bot.delivery.clean_up(now + once.KEPT_FOR + timedelta(minutes=1))
    assert first("a form")


def test_a_channel_that_opened_unheard_is_tried_again(world: World) -> None:
    world.slack.archive(world.cast.checkout)
    world.slack.settle()
    world.ask(world.ada, "declare project:checkout Payments fail", channel=world.cast.random)
    world.rest()
    with world.slack.events_held() as held:
        world.slack.unarchive(world.cast.checkout)
        held.release([])  # lost
    world.bot.delivery.clean_up(world.store.clock.now())
    world.rest()
    assert not cards(world)
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE destination SET failed_at = failed_at - interval '1 hour'")
    world.bot.delivery.clean_up(world.store.clock.now())
    world.rest()
    assert len(cards(world)) == 1
