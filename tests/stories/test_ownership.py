"""Somebody owns an incident: taking, taking over and releasing it, and where it shows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest

from sandbox import Answer, Person, SeenMessage
from storage.queries.destinations import lock_destinations
from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, World
from tests.stories.test_cards import cards

# Ben is in no team, so he sees nothing.
WITHOUT_BEN = ORGANIZATION.replace("name: Ben Tal, role: member, teams: [payments]", "name: Ben Tal, role: member")


@pytest.fixture
def owned(world: World) -> Iterator[World]:
    """Ben owns #1."""
    world.declare("Payments fail")
    world.ask(world.ben, "take 1")
    yield world


def card(world: World) -> SeenMessage:
    """The card of #1, once the bot has nothing left to do."""
    world.rest()
    return cards(world)[0]


def thread(world: World) -> list[str]:
    return [message.text for message in card(world).thread]


@IN_BOTH_MODES
def test_taking_acknowledges_and_follows_and_shows_everywhere(world: World) -> None:
    world.declare("Payments fail")
    assert "You own #1 Payments fail now." in world.ask(world.ben, "take #1").text
    shown = world.ask(world.ben, "view 1")
    assert re.search(r"Owner\s+Ben Tal since today at", shown.text), shown.text
    assert "Seen by Ben Tal and Ada Obi" in shown.text
    assert shown.buttons == ["Acknowledge", "Release", "Hand off", "Resolve", "Comment", "Activity", "Unsubscribe"]
    assert "Take over" in world.ask(world.ada, "view 1").buttons
    posted = card(world)
    assert "Owned by Ben Tal since today at" in posted.text
    assert posted.buttons == ["Acknowledge", "Take it", "Resolve"]
    assert any("Ben Tal took this" in text for text in thread(world))
    log = world.ask(world.ada, "activity 1").text
    assert "Ben Tal took this" in log and "Ben Tal acknowledged this" in log


def test_taking_again_changes_nothing(owned: World) -> None:
    before = owned.ask(owned.ada, "activity 1").text
    assert "You already own #1 Payments fail." in owned.ask(owned.ben, "take 1").text
    assert owned.ask(owned.ada, "activity 1").text == before


def test_what_somebody_else_owns_is_refused_by_name_and_can_be_taken_over(owned: World) -> None:
    refused = owned.ask(owned.ada, "take 1")
    assert "Ben Tal has owned #1 Payments fail since today at" in refused.text
    assert refused.buttons == ["Take over", "View"]
    assert "Ben Tal since" in owned.seen_by(owned.dan, 1)
    message = owned.shown(refused)
    owned.ada.press(message, "Take over")
    message.wait_for(lambda m: "You own #1 Payments fail now. You took it over from Ben Tal." in m.text)
    assert "Owned by Ada Obi" in card(owned).text
    assert any("Ada Obi took over this from Ben Tal" in text for text in thread(owned))
    told = owned.ben.wait_for_message(containing="took over")
    assert "Ada Obi took over #1 Payments fail from Ben Tal" in told.text
    assert "Owned by Ada Obi since" in told.text and "Take over" in told.entries


def test_the_card_lets_people_take_and_names_the_owner_to_others(world: World) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.ben.press(posted, "Take it")
    posted.wait_for(lambda m: "Owned by Ben Tal" in m.text)
    world.ada.press(posted, "Take it")
    refused = world.ada.wait_for_message(world.cast.checkout, containing="Take it over if you work on it now")
    assert "Take over" in refused.buttons


def test_a_button_to_take_over_takes_from_nobody_else(owned: World) -> None:
    stale = owned.shown(owned.ask(owned.dan, "take 1"))
    owned.ada.press(owned.shown(owned.ask(owned.ada, "take 1")), "Take over")
    card(owned).wait_for(lambda m: "Owned by Ada Obi" in m.text)
    owned.dan.press(stale, "Take over")
    stale.wait_for(lambda m: "Ada Obi has owned #1" in m.text)
    assert "Owned by Ada Obi" in card(owned).text


