"""Owners hand incidents off: offers, what is answered, and where it shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bot.digests.offer_ends import end_lapsed_offers
from sandbox import Person, SeenMessage
from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, World
from tests.stories.test_cards import cards


@pytest.fixture
def owned(world: World) -> Iterator[World]:
    """Ada owns #1."""
    world.declare("Payments fail")
    world.ask(world.ada, "take 1")
    yield world


def offer_to(person: Person) -> SeenMessage:
    """The newest offer that somebody got."""
    person.wait_for_message(containing="asks you to take over")
    return [one for one in person.direct_messages() if "asks you to take over" in one.text][-1]


def log(world: World, identifier: int = 1) -> str:
    return world.ask(world.ada, f"activity {identifier}").text


def own_several(world: World, count: int) -> None:
    for number in range(1, count + 1):
        world.declare(f"Trouble {number}")
        world.ask(world.ada, f"take {number}")


@IN_BOTH_MODES
def test_an_offer_is_accepted_and_the_one_who_asked_is_told(owned: World) -> None:
    owned.ask(owned.sue, "comment 1 the replica lags")
    answer = owned.ask(owned.ada, "handoff 1 @ben watch the queue")
    assert "You offered #1 Payments fail to Ben Tal. You own it until they accept." in answer.text
    assert answer.buttons == ["Withdraw"]
    shown = offer_to(owned.ben)
    assert "Ada Obi asks you to take over #1 Payments fail" in shown.text
    assert "watch the queue" in shown.text and "the replica lags" in shown.text
    assert shown.text.count("#1 Payments fail") == 1
    assert shown.buttons == ["I have it", "Not me", "View"]
    owned.rest()
    assert "Owned by Ada Obi since" in cards(owned)[0].text and "offered to Ben Tal" in cards(owned)[0].text
    owned.ben.press(shown, "I have it")
    shown.wait_for(lambda m: "You took over #1 Payments fail." in m.text)
    assert "Ada Obi asked you to take over 1 incident" in shown.text and shown.text.count("Payments fail") == 1
    assert shown.buttons == ["View"]
    assert "Ben Tal owns #1 Payments fail now." in owned.ada.wait_for_message(containing="Ben Tal owns").text
    owned.rest()
    card = cards(owned)[0]
    assert "Owned by Ben Tal" in card.text and "offered to" not in card.text
    thread = [one.text for one in card.thread]
    assert any("Ada Obi offered this to Ben Tal" in text and "watch the queue" in text for text in thread), thread
    assert any("Ben Tal took over this from Ada Obi" in text for text in thread), thread
    assert "Ben Tal acknowledged this" in log(owned)
    assert not any("took over #1" in one.text for one in owned.ada.direct_messages())  # she is told once
    assert any("watch the queue" in one.text for one in owned.sue.direct_messages())  # who follows it


def test_an_offer_is_declined(owned: World) -> None:
    owned.ask(owned.ada, "handoff #1 to @ben")
    shown = offer_to(owned.ben)
    owned.ben.press(shown, "Not me")
    shown.wait_for(lambda m: "You declined #1 Payments fail." in m.text)
    told = owned.ada.wait_for_message(containing="declined")
    assert "Ben Tal declined #1 Payments fail. You still own it." in told.text
    assert "Ben Tal declined to take over this from Ada Obi" in log(owned)
    assert "Owner" in owned.seen_by(owned.ada, 1) and "offered to" not in owned.seen_by(owned.ada, 1)


def test_an_offer_is_withdrawn_and_pressed_afterwards(owned: World) -> None:
    answer = owned.ask(owned.ada, "handoff 1 @ben")
    shown = offer_to(owned.ben)
    owned.ada.press(owned.shown(answer), "Withdraw")
    owned.shown(answer).wait_for(lambda m: "You withdrew the offer of #1 Payments fail to Ben Tal." in m.text)
    shown.wait_for(lambda m: "#1 Payments fail is no longer offered to you." in m.text)
    assert shown.buttons == ["View"]
    assert "Ada Obi no longer offers this to Ben Tal" in log(owned)
    owned.ask(owned.ada, "handoff 1 @ben")
    assert "You withdrew the offer of #1" in owned.ask(owned.ada, "handoff 1 withdraw").text
    assert "Nobody is offered #1 Payments fail." in owned.ask(owned.ada, "handoff 1 withdraw").text


@pytest.mark.parametrize("end", ["resolve 1", "take over"])
def test_an_offer_is_void_when_the_incident_is_over_or_somebody_elses(owned: World, end: str) -> None:
    owned.ask(owned.ada, "handoff 1 @ben")
    shown = offer_to(owned.ben)
    if end == "take over":
        owned.dan.press(owned.view(owned.dan, 1), "Take over")
        expected = "Dan Wu owns #1 Payments fail now."
    else:
        owned.ask(owned.ada, end)
        expected = "#1 Payments fail is resolved."
    shown.wait_for(lambda m: expected in m.text)
    if end == "resolve 1":
        owned.ask(owned.ada, "reopen 1")
        owned.rest()
        assert "offered to" not in owned.seen_by(owned.ada, 1)


