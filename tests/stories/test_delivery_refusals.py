"""Slack refuses by a name that the bot does not know: it is tried again for a while, and said when it is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.delivery import api_calls
from tests.changes import change
from tests.stories.conftest import BRISK, World
from tests.stories.test_delivery_trouble import mention, troubles, without_channels

SEARCHED_BACK_S = 60.0  # before the beginning of a posting
MAY_PASS = ["ekm_access_denied", "restricted_action", "missing_scope", "no_permission", "a_name_of_tomorrow"]


def ready(world: World) -> None:
    without_channels(world)
    world.declare("Pay")
    world.rest()


def to_give_up(world: World) -> None:
    """Three hours pass."""
    world.store.clock.offset += timedelta(hours=3)


@pytest.mark.parametrize("error", MAY_PASS)
def test_what_may_pass_loses_no_message(world: World, error: str) -> None:
    ready(world)
    world.slack.faults.refuse("chat.postMessage", error, times=2)
    mention(world)
    world.ben.wait_for_message(containing="look")
    world.rest()
    assert len(world.ben.direct_messages()) == 1
    assert troubles(world) == {}


@pytest.mark.parametrize("method", ["chat.update", "conversations.info"])
def test_the_same_for_whatever_is_called_on_the_way(world: World, method: str) -> None:
    world.declare("Pay")
    world.rest()
    change(world.store, "UPDATE destination SET date_checked = NULL")
    trouble = world.slack.faults.refuse(method, "missing_scope", times=2)
    world.ask(world.ada, "comment 1 a word")
    world.ask(world.ada, "resolve 1")
    world.slack.wait_until(lambda: trouble.hits == 2, what="two refusals")
    world.rest()
    card = world.slack.messages(world.cast.checkout)[0]
    assert "Resolved" in card.text
    assert [m.text for m in card.thread if "a word" in m.text]
    assert troubles(world) == {}


def test_a_search_that_is_refused_does_not_lose_the_message(world: World) -> None:
    ready(world)
    world.slack.faults.fail("chat.postMessage", status=500)
    refused = world.slack.faults.refuse("conversations.*", "missing_scope", times=2)
    mention(world)
    world.ben.wait_for_message(containing="look")
    world.rest()
    assert refused.hits == 2
    assert len(world.ben.direct_messages()) == 1


def test_it_is_given_up_after_a_while_with_a_line_in_the_log_and_a_mark(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(world)
    refused = world.slack.faults.refuse("chat.postMessage", "restricted_action", times=None)
    mention(world)
    world.slack.wait_until(lambda: refused.hits >= 2, what="another try")
    assert troubles(world) == {"Ben Tal": "restricted_action"}
    assert "it is given up" not in capsys.readouterr().err
    to_give_up(world)
    world.rest()
    assert "Slack refuses a message; it is given up" in capsys.readouterr().err
    assert troubles(world) == {"Ben Tal": "restricted_action"}
    world.slack.faults.clear()
    mention(world, "again")
    world.ben.wait_for_message(containing="again")
    world.rest()
    assert troubles(world) == {}
    assert not [m for m in world.ben.direct_messages() if "look" in m.text]


def test_a_refused_message_holds_up_no_other(world: World) -> None:
    without_channels(world)
    world.declare("Pay")
    world.declare("Search")
    world.ask(world.ben, "subscribe 1")
    world.rest()
    refused = world.slack.faults.refuse("chat.postMessage", "a_name_of_tomorrow", times=None)
    world.ask(world.ada, "severity 1 critical")

    def is_put_off() -> bool:
        """As after some tries, unless another one is under way."""
        with world.store.write() as tx:
            tx.exec_driver_sql("SELECT FROM destination FOR NO KEY UPDATE")
            return bool(
                tx.exec_driver_sql(
                    "UPDATE post SET due_at = now() + interval '1 hour'"
                    " WHERE refused_at IS NOT NULL AND attempted_at IS NULL"
                ).rowcount
            )

    world.slack.wait_until(is_put_off, what="a refusal")
    world.slack.faults.remove(refused)
    world.ask(world.ada, "comment 2 @ben look")
    world.ben.wait_for_message(containing="look")
    assert not [m for m in world.ben.direct_messages() if "Critical" in m.text]


def test_a_card_that_was_given_up_comes_with_the_next_change(world: World) -> None:
    refused = world.slack.faults.refuse("chat.postMessage", "restricted_action", times=None)
    world.declare("Pay")
    world.slack.wait_until(lambda: refused.hits >= 2, what="another try")
    to_give_up(world)
    world.rest()
    world.slack.faults.clear()
    world.ask(world.ada, "severity 1 critical")
    world.rest()
    assert "Critical" in world.slack.messages(world.cast.checkout)[0].text


@pytest.mark.parametrize("kind", ["500", "503", "cut"])
def test_after_an_answer_the_search_does_not_wait_for_a_time_out(world: World, kind: str) -> None:
    ready(world)
    faults = world.slack.faults
    if kind == "cut":
        fault = faults.cut("chat.postMessage")
    else:
        fault = faults.fail("chat.postMessage", status=int(kind), performed=True)
    mention(world)
    world.slack.wait_until(lambda: fault.hits == 1, what="the first try")
    world.ben.wait_for_message(containing="look")
    world.rest()
    assert world.slack.calls("conversations.history")
    assert len(world.ben.direct_messages()) == 1
    with world.store.read() as connection:
        early = connection.exec_driver_sql(
            "SELECT searchable_at < to_timestamp(after_ts::float8 + %(s)s) FROM post WHERE kind = 'newest'",
            {"s": SEARCHED_BACK_S + BRISK.settles_s},
        ).scalar_one()
    # Of the other statuses a proxy on the way may be the author, while Slack is still at work.
    assert bool(early) == (kind == "500")


def test_what_may_pass_is_in_no_list_of_what_does_not() -> None:
    lists = [
        api_calls.TOKEN_ERRORS,
        api_calls.UNSURE_ERRORS,
        api_calls.CONTENT_ERRORS,
        api_calls.GONE_ERRORS,
        api_calls.UNREACHABLE_ERRORS,
    ]
    assert not frozenset().union(*lists) & set(MAY_PASS)
