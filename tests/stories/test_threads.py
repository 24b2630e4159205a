"""The thread of a card: what is said there is a comment, and comments are said there."""

from __future__ import annotations

from bot.intake.tokens import Source
from sandbox import SeenMessage
from tests.stories.conftest import ORGANIZATION, Deliver, World
from tests.stories.test_cards import card


def thread(message: SeenMessage) -> list[str]:
    return [one.text for one in message.thread]


def log(world: World) -> str:
    return world.ask(world.ada, "activity 1").text


def test_a_reply_becomes_a_comment_of_its_author(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ben.reply(card(world), "the replica is *lagging* &lt; far")
    card(world).wait_for(lambda m: "the replica is" in m.text)
    world.rest()
    assert "Ben Tal commented" in log(world)
    assert "the replica is lagging" in log(world)
    assert len(card(world).thread) == 1
    world.ada.wait_for_message(containing="Ben Tal commented on #1")


def test_a_reply_that_is_also_sent_to_the_channel_is_one_comment(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ben.reply(card(world), "look at this", broadcast=True)
    card(world).wait_for(lambda m: "look at this" in m.text)
    world.rest()
    assert log(world).count("look at this") == 1


def test_mentions_in_a_reply_are_told(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ada.reply(card(world), "@ben can you look")
    world.ben.wait_for_message(containing="Ada Obi mentioned you on #1")


def test_somebody_who_cannot_see_it_stays_a_name_in_a_reply_and_its_author_is_told(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ada.reply(card(world), "@cyn can you look, or @eve")
    world.ada.wait_for_message(containing="Cyn Roe and Eve Out cannot see #1")
    world.rest()
    assert "@Cyn Roe can you look, or @Eve Out" in log(world)
    assert not world.cyn.direct_messages() and not world.eve.direct_messages()


def test_edits_and_deletions_of_a_reply_follow_and_previews_are_none(world: World) -> None:
    world.declare("Payments fail with 502")
    said = world.ben.reply(card(world), "see https://status.test/1")
    card(world).wait_for(lambda m: "status.test" in m.text)
    world.slack.unfurl(said, "Status", "https://status.test/1")
    world.slack.settle()
    assert "(edited)" not in log(world)
    world.ben.edit(said, "see the status page")
    card(world).wait_for(lambda m: "see the status page" in m.text)
    world.ben.delete(said)
    card(world).wait_for(lambda m: "see the status page" not in m.text)
    world.rest()
    assert "status page" not in log(world)
    assert not card(world).thread


def test_an_edit_that_newly_mentions_somebody_tells_only_them(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ask(world.sue, "subscribe 1")
    said = world.ada.reply(card(world), "can somebody look")
    world.sue.wait_for_message(containing="can somebody look")
    world.ada.edit(said, "can @ben look")
    world.ben.wait_for_message(containing="Ada Obi mentioned you")
    world.rest()
    assert len(world.sue.direct_messages()) == 1 and len(world.ben.direct_messages()) == 1


def test_every_change_of_status_is_told_in_the_thread_once(world: World, deliver: Deliver) -> None:
    """By an alert, a command, a form, a button and a reaction."""
    alert = {"dedup_key": "x", "title": "Payments fail"}
    for severity in ("warning", "critical"):
        deliver(Source.EVENTS, {**alert, "severity": severity})
    posted = card(world)
    posted.wait_for(lambda m: len(m.thread) == 1)
    world.ask(world.ben, "severity 1 warning not so bad")
    posted.wait_for(lambda m: len(m.thread) == 2)
    world.ada.press(posted, "Resolve")
    world.ada.wait_for_form("Resolve #1").fill("Comment", "rolled back").submit()
    posted.wait_for(lambda m: m.buttons == ["Reopen"])
    world.ada.press(posted, "Reopen")
    posted.wait_for(lambda m: "Resolve" in m.buttons)
    world.ben.react(posted, "white_check_mark")
    posted.wait_for(lambda m: m.buttons == ["Reopen"])
    world.ask(world.ada, "reopen 1")
    deliver(Source.EVENTS, {**alert, "status": "resolved"})
    posted.wait_for(lambda m: "Resolved by its alert" in m.text)
    world.rest()
    told = [one.replace("\n", ": ") for one in thread(posted)]
    signs = [one.split()[0] for one in told]
    red, yellow, green = ":red_circle:", ":large_yellow_circle:", ":white_check_mark:"
    assert signs == [red, yellow, green, yellow, green, yellow, green]
    assert "The alert" in told[0] and told[1].endswith(": not so bad") and told[2].endswith(": rolled back")
    assert "Ada Obi reopened" in told[3] and "Ben Tal resolved" in told[4] and "The alert resolved" in told[6]


def test_a_comment_made_elsewhere_appears_in_the_thread_and_calls_nobody(world: World) -> None:
    world.declare("Payments fail with 502")
    card(world)
    world.ask(world.ada, "comment 1 @ben the replica is lagging")
    posted = card(world)
    posted.wait_for(lambda m: len(m.thread) == 1)
    assert thread(posted) == ["Ada Obi\n@Ben Tal the replica is lagging"]
    assert "<@" not in posted.thread[0].markup
    world.rest()
    assert log(world).count("the replica is lagging") == 1


def test_edit_and_delete_of_a_comment_follow_into_the_thread(world: World) -> None:
    world.declare("Payments fail with 502")
    card(world)
    world.ask(world.ada, "comment 1 the replica")
    card(world).wait_for(lambda m: len(m.thread) == 1)
    page = world.see(world.ada, "activity 1")
    world.ada.press(page, "Edit")
    form = world.ada.wait_for_form()
    form.fill("Comment", ["the primary"])
    form.submit()
    card(world).wait_for(lambda m: thread(m) == ["Ada Obi (edited)\nthe primary"])
    world.ada.press(world.see(world.ada, "activity 1"), "Delete")
    card(world).wait_for(lambda m: not m.thread)


def test_the_thread_says_when_a_comment_that_began_there_is_changed_elsewhere(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ada.reply(card(world), "the replica")
    card(world).wait_for(lambda m: "the replica" in m.text)
    page = world.see(world.ada, "activity 1")
    world.ada.press(page, "Edit")
    form = world.ada.wait_for_form()
    form.fill("Comment", ["the primary"])
    form.submit()
    card(world).wait_for(
        lambda m: thread(m)[1:] == ["The comment by Ada Obi above was edited. It now says\nthe primary"]
    )
    world.ada.press(world.see(world.ada, "activity 1"), "Delete")
    card(world).wait_for(lambda m: thread(m)[1:] == ["The comment by Ada Obi above was deleted."])


def test_a_reply_by_somebody_who_may_not_comment_is_left_alone_and_told_once(world: World) -> None:
    world.declare("Payments fail with 502")
    world.cyn.reply(card(world), "what is this")
    world.cyn.wait_for_message(containing="did not become a comment")
    world.cyn.reply(card(world), "and this")
    world.eve.reply(card(world), "me too")
    world.eve.wait_for_message(containing="did not become a comment")
    world.rest()
    assert len(world.cyn.direct_messages()) == 1
    assert "what is this" not in log(world) and "me too" not in log(world)


def test_what_bots_say_is_no_comment_and_does_not_echo(world: World) -> None:
    world.declare("Payments fail with 502")
    told = card(world)
    world.ask(world.ben, "comment 1 Said elsewhere")
    world.rest()
    other = world.slack.person("U0090", "Deploy Bot", is_bot=True)
    other.reply(told, "Deploying the fix")
    world.slack.settle()
    world.rest()
    assert log(world).count("Said elsewhere") == 1 and "Deploying" not in log(world)
    assert len(thread(told)) == 2
    assert not other.direct_messages()


def test_a_reply_that_mentions_the_bot_is_a_command(world: World) -> None:
    world.declare("Payments fail with 502")
    world.ben.mention_bot(world.cast.checkout, "ack 1", thread=card(world))
    card(world).wait_for(lambda m: "Seen by Ben Tal" in m.text)
    world.rest()
    assert "commented" not in log(world)


def test_files_in_a_reply_are_kept_as_links(world: World) -> None:
    world.declare("Payments fail with 502")
    shared = world.slack.platform.workspace
    body = {
        "subtype": "file_share",
        "text": "the graph",
        "files": [{"id": "F1", "name": "lag|<1>.png", "permalink": "https://acme.slack.com/files/U0002/F1/lag.png"}],
    }
    shared.post(world.cast.checkout, world.ben.user, body, thread_ts=card(world).ts)
    card(world).wait_for(lambda m: "the graph" in m.text)
    assert "https://acme.slack.com/files/U0002/F1/lag.png" in world.see(world.ada, "activity 1").markup


def test_events_that_come_twice_and_in_another_order_change_nothing(world: World) -> None:
    world.declare("Payments fail with 502")
    card(world)
    world.rest()
    with world.slack.events_held() as held:
        said = world.ben.reply(card(world), "first")
        world.ben.edit(said, "second")
        world.ben.edit(said, "third")
        gone = world.ben.reply(card(world), "never mind")
        world.ben.delete(gone)
        held.release(reverse=True)
    world.slack.settle()
    for exchange in [one for one in world.slack.sent if one.kind == "events_api"]:
        world.slack.redeliver(exchange)
    world.rest()
    text = log(world)
    assert text.count("third") == 1 and "first" not in text and "second" not in text and "never mind" not in text


def test_a_reply_deleted_while_it_is_taken_up_leaves_no_comment(world: World) -> None:
    world.declare("Payments fail with 502")
    card(world)
    world.rest()
    with world.nobody_writes("outbox"):  # so that the reply waits, half taken up
        said = world.ben.reply(card(world), "never mind")
        world.wait_for_blocked()
        world.ben.delete(said)
        world.wait_for_blocked(2)
    world.rest()
    assert "never mind" not in log(world)


def test_a_reply_deleted_while_incidents_are_off_leaves_nothing_waiting(world: World) -> None:
    world.declare("Payments fail with 502")
    reply = world.ada.reply(card(world), "the replica")
    card(world).wait_for(lambda m: "the replica" in m.text)
    world.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], incidents: false"))
    world.rest()
    world.ada.delete(reply)
    world.rest()
    world.apply(ORGANIZATION)
    card(world).wait_for(lambda m: "the replica" not in m.text)
    world.rest()
