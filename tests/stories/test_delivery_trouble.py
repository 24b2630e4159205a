"""Slack says no, in all its ways: what may pass is tried again, what will not is said, and nothing is lost."""

from __future__ import annotations

import pytest

from bot.delivery import api_calls
from storage.queries import delivery_failures, pacing
from tests.stories.conftest import ORGANIZATION, World


def without_channels(world: World) -> None:
    """Nothing is posted but what people are told, and everybody is known."""
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: []"), prune=True)
    world.ask(world.ben, "whoami")
    world.ask(world.sue, "whoami")


def mention(world: World, text: str = "look") -> None:
    world.ask(world.ada, f"comment 1 @ben {text}")


def posts_to(world: World, who: str) -> list[float]:
    """When something was posted to a person or channel, in seconds."""
    return [
        exchange.at
        for exchange in world.slack.traffic
        if exchange.kind == "web_api" and exchange.name == "chat.postMessage" and exchange.sent["channel"] == who
    ]


def pause_for(world: World, interval: str) -> None:
    """Moves the end of the workspace's pause."""
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE workspace SET paused_until = now() + %(for)s::interval", {"for": interval})


def troubles(world: World) -> dict[str | None, str | None]:
    with world.store.read() as connection:
        return {
            one.channel_id or one.member: one.reason for one in delivery_failures.list_failed_destinations(connection)
        }


def test_retry_after_is_obeyed_and_holds_up_nobody_else(world: World) -> None:
    without_channels(world)
    world.declare("Pay")
    world.rest()
    world.slack.faults.rate_limit("chat.postMessage", retry_after=2, times=1)
    world.ask(world.ada, "comment 1 @ben @sue look")
    world.slack.wait_until(lambda: world.ben.direct_messages() and world.sue.direct_messages())
    world.rest()
    refused = [e for e in world.slack.traffic if e.name == "chat.postMessage" and not (e.answer or {}).get("ok")]
    assert len(refused) == 1
    to_same = posts_to(world, refused[0].sent["channel"])
    assert len(to_same) == 2 and to_same[1] - to_same[0] >= 2
    others = [m for person in (world.ben, world.sue) for m in person.direct_messages()]
    assert len(others) == 2


def test_a_mention_overtakes_what_is_not_urgent(world: World) -> None:
    without_channels(world)
    world.declare("Pay")
    world.declare("Search")
    world.ask(world.ben, "subscribe 2")
    world.rest()
    slow = world.slack.faults.rate_limit("chat.postMessage", retry_after=1, times=None)
    world.ask(world.ada, "comment 2 for later")
    world.slack.wait_until(lambda: slow.hits >= 1)
    mention(world)
    world.wait_until_expanded()
    world.slack.faults.remove(slow)
    world.ben.wait_for_message(containing="for later")
    world.rest()
    assert ["look" in m.text for m in world.ben.direct_messages()] == [True, False]


@pytest.mark.parametrize("error", sorted({"token_revoked", "account_inactive", "invalid_auth"}))
def test_a_token_that_is_no_good_pauses_the_workspace_and_loses_nothing(world: World, error: str) -> None:
    without_channels(world)
    world.declare("Pay")
    world.rest()
    world.slack.revoke(error)
    mention(world)

    def paused() -> bool:
        with world.store.read() as connection:
            return {
                one: why for one, (why, _) in pacing.get_paused_workspaces(connection, world.store.clock.now()).items()
            } == {"T0001": error}

    world.slack.wait_until(paused)
    pause_for(world, "1 hour")
    calls_made = len(world.slack.calls("chat.postMessage"))
    mention(world, "again")
    world.wait_until_expanded()
    world.slack.revoke(None)
    world.slack.problems.take(error)
    assert len(world.slack.calls("chat.postMessage")) == calls_made
    pause_for(world, "0 s")
    world.slack.wait_until(lambda: "again" in str([m.text for m in world.ben.direct_messages()]))
    world.rest()
    world.slack.problems.take(error)
    assert str([m.text for m in world.ben.direct_messages()]).count("look") == 1
    with world.store.read() as connection:
        assert not pacing.get_paused_workspaces(connection, world.store.clock.now())


