"""A channel that another company joins: from that moment on nothing more is shown there, by whatever way."""

from __future__ import annotations

import pytest

from bot.people.channels import Channels
from sandbox.records import Channel
from tests.stories.conftest import ORGANIZATION, World
from tests.stories.test_digests import add, time_comes, wait_for_post

ALLOWED = ORGANIZATION.replace("[T0001]}", "[T0001], shared_channels: true}")


def posted(world: World, channel: Channel) -> list[str]:
    return [message.text for message in world.slack.messages(channel) if message.from_app and not message.ephemeral]


def known_as_shared(world: World, channel: Channel, shared: bool) -> None:
    """Waits until the bot has heard of it."""
    world.slack.settle()
    query = "SELECT count(*) FROM destination WHERE channel_id = %(id)s AND is_shared = %(shared)s"

    def heard() -> bool:
        with world.store.read() as connection:
            return bool(connection.exec_driver_sql(query, {"id": channel.id, "shared": shared}).scalar_one())

    world.slack.wait_until(heard, what="the channel's new audience")


def test_new_cards_and_threads_stay_away_at_once(world: World) -> None:
    channel = world.cast.checkout
    world.declare("Known to all")
    world.rest()
    world.slack.share(channel, "T0999")
    known_as_shared(world, channel, True)
    world.declare("Ours alone")
    world.ask(world.ada, "comment 1 ours alone too")
    world.ask(world.ada, "severity 1 critical")
    world.rest()
    (card,) = posted(world, channel)
    assert "Known to all" in card and "Critical" not in card
    assert not world.slack.messages(channel)[0].thread


def test_what_waited_comes_once_the_channel_is_our_own_again(world: World) -> None:
    channel = world.cast.checkout
    world.slack.share(channel, "T0999")
    known_as_shared(world, channel, True)
    world.declare("Ours alone")
    world.rest()
    assert posted(world, channel) == []
    world.slack.unshare(channel)
    world.slack.wait_until(lambda: len(posted(world, channel)) == 1, what="the card")
    world.rest()
    assert "Ours alone" in posted(world, channel)[0]


def test_an_organization_that_allows_it_goes_on(world: World) -> None:
    channel = world.cast.checkout
    world.apply(ALLOWED)
    world.slack.share(channel, "T0999")
    known_as_shared(world, channel, True)
    world.declare("For both")
    world.rest()
    assert len(posted(world, channel)) == 1


def test_pages_of_a_digest_are_not_turned_there(world: World) -> None:
    channel = world.cast.random
    for number in range(1, 18):
        world.declare(f"Trouble {number:02}")
    digest_id, _ = add(world, '"hourly" picture:no', channel=channel)
    time_comes(world, digest_id)
    digest = wait_for_post(world, channel, "17 open incidents")
    world.slack.share(channel, "T0999")
    world.slack.settle()
    world.ben.press(digest, "Next")
    refused = world.ben.wait_for_message(channel, containing="shared with another company")
    assert refused.ephemeral
    assert "Page 1 of 2" in digest.text
    world.slack.unshare(channel)
    known_as_shared(world, channel, False)
    world.ben.press(digest, "Next")
    digest.wait_for(lambda message: "Page 2 of 2" in message.text)


def test_another_replica_knows_what_one_was_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack tells one replica alone; this one has asked Slack a moment before, and still goes by that answer."""
    monkeypatch.setattr(Channels, "forget", lambda *_: None)
    channel = world.cast.checkout
    world.declare("Known to all")
    listed = world.see(world.ada, "list")
    world.ada.press(listed, "Share")
    world.slack.wait_until(lambda: len(posted(world, channel)) == 2, what="the page")
    world.slack.share(channel, "T0999")
    known_as_shared(world, channel, True)
    world.ada.press(listed, "Share")
    world.ada.wait_for_message(channel, containing="does not allow incidents there")
    assert len(posted(world, channel)) == 2