def test_two_who_take_at_once_are_one_owner_and_one_who_learns_who_it_is(world: World) -> None:
    world.declare("Payments fail")
    answers: dict[str, Answer] = {}

    def take(person: Person) -> None:
        answers[person.name] = world.ask(person, "take 1")

    people = [world.ada, world.ben]
    threads = [threading.Thread(target=take, args=(person,)) for person in people]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    (owner,) = [person.name for person in people if "You own #1" in answers[person.name].text]
    (other,) = [person.name for person in people if person.name != owner]
    assert f"{owner} has owned #1" in answers[other].text
    assert answers[other].buttons == ["Take over", "View"]
    assert world.ask(world.dan, "activity 1").text.count("took") == 1


def test_releasing_is_for_the_owner(owned: World) -> None:
    refused = owned.ask(owned.ada, "release 1").text
    assert "Ben Tal has owned #1 Payments fail since" in refused and "Only the owner can release it." in refused
    assert "You released #1 Payments fail. Nobody owns it now." in owned.ask(owned.ben, "release 1").text
    assert "Nobody owns #1 Payments fail." in owned.ask(owned.ben, "release 1").text
    assert "Owned by" not in card(owned).text
    assert any("Ben Tal released this" in text for text in thread(owned))
    assert "Take it" in owned.ask(owned.ben, "view 1").buttons


def test_the_owner_stays_when_an_incident_is_resolved_and_reopened(owned: World) -> None:
    owned.ask(owned.ada, "resolve 1")
    assert "#1" not in owned.ask(owned.ben, "list owner:me").text
    assert "#1 Payments fail" in owned.ask(owned.ben, "list closed owner:me").text
    assert "#1 Payments fail is already resolved" in owned.ask(owned.ada, "take 1").text
    assert "#1 Payments fail is already resolved" in owned.ask(owned.ben, "release 1").text
    assert "Release" not in owned.ask(owned.ben, "view 1").buttons
    owned.ask(owned.ada, "reopen 1")
    assert "#1 Payments fail" in owned.ask(owned.ben, "list owner:me").text


@pytest.mark.parametrize("by", ["ben", "dan"], ids=["of some projects", "of every project"])
def test_lists_of_an_owner(owned: World, by: str) -> None:
    person = getattr(owned, by)
    owned.declare("Search is slow")
    owned.declare("Cache is cold")
    owned.ask(owned.dan, "take 3")
    whole = owned.ask(person, "list").text
    assert ("owned by you" if by == "ben" else "owned by Ben Tal") in whole
    unowned = owned.ask(person, "list owner:none").text
    assert "#2 Search is slow" in unowned and "#1" not in unowned and "#3" not in unowned
    for asked in (f"owner:{owned.ben.mention}", "owner:@ben", 'owner:"@Ben Tal"', "owner:ben@acme.test"):
        found = owned.ask(person, f"list {asked}").text
        assert "#1 Payments fail" in found and "#2" not in found and "#3" not in found, asked
        assert "@Ben Tal" in found, asked
    mine = owned.ask(person, "list OWNER:me").text
    assert ("#1 Payments fail" in mine) is (by == "ben") and ("#3 Cache is cold" in mine) is (by == "dan")
    assert "owner: can be me, none or a person such as @ada" in owned.ask(person, "list owner:ben").text
    assert "There is no member “@nobody-here”" in owned.ask(person, "list owner:@nobody-here").text
    assert "cannot use owner:me" in owned.ask(owned.dan, 'digest add "0 9 * * *" owner:me').text


def test_mine_and_unowned_are_no_words_of_a_title(owned: World) -> None:
    owned.declare("Search is slow")
    owned.declare("Payments of mine are unowned")
    for words in ("list mine", "list Mine open", "mine", "list all mine"):
        shown = owned.ask(owned.ben, words).text
        assert "#1 Payments fail" in shown, words
        assert "#2" not in shown and "#3" not in shown, words
    for words in ("list unowned", "unowned"):
        shown = owned.ask(owned.ben, words).text
        assert "#2 Search is slow" in shown and "#3" in shown and "#1" not in shown, words
    for words in ('list "mine"', "list payments mine", "list owner:none mine"):
        shown = owned.ask(owned.ben, words).text
        assert "#3 Payments of mine" in shown and "#1" not in shown and "#2" not in shown, words
    assert "#3" in owned.ask(owned.ben, "list unowned payments").text
    assert "mine are those that you own" in owned.ask(owned.ben, "help list").text


