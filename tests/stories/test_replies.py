"""What a reply in a card's thread may hold beside plain words: forwarded messages, `/me`, files."""

from __future__ import annotations

import pytest

from sandbox import SeenMessage
from sandbox.records import Channel
from tests.stories.conftest import ORGANIZATION, World
from tests.stories.test_cards import card
from tests.stories.test_threads import log


def shared_card(world: World) -> tuple[Channel, SeenMessage]:
    """A card in a channel shared with another company, where Slack only names files."""
    shared = world.slack.channel("C0009", "with-globex", shared_with="T0009")
    allowed = ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], shared_channels: true")
    world.apply(allowed.replace("channels: [C0001]", "channels: [C0009]"))
    world.declare("Payments fail with 502")
    return shared, card(world, shared)


def test_a_message_forwarded_into_the_thread_is_a_comment_that_names_its_author_and_calls_nobody(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    said = world.cyn.say(
        world.cast.random, "@ada the <disk> of the *replica* is full <!channel>\nsee https://status.test/1"
    )
    world.ben.forward(said, world.cast.checkout, thread=posted)
    posted.wait_for(lambda m: "is full" in m.text)
    world.ben.forward(said, world.cast.checkout, thread=posted, text="look at this, @ada")
    world.ada.wait_for_message(containing="look at this")
    world.rest()
    shown = world.see(world.ada, "activity 1")
    assert shown.text.count("Cyn Roe wrote:") == 2 and shown.text.count("Ben Tal commented") == 2
    assert "the <disk> of the replica is full" in shown.text and "https://status.test/1" in shown.text
    assert "/archives/C0003/p" in shown.markup
    assert "<!" not in shown.markup.replace("<!date", "")
    assert len([m for m in world.ada.direct_messages() if "mentioned you" in m.text]) == 1


def test_a_forwarded_message_brings_its_files_and_one_without_words_its_link(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    world.ben.forward(
        world.cyn.upload(world.cast.random, "lag.png", b"png"), world.cast.checkout, thread=posted, text="the graph"
    )
    posted.wait_for(lambda m: "the graph" in m.text)
    markup = world.see(world.ada, "activity 1").markup
    assert "lag.png" in markup and "/archives/C0003/p" in markup


def test_what_somebody_does_is_a_comment(world: World) -> None:
    world.declare("Payments fail with 502")
    said = world.ben.me(world.cast.checkout, "restarts the replica", thread=card(world))
    card(world).wait_for(lambda m: "restarts the replica" in m.text)
    world.ben.edit(said, "restarts the primary")
    card(world).wait_for(lambda m: "restarts the primary" in m.text)
    assert log(world).count("commented") == 1


def test_a_file_that_has_to_be_looked_up_is_kept_as_a_link(world: World) -> None:
    shared, posted = shared_card(world)
    world.ben.upload(shared, "lag.png", b"png", thread=posted)
    posted.wait_for(lambda m: "lag.png" in m.text)
    assert "/lag.png|lag.png>" in world.see(world.ada, "activity 1").markup


def test_a_file_that_slack_does_not_show_is_told_and_its_words_are_kept(world: World) -> None:
    shared, posted = shared_card(world)
    world.slack.faults.refuse("files.info", "file_not_found", times=None)
    world.ben.upload(shared, "lag.png", b"png", "the graph", thread=posted)
    posted.wait_for(lambda m: "the graph" in m.text)
    world.ben.wait_for_message(containing="does not show me the file")
    world.ada.upload(shared, "lag.png", b"png", thread=posted)
    world.ada.wait_for_message(containing="does not show me the file")
    world.rest()
    assert log(world).count("commented") == 1


@pytest.mark.parametrize("world", ["http"], indirect=True)
def test_a_file_that_cannot_be_looked_up_just_now_is_looked_up_when_slack_tells_of_it_again(world: World) -> None:
    shared, posted = shared_card(world)
    world.slack.faults.fail("files.info")
    world.ben.upload(shared, "lag.png", b"png", thread=posted)
    posted.wait_for(lambda m: "lag.png" in m.text)
    world.slack.problems.take("http_error")  # how the bot says that the event has to come again
