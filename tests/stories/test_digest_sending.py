"""A digest that waits at Slack's pace shows, when it is sent, what may be shown then; or it is not sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.stories.conftest import ORGANIZATION, World
from tests.stories.test_digests import add, change, posted, state, time_comes, wait_for_post

WITH_ADMIN = ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin")
WITHOUT_TEAMS = WITH_ADMIN.replace("role: admin, teams: [payments]", "role: admin, teams: []")
WITHOUT_BEN = "\n".join(line for line in ORGANIZATION.splitlines() if "Ben Tal" not in line)
SWITCHED_OFF = WITH_ADMIN.replace("[T0001]}", "[T0001], incidents: false}")


@contextmanager
def waiting(world: World, digest_id: int) -> Iterator[None]:
    """Meanwhile the digest is with delivery, and Slack asks for patience."""
    patience = world.slack.faults.rate_limit("chat.postMessage", retry_after=1, times=None)
    time_comes(world, digest_id)
    world.slack.wait_until(lambda: patience.hits > 0, what="a first try")
    assert state(world, digest_id) == ["posted"]
    yield
    world.slack.faults.remove(patience)


def bens_digest(world: World) -> int:
    world.apply(WITH_ADMIN)
    world.declare("Payments fail with 502")
    world.rest()
    return add(world, '"hourly" picture:no', by=world.ben, channel=world.cast.random)[0]


def pause(world: World, digest_id: int) -> None:
    assert "You paused" in world.ask(world.ben, f"digest pause {digest_id}").text


def too_late(world: World, _digest_id: int) -> None:
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE digest_fire SET fire_at = fire_at - interval '31 minutes'")


def elsewhere(world: World, digest_id: int) -> None:
    change(world.store, digest_id, channel_id=world.cast.catalogue.id)


@pytest.mark.parametrize(
    ("act", "ends"),
    [
        (lambda world, _: world.apply(SWITCHED_OFF), "silent"),
        (lambda world, _: world.apply(WITHOUT_TEAMS, prune=True), "stopped"),
        (lambda world, _: world.apply(WITHOUT_BEN, prune=True), "stopped"),
        (pause, "stopped"),
        (too_late, "missed"),
        (elsewhere, "stopped"),
    ],
    ids=["switched off", "no project any more", "left", "paused", "past its grace", "in another channel"],
)
def test_what_may_not_be_shown_any_more_is_not_sent(world: World, act: Callable[[World, int], None], ends: str) -> None:
    digest_id = bens_digest(world)
    with waiting(world, digest_id):
        act(world, digest_id)
    world.slack.wait_until(lambda: state(world, digest_id) == [ends], what=f"a fire that is {ends}")
    world.rest()
    for channel in (world.cast.random, world.cast.catalogue):
        assert not posted(world, channel, "open incident")


def test_one_that_was_removed_is_not_sent(world: World) -> None:
    digest_id = bens_digest(world)
    with waiting(world, digest_id):
        assert "You removed" in world.ask(world.ben, f"digest remove {digest_id}").text
    world.rest()
    assert not posted(world, world.cast.random, "open incident")


def test_it_shows_how_things_are_when_it_is_sent(world: World) -> None:
    digest_id = bens_digest(world)
    with waiting(world, digest_id):
        world.ask(world.ada, "resolve 1")
        world.declare("Cards time out")
    digest = wait_for_post(world, world.cast.random, "1 open incident\n")
    world.rest()
    assert "Cards time out" in digest.text
    assert "1 resolved" in digest.text
    assert len(posted(world, world.cast.random, "open incident")) == 1
    world.slack.wait_until(lambda: state(world, digest_id) == ["sent"], what="that it was sent")


def test_its_picture_comes_with_it(world: World) -> None:
    world.declare("Payments fail with 502")
    world.rest()
    digest_id, _ = add(world, '"hourly"', channel=world.cast.random)
    with waiting(world, digest_id):
        pass
    digest = wait_for_post(world, world.cast.random, "1 open incident\n")
    image = next(block for block in digest.blocks if block["type"] == "image")
    assert image["slack_file"]["id"] == state(world, digest_id, "file_id")[0]


def test_nothing_left_open_is_silence_when_asked_for(world: World) -> None:
    world.declare("Payments fail with 502")
    world.rest()
    digest_id, _ = add(world, '"hourly" picture:no empty:skip', channel=world.cast.random)
    with waiting(world, digest_id):
        world.ask(world.ada, "resolve 1")
    world.slack.wait_until(lambda: state(world, digest_id) == ["silent"], what="silence")
    world.rest()
    assert not posted(world, world.cast.random, "open")


def test_a_note_to_somebody_who_has_left_is_not_sent(world: World) -> None:
    digest_id = bens_digest(world)
    world.apply(WITHOUT_TEAMS, prune=True)
    patience = world.slack.faults.rate_limit("chat.postMessage", retry_after=1, times=None)
    time_comes(world, digest_id)
    world.slack.wait_until(lambda: patience.hits > 0, what="a first try")  # that it is paused
    world.apply(WITHOUT_BEN, prune=True)
    world.slack.faults.remove(patience)
    world.rest()
    assert not world.ben.direct_messages()