def test_an_offer_of_which_nobody_knew_whether_it_was_sent_is_kept_current(owned: World) -> None:
    owned.rest()
    owned.slack.faults.cut("chat.postMessage")
    owned.ask(owned.ada, "handoff 1 @ben")
    shown = owned.ben.wait_for_message(containing="asks you to take over")
    owned.ask(owned.ada, "resolve 1")
    shown.wait_for(lambda m: "#1 Payments fail is resolved." in m.text)


def test_an_offer_to_another_takes_the_place_of_the_first(owned: World) -> None:
    owned.ask(owned.ada, "handoff 1 @ben")
    first = offer_to(owned.ben)
    again = owned.ask(owned.ada, "handoff 1 @ben").text
    assert "You already offered #1 Payments fail to Ben Tal, who has not answered yet." in again
    assert "The offer to Ben Tal is withdrawn." in owned.ask(owned.ada, 'handoff 1 "@Dan Wu"').text
    first.wait_for(lambda m: "no longer offered to you" in m.text)
    owned.dan.press(offer_to(owned.dan), "I have it")
    owned.ada.wait_for_message(containing="Dan Wu owns #1")


def test_an_offer_lapses_after_a_day(owned: World) -> None:
    owned.ask(owned.ada, "handoff 1 @ben")
    shown = offer_to(owned.ben)
    owned.rest()
    owned.store.clock.offset += timedelta(hours=23, minutes=50)
    assert end_lapsed_offers(owned.store, owned.store.clock.now()) == 0
    owned.store.clock.offset += timedelta(minutes=10)  # the tick of the bot ends it
    shown.wait_for(lambda m: "The offer of #1 Payments fail lapsed." in m.text)
    told = owned.ada.wait_for_message(containing="did not answer")
    assert "Ben Tal did not answer about #1 Payments fail. You still own it." in told.text
    assert "Ben Tal did not answer in time whether to take over this from Ada Obi" in log(owned)


def test_an_offer_that_lapses_while_it_is_accepted_is_not_accepted(owned: World) -> None:
    owned.ask(owned.ada, "handoff 1 @ben")
    shown = offer_to(owned.ben)
    owned.rest()
    with ThreadPoolExecutor(1) as threads:
        with owned.store.write() as tx:  # as the tick does
            tx.exec_driver_sql("UPDATE handoff_item SET state = 'lapsed', date_ended = now()")
            pressed = threads.submit(owned.ben.press, shown, "I have it")
            owned.wait_for_blocked()
        pressed.result()
    shown.wait_for(lambda m: "This is not offered to you any more. Nothing was changed." in m.text)
    assert "Ada Obi since" in owned.seen_by(owned.ada, 1)
    assert "took over" not in log(owned)


def test_a_button_of_an_offer_that_is_over_is_answered(owned: World) -> None:
    owned.ask(owned.ada, "handoff 1 @ben")
    shown = offer_to(owned.ben)
    owned.rest()  # or delivery replaces the answer
    with owned.store.write() as tx:  # as if delivery could not update the message
        tx.exec_driver_sql("UPDATE handoff_item SET state = 'lapsed', date_ended = now()")
    owned.ben.press(shown, "I have it")
    shown.wait_for(lambda m: "This is not offered to you any more. Nothing was changed." in m.text)
    assert "The offer of #1 Payments fail lapsed." in shown.text
    assert "Owner" in owned.seen_by(owned.ada, 1) and "Ben Tal since" not in owned.seen_by(owned.ada, 1)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("1 @ada good luck", "You cannot hand off incidents to yourself. Name somebody else."),
        ("1 @cyn good luck", "Cyn Roe cannot see #1 Payments fail. Nothing was changed."),
        ("@cyn good luck", "Cyn Roe cannot see #1 Payments fail. Nothing was changed."),
        ("1 <@U0006|eve> good luck", "Eve Out cannot take over incidents. Only members of your organization can"),
        ("1 @nobody-here good luck", "There is no member “@nobody-here” in your organization."),
        ("@ben #1", "The number comes before the person. Nothing was offered."),
        ("withdraw", "Name the incident whose offer you withdraw."),
        ("1 ben good luck", "Who should take over? “ben” is not a person."),
        ("1 <!subteam^S0001|payments> good luck", "Incidents are handed off to a person, not to a team."),
        ("2 @ben good luck", "Nobody owns #2 Search is slow, so you cannot hand it off. Take it first: take 2."),
        ("3 @ben good luck", "Dan Wu owns #3 Cache is cold, and only the owner can hand it off."),
        ("4 @ben good luck", "There is no incident #4 that you can see."),
    ],
)
def test_what_cannot_be_handed_off_is_refused_and_the_note_given_back(owned: World, typed: str, sentence: str) -> None:
    owned.declare("Search is slow")
    owned.declare("Cache is cold")
    owned.ask(owned.dan, "take 3")
    answer = owned.ask(owned.ada, f"handoff {typed}")
    assert sentence in answer.text.replace("`", ""), answer.text
    assert typed.split()[-1] in answer.text
    assert "offered" not in log(owned)


