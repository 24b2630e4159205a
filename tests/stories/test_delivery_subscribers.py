"""Who follows an incident is told of what others do on it, and may choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from storage.values import ALL_WORK
from tests.changes import change
from tests.stories.conftest import ORGANIZATION, World


@contextmanager
def nothing_sent(world: World) -> Iterator[None]:
    """What people are told meanwhile reaches them together, however long typing it takes. They have got one before."""

    def set_next_send(later: timedelta) -> None:
        change(
            world.store,
            "UPDATE destination SET next_send_at = %(at)s,"
            " due_at = CASE WHEN due_at IS NOT NULL THEN %(at)s::timestamptz END WHERE member_id IS NOT NULL",
            at=world.store.clock.now() + later,
        )

    world.rest()
    set_next_send(timedelta(days=1))
    yield
    world.wait_until_expanded()
    set_next_send(timedelta(0))
    world.bot.delivery.wake(ALL_WORK)


def test_followers_are_told_of_comments_and_changes_that_are_not_their_own(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.ben, "subscribe 1")
    world.ask(world.ada, "comment 1 looking")
    world.ben.wait_for_message(containing="Ada Obi commented on #1 Payments fail with 502")
    world.ask(world.ben, "resolve 1 rolled back")
    told = world.ada.wait_for_message(containing="Ben Tal resolved #1 Payments fail with 502")
    assert "rolled back" in told.text
    world.rest()
    assert len(world.ben.direct_messages()) == 1 and len(world.ada.direct_messages()) == 1


def test_several_events_within_seconds_are_one_message(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.ada, "comment 1 @ben look")
    with nothing_sent(world):
        world.ask(world.ada, "comment 1 one")
        world.ask(world.ada, "severity 1 critical")
        world.ask(world.ada, "comment 1 two")
    told = world.ben.wait_for_message(containing="two")
    assert "3 updates on #1" in told.text and "one" in told.text
    assert "Ada Obi changed the severity from None to Critical" in told.text
    world.rest()
    assert len(world.ben.direct_messages()) == 2


def test_a_mention_does_not_wait_and_takes_along_what_does(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.ada, "comment 1 @ben look")
    with nothing_sent(world):
        world.ask(world.ada, "comment 1 one")
        world.ask(world.ada, "comment 1 @ben two")
    told = world.ben.wait_for_message(containing="two")
    assert "2 updates on #1" in told.text and "Ada Obi mentioned you" in told.text and "one" in told.text
    world.rest()
    assert len(world.ben.direct_messages()) == 2


def test_people_choose_what_they_are_told(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.ben, "subscribe 1")
    assert "all" in world.ask(world.ben, "notify").text
    world.ask(world.ben, "notify mentions")
    world.ask(world.ada, "comment 1 nobody in particular")
    world.ask(world.ada, "comment 1 @ben you")
    world.ben.wait_for_message(containing="you")
    world.ask(world.ben, "notify NONE")
    world.ask(world.ada, "comment 1 @ben not any more")
    world.rest()
    assert len(world.ben.direct_messages()) == 1 and "nobody in particular" not in world.ben.direct_messages()[0].text
    assert "Did you mean /incident notify mentions?" in world.ask(world.ben, "notify mention").text


def test_who_unsubscribes_is_not_told(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.ben, "subscribe 1")
    world.ask(world.ben, "unsubscribe 1")
    world.ask(world.ada, "comment 1 looking")
    world.rest()
    assert not world.ben.direct_messages()


def test_who_lost_access_is_unsubscribed_instead_of_told(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.ben, "subscribe 1")
    moved = ORGANIZATION.replace(
        "name: Ben Tal, role: member, teams: [payments]", "name: Ben Tal, role: member, teams: [search]"
    )
    world.apply(moved, prune=True)
    world.ask(world.ada, "comment 1 secret")
    world.rest()
    assert not world.ben.direct_messages()
    world.apply(ORGANIZATION, prune=True)
    world.ask(world.ada, "comment 1 open again")
    world.rest()
    assert not world.ben.direct_messages()


def test_a_comment_that_is_deleted_before_it_is_sent_is_not_sent(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.ben, "subscribe 1")
    world.ask(world.ada, "comment 1 oops")
    world.ada.press(world.see(world.ada, "activity 1"), "Delete")
    world.rest()
    assert not world.ben.direct_messages()