def test_an_owner_among_the_filters_of_a_form(owned: World) -> None:
    owned.declare("Search is slow")
    shown = owned.see(owned.ada, "list owner:@ben")
    owned.ada.press(shown, "Filter")
    assert owned.ada.wait_for_form("Filter incidents").submit().closed
    owned.settle()
    assert "#1 Payments fail" in shown.text and "#2" not in shown.text


def test_home_begins_with_what_i_own(owned: World) -> None:
    owned.declare("Search is slow")
    owned.ben.opens_home()
    home = owned.ben.wait_for_home("Incidents that you own")
    assert home.text.index("#1 Payments fail") < home.text.index("#2 Search is slow")
    assert home.text.count("#1 Payments fail") == 1
    owned.ask(owned.ben, "take 2")
    owned.ben.opens_home()
    home = owned.ben.wait_for_home("No other incidents here.")
    assert home.text.count("#1 Payments fail") == home.text.count("#2 Search is slow") == 1
    owned.ask(owned.ben, "release 2")
    owned.ben.opens_home()
    home = owned.ben.wait_for_home("Open incidents in your teams' projects\n:large_blue_circle: #2")
    owned.ben.press(home, "Release")
    owned.slack.wait_until(
        lambda: "Incidents that you own" not in owned.ben.wait_for_home().text, what="Home without what was released"
    )


@pytest.mark.parametrize("closed", [False, True], ids=["open", "resolved"])
def test_who_no_longer_sees_an_incident_does_not_own_it(owned: World, closed: bool) -> None:
    if closed:
        owned.ask(owned.ada, "resolve 1")
    owned.apply(WITHOUT_BEN, prune=True)
    if closed:
        assert "You reopened #1" in owned.ask(owned.ada, "reopen 1").text
    assert re.search(r"Owner\s+Nobody", owned.seen_by(owned.ada, 1))
    assert "Ben Tal can no longer see this, so nobody owns it now" in owned.ask(owned.ada, "activity 1").text
    assert "Owned by" not in card(owned).text
    assert "You own #1" in owned.ask(owned.ada, "take 1").text


def test_nobody_waits_for_delivery_to_change_an_incident_twice_in_one_go(owned: World) -> None:
    card(owned)
    owned.ask(owned.ada, "resolve 1")
    owned.apply(WITHOUT_BEN, prune=True)
    owned.rest()
    with owned.store.write() as delivery:  # what expands a change locks the channels of the cards first
        organization_id, incident_id = delivery.exec_driver_sql("SELECT organization_id, id FROM incident").one()
        locked = lock_destinations(
            delivery, {incident_id: "T0001"}, [], owned.store.clock.now(), organization_ids=[organization_id]
        )
        assert locked.ids
        # Reopened, and released by who lost access: two entries of the log, each of which makes the card due.
        assert "You reopened #1 Payments fail." in owned.ask(owned.ada, "reopen 1").text
    assert "nobody owns it now" in owned.ask(owned.ada, "activity 1").text


def test_nobody_takes_what_they_cannot_see(owned: World) -> None:
    for words in ("take 1", "release 1"):
        assert "There is no incident #1 that you can see." in owned.ask(owned.cyn, words).text
    assert "The number of the incident is missing." in owned.ask(owned.ben, "take").text


def test_what_view_calls_the_latest_is_what_activity_shows_first(world: World) -> None:
    world.declare("Payments fail")
    for words, latest in (
        ("comment 1 Looking", "Ada Obi commented"),
        ("take 1", "Ada Obi took this"),
        ("handoff 1 @ben", "Ada Obi offered this to Ben Tal"),
        ("severity 1 warning", "Ada Obi changed the severity"),
    ):
        world.ask(world.ada, words)
        first = world.ask(world.ada, "activity 1").text.splitlines()[1].partition(" · ")[0]
        assert first.startswith(latest) and f"\nLatest: {first}, " in world.seen_by(world.ada, 1), words
    world.ask(world.ben, "ack 1")
    assert "\nLatest: Ben Tal acknowledged this, " in world.seen_by(world.ada, 1)
