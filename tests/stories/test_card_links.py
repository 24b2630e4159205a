"""The link to a card, pasted where a command wants the number of an incident."""

from __future__ import annotations

import pytest

from tests.stories.conftest import IN_BOTH_MODES, World
from tests.stories.test_cards import card

pytestmark = IN_BOTH_MODES


def get_ts(world: World) -> str:
    """The timestamp of the card, once the bot has recorded it: the card is seen a moment before."""
    world.rest()
    return card(world).ts


def link_to(ts: str, channel: str = "C0001") -> str:
    return f"https://acme.slack.com/archives/{channel}/p{ts.replace('.', '')}"


def test_a_link_to_a_card_stands_for_the_number(world: World) -> None:
    world.declare("Payments fail")
    link = link_to(get_ts(world))
    assert "You acknowledged #1 Payments fail." in world.ask(world.ben, f"ack {link}").text
    assert "You commented on #1" in world.ask(world.ben, f"comment <{link}> see {link}").text
    assert f"see {link}" in world.ask(world.ben, "activity 1").text
    assert "#1 Payments fail" in world.ask(world.ben, link).text
    # A reply in the card's thread, as Slack encodes it in messages.
    reply = f"{link_to('1700000000.000100')}?thread_ts={card(world).ts}&amp;cid=C0001"
    world.ben.tell_bot(f"resolve <{reply}|a link> rolled back")
    world.ben.wait_for_message(containing="You resolved #1 Payments fail.")


def test_a_link_says_nothing_of_an_incident_that_the_caller_may_not_see(world: World) -> None:
    world.declare("Payments fail")
    hidden, missing = link_to(get_ts(world)), link_to("1700000000.000100")
    for words in ("view {}", "{}", "resolve {} done"):
        told, untold = (world.ask(world.cyn, words.format(link)).text for link in (hidden, missing))
        assert told.replace(hidden, missing) == untold
        assert "This link does not lead to the card of an incident that you can see." in told
    assert "Cyn" not in world.ask(world.ada, "view 1").text


@pytest.mark.parametrize("word", ["https://example.com/Foo", "https://acme.slack.com/archives/C0001", "Twelve"])
def test_what_is_no_link_to_a_message_is_quoted_as_typed(world: World, word: str) -> None:
    assert f"“{word}” is not the number of an incident." in world.ask(world.ben, f"view {word}").text