def test_other_ways_to_say_it(owned: World) -> None:
    for words in ("hand off 1 to @ben", "hand over 1 @ben", "handover 1 to @ben", "handoff 1 over to @ben"):
        assert "You offered #1 Payments fail to Ben Tal." in owned.ask(owned.ada, words).text, words
        assert "You withdrew" in owned.ask(owned.ada, "handoff 1 cancel").text
    assert "Take it over if you work on it now." in owned.ask(owned.ben, "take over 1").text
    assert "You already own #1" in owned.ask(owned.ada, "take it 1").text
    for words in ("assign me 1", "assign 1 me", "assign 1 to me", "Assign #1 to myself!", "reassign 1 to me please"):
        assert "You already own #1" in owned.ask(owned.ada, words).text, words


def test_who_owns_nothing_and_bots(owned: World) -> None:
    assert "You own no open incidents, so nothing was handed off." in owned.ask(owned.ben, "handoff @ada").text
    refused = owned.ask(owned.ada, f"handoff 1 <@{owned.slack.bot_user_id}>").text
    assert "cannot take over incidents. Only members of your organization can, not bots or guests." in refused
    owned.ask(owned.ada, "resolve 1")
    assert "#1 Payments fail is already resolved." in owned.ask(owned.ada, "handoff 1 @ben").text


def test_the_button_opens_a_form(owned: World) -> None:
    shown = owned.view(owned.ada, 1)
    assert "Hand off" in shown.buttons
    assert "Hand off" not in owned.view(owned.ben, 1).buttons
    owned.ada.press(shown, "Hand off")
    form = owned.ada.wait_for_form("Hand off #1")
    refused = form.choose("Who takes over?", owned.cyn).fill("Note", "watch the queue").submit()
    assert "Cyn Roe cannot see #1 Payments fail. Nothing was changed." in str(refused.errors)
    assert form.choose("Who takes over?", owned.ben).submit().closed
    shown.wait_for(lambda m: "You offered #1 Payments fail to Ben Tal." in m.text)
    assert "watch the queue" in offer_to(owned.ben).text
    owned.ask(owned.ada, "handoff")
    form = owned.ada.wait_for_form("Hand off")
    assert "You hand off the incident that you own." in form.text


def test_many_are_accepted_in_part_and_what_cannot_be_seen_stays(owned: World) -> None:
    owned.declare("Search is slow", options="project:catalogue")
    owned.ask(owned.ada, "take 2")
    owned.declare("Cache is cold")
    owned.ask(owned.ada, "take 3")
    owned.declare("Nobody cares")
    answer = owned.ask(owned.ada, "handoff @ben end of my shift").text
    assert "You offered 2 incidents to Ben Tal." in answer
    assert "Ben Tal cannot see #2 Search is slow, which stays yours." in answer
    shown = offer_to(owned.ben)
    assert "Ada Obi asks you to take over 2 incidents" in shown.text and "end of my shift" in shown.text
    assert "#1 Payments fail" in shown.text and "#3 Cache is cold" in shown.text and "Search" not in shown.text
    assert "Also open, without an owner" in shown.text and "#4 Nobody cares" in shown.text
    owned.ben.press(shown, "I have it", containing="#3 Cache is cold")
    shown.wait_for(lambda m: "You took over #3 Cache is cold." in m.text)
    owned.ben.press(shown, "Not me")
    shown.wait_for(lambda m: "You declined #1 Payments fail." in m.text)
    owned.ada.wait_for_message(containing="Ben Tal owns #3 Cache is cold now.")
    owned.ada.wait_for_message(containing="Ben Tal declined #1 Payments fail.")


def test_a_shift_of_many_is_paged_and_accepted_as_a_whole(world: World) -> None:
    own_several(world, 13)
    world.ask(world.ada, "handoff @ben")
    shown = offer_to(world.ben)
    assert "asks you to take over 13 incidents" in shown.text and "#13 Trouble 13" in shown.text
    assert "#2 Trouble 2" not in shown.text
    world.ben.press(shown, "Next")
    shown.wait_for(lambda m: "#2 Trouble 2" in m.text)
    world.ben.press(shown, "I have it", row=None, containing=None)
    world.ada.wait_for_message(containing="Ben Tal owns #13 Trouble 13")
    assert world.ask(world.ben, "list owner:me").text.count("owned by you") == 10
    assert "No open incidents match" in world.ask(world.ada, "list owner:me").text


def test_who_lost_access_is_offered_nothing_any_more(owned: World) -> None:
    owned.ask(owned.ada, "handoff 1 @ben")
    shown = offer_to(owned.ben)
    owned.apply(
        ORGANIZATION.replace("name: Ben Tal, role: member, teams: [payments]", "name: Ben Tal, role: member"),
        prune=True,
    )
    owned.ben.press(shown, "I have it")
    shown.wait_for(lambda m: "You can no longer see 1 incident of this offer." in m.text)
    assert "Payments fail" not in shown.text
    assert "Ada Obi since" in owned.seen_by(owned.ada, 1)