def test_refused_blocks_go_again_as_plain_text_and_are_logged(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    without_channels(world)
    world.declare("Pay")
    world.rest()
    world.slack.faults.refuse("chat.postMessage", "invalid_blocks")
    mention(world)
    told = world.ben.wait_for_message(containing="Ada Obi mentioned you on #1 Pay")
    world.rest()
    assert "look" in told.text and not told.buttons
    world.slack.problems.take("invalid_blocks")
    assert "invalid_blocks" in capsys.readouterr().err


@pytest.mark.parametrize("error", ["user_disabled", "cannot_dm_bot", "channel_not_found"])
def test_what_concerns_one_person_is_final_and_said(world: World, error: str) -> None:
    without_channels(world)
    world.declare("Pay")
    world.rest()
    world.slack.faults.refuse("chat.postMessage", error)
    mention(world)
    world.rest()
    assert troubles(world) == {"Ben Tal": error}
    mention(world, "you are back")
    world.ben.wait_for_message(containing="you are back")
    world.rest()
    assert troubles(world) == {}


def test_a_message_that_slack_took_and_did_not_say_so_is_not_posted_again(world: World) -> None:
    world.declare("Pay")
    world.rest()
    world.slack.faults.cut("chat.postMessage", times=3)
    mention(world)
    world.ask(world.ada, "declare project:checkout Another")
    world.rest()
    assert len(world.ben.direct_messages()) == 1
    shown = [m for m in world.slack.messages(world.cast.checkout) if "Another" in m.text]
    assert len(shown) == 1
    mirrors = next(m for m in world.slack.messages(world.cast.checkout) if "#1 Pay" in m.text).thread
    assert len(mirrors) == 1
    assert world.slack.calls("conversations.history")


def test_a_thread_follows_as_soon_as_its_card_is_found(world: World) -> None:
    """Slack took the card and did not say so; a message in its thread waits for that, and no longer."""
    world.slack.faults.cut("chat.postMessage", times=1)
    world.declare("Pay")
    world.ask(world.ada, "severity 1 warning")
    world.rest()
    (posted,) = (m for m in world.slack.messages(world.cast.checkout) if "#1 Pay" in m.text)
    assert len(posted.thread) == 1


def test_a_message_that_slack_did_not_take_is_posted_again(world: World) -> None:
    world.declare("Pay")
    world.rest()
    world.slack.faults.cut("chat.postMessage", times=2, performed=False)
    mention(world)
    world.rest()
    assert len(world.ben.direct_messages()) == 1


def test_history_that_may_be_read_once_a_minute_only_makes_it_later(world: World) -> None:
    world.declare("Pay")
    world.rest()
    world.slack.faults.cut("chat.postMessage", times=1)
    world.slack.faults.rate_limit("conversations.*", retry_after=1, times=2)
    mention(world)
    world.rest()
    assert len(world.ben.direct_messages()) == 1


def test_a_member_who_is_nobody_in_slack_costs_nothing_more(world: World) -> None:
    world.declare("Pay")
    world.rest()
    world.slack.change(world.sue, email="sue@elsewhere.test")
    world.ask(world.ada, "comment 1 @payments look")
    world.ben.wait_for_message(containing="look")
    world.rest()
    assert troubles(world) == {"Sue Perm": "no_such_person"}
    assert not world.sue.direct_messages()


def test_a_guest_is_not_taken_for_the_member_with_their_address(world: World) -> None:
    world.declare("Pay")
    world.slack.change(world.sue, restricted=True)
    world.ask(world.ada, "comment 1 @payments look")
    world.ben.wait_for_message(containing="look")
    world.rest()
    assert not world.sue.direct_messages()


def test_errors_are_of_one_class_each() -> None:
    classes = [
        api_calls.TOKEN_ERRORS,
        api_calls.UNSURE_ERRORS,
        api_calls.CONTENT_ERRORS,
        api_calls.GONE_ERRORS,
    ]
    assert len(frozenset().union(*classes)) == sum(len(one) for one in classes)
