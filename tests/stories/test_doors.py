"""The other doors: pick lists, forms, shortcuts, the bot mentioned and written to, Home, sharing."""

from __future__ import annotations

import pytest

from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, World

pytestmark = IN_BOTH_MODES


@pytest.mark.parametrize(
    ("verb", "label"), [("view", "View"), ("ack", "Acknowledge"), ("resolve", "Resolve"), ("comment", "Comment")]
)
def test_a_verb_without_its_number_offers_the_five_most_recent_open_incidents(
    world: World, verb: str, label: str
) -> None:
    numbers = [world.declare(f"Incident of the night {n}") for n in range(7)]
    world.ask(world.ada, f"resolve {numbers[6]}")
    message = world.see(world.ada, verb)
    assert message.buttons == [label] * 5
    for offered in numbers[1:6]:
        assert f"#{offered} Incident of the night {offered - 1}" in message.text
    assert f"#{numbers[0]} " not in message.text
    assert f"#{numbers[6]} " not in message.text


def test_acknowledging_from_the_pick_list_shows_the_incident_in_its_place(world: World) -> None:
    number = world.declare("Checkout is down")
    message = world.see(world.ben, "ack")
    world.ben.press(message, "Acknowledge")
    message.wait_for(lambda m: "You acknowledged #1 Checkout is down" in m.text and "Ben Tal" in m.text)
    assert f"#{number} Checkout is down" in message.text


def test_typing_into_the_menu_finds_incidents_by_number_and_title_but_only_those_one_may_see(world: World) -> None:
    for n in range(12):
        world.declare(f"Queue {n} is full")
    world.declare("Search is slow", options="project:catalogue")
    message = world.see(world.ben, "view")
    offered = world.ben.options(message, "Search by number or title", "12")
    assert offered[0] == "#12 Queue 11 is full"
    assert world.ben.options(message, "Search by number or title", "queue 3") == ["#4 Queue 3 is full"]
    assert world.ben.options(message, "Search by number or title", "slow") == []
    assert world.cyn.options(world.see(world.cyn, "view"), "Search by number or title", "slow") == [
        "#13 Search is slow"
    ]
    world.ben.choose(message, "Search by number or title", "#12 Queue 11 is full")
    assert "#12 Queue 11 is full" in world.ben.wait_for_form("Incident").text


def test_declare_with_nothing_behind_it_opens_a_form(world: World) -> None:
    world.ask(world.ben, "declare")
    form = world.ben.wait_for_form("Declare an incident")
    form.fill("Title", "Card payments fail")
    form.choose("Severity", "Critical")
    form.choose("Team", "Payments")
    form.fill("Environment", "production")
    assert form.submit().closed
    message = world.ben.wait_for_message(world.cast.checkout, containing="#1 Card payments fail")
    assert "Critical" in message.text
    assert "Payments" in message.text
    assert "production" in message.text


def test_a_declaration_that_does_not_say_which_project_gets_the_form_with_everything_typed(world: World) -> None:
    world.ask(world.dan, "declare critical env:staging Search results are empty", channel=world.cast.random)
    form = world.dan.wait_for_form("Declare an incident")
    assert form.value("Title") == "Search results are empty"
    assert form.value("Severity") == "Critical"
    assert form.value("Environment") == "staging"
    form.choose("Project", "Catalogue")
    assert form.submit().closed
    world.dan.wait_for_message(world.cast.random, containing="#1 Search results are empty")
    assert "#1 Search results are empty" in world.ask(world.cyn, "view 1").text


def test_the_global_shortcut_declares_and_tells_its_author_directly(world: World) -> None:
    world.ben.shortcut("declare_incident")
    form = world.ben.wait_for_form("Declare an incident")
    form.fill("Title", "Card payments fail")
    assert form.submit().closed
    world.ben.wait_for_message(containing="#1 Card payments fail")


def test_somebody_who_is_no_member_gets_no_form_from_the_shortcut(world: World) -> None:
    world.eve.shortcut("declare_incident")
    form = world.eve.wait_for_form("Tocsin")
    assert "not a member" in form.text


def test_a_message_becomes_a_comment_with_its_link_and_calls_nobody(world: World) -> None:
    world.declare("Checkout is down")
    said = world.dan.say(world.cast.random, "the replica lags <b> @ada, see https://acme.test/graph")
    world.ben.message_shortcut(said, "add_to_incident")
    form = world.ben.wait_for_form("Add to incident")
    form.choose("Incident", "#1 Checkout is down")
    assert form.submit().closed
    log = world.ask(world.ben, "activity 1")
    assert "Ben Tal commented" in log.text
    assert "Dan Wu wrote" in log.text
    assert "the replica lags <b>" in log.text
    assert log.message is not None
    assert "/archives/" in log.message.markup
    assert world.cast.ada.mention not in log.message.markup


def test_the_bot_mentioned_in_a_channel_answers_whoever_asked_alone(world: World) -> None:
    world.declare("Checkout is down")
    world.ben.mention_bot(world.cast.checkout, "list")
    answer = world.ben.wait_for_message(world.cast.checkout, containing="Open incidents")
    assert answer.ephemeral and "#1 Checkout is down" in answer.text
    assert not any("Open incidents" in m.text for m in world.cyn.sees(world.cast.checkout))
    world.slack.settle()
    assert "commented" not in world.ask(world.ben, "activity 1").text


def test_the_same_words_work_in_a_direct_message(world: World) -> None:
    world.ben.tell_bot("declare critical project:checkout Checkout is down")
    world.ben.wait_for_message(containing="#1 Checkout is down")
    world.ben.tell_bot("ACK #1")
    world.ben.wait_for_message(containing="acknowledged #1 Checkout is down")
    world.ben.tell_bot("wat")
    world.ben.wait_for_message(containing="There is no command “wat”")
    world.eve.tell_bot("list")
    world.eve.wait_for_message(containing="not a member")


def test_home_shows_what_concerns_me_and_its_buttons_work_there(world: World) -> None:
    world.declare("Checkout is down", options="critical project:checkout")
    world.declare("Search is slow", options="project:catalogue")
    world.ben.opens_home()
    home = world.ben.wait_for_home("#1 Checkout is down")
    assert "#2" not in home.text
    world.ben.press(home, "Not acknowledged")
    home = world.ben.wait_for_home("Open incidents that you have not acknowledged")
    assert "#1 Checkout is down" in home.text
    world.ben.press(home, "Acknowledge")
    home = world.ben.wait_for_home("You have acknowledged all open incidents")
    world.ben.press(home, "My teams")
    home = world.ben.wait_for_home("Open incidents in your teams' projects")
    world.ben.press(home, "View")
    form = world.ben.wait_for_form("Incident")
    assert "#1 Checkout is down" in form.text
    world.ben.press(form, "Comment")
    comment = world.ben.wait_for_form("Comment #1")
    comment.fill("Comment", ["rolled back, ", world.ada])
    assert comment.submit().closed
    world.slack.wait_until(lambda: world.ben.form is not None and "rolled back" in world.ben.form.text)
    world.ben.wait_for_form("Incident").close()
    world.ben.press(world.ben.home(), "Resolve")
    assert world.ben.wait_for_form("Resolve #1").submit().closed
    world.ben.wait_for_home("No open incidents in your teams' projects")


def test_home_pages(world: World) -> None:
    for n in range(1, 13):
        world.declare(f"Incident {n}")
    world.ben.opens_home()
    home = world.ben.wait_for_home("#12 Incident 12")
    assert "#2 Incident 2" not in home.text
    world.ben.press(home, "Next")
    home = world.ben.wait_for_home("#2 Incident 2")
    world.ben.press(home, "Previous")
    world.ben.wait_for_home("#12 Incident 12")


def test_home_of_somebody_unknown_says_so(world: World) -> None:
    world.eve.opens_home()
    world.eve.wait_for_home("not a member")


def test_a_page_shared_with_the_channel_holds_only_what_the_channel_is_given(world: World) -> None:
    world.declare("Checkout is down")
    world.declare("Search is slow", options="project:catalogue")
    page = world.see(world.dan, "list")
    world.dan.press(page, "Share")
    shared = world.eve.wait_for_message(world.cast.checkout, containing="Shared by Dan Wu")
    assert "#1 Checkout is down" in shared.text
    assert "#2" not in shared.text
    elsewhere = world.see(world.dan, "list", channel=world.cast.random)
    world.dan.press(elsewhere, "Share")
    world.dan.wait_for_message(world.cast.random, containing="Nothing can be shared here")
    assert not any("#1" in m.text for m in world.eve.sees(world.cast.random))


def test_the_filters_of_a_list_are_changed_by_a_form(world: World) -> None:
    world.declare("Checkout is down", options="critical project:checkout")
    world.declare("Basket is slow", options="project:checkout")
    page = world.see(world.ben, "list checkout")
    world.ben.press(page, "Filter")
    form = world.ben.wait_for_form("Filter incidents")
    assert form.value("Words in the title") == "checkout"
    form.choose("Since", "7 days ago")
    form.fill("Words in the title", "slow")
    assert form.submit().closed
    page.wait_for(lambda m: "#2 Basket is slow" in m.text and "#1" not in m.text)


def test_the_filters_are_picked_from_what_one_may_see(world: World) -> None:
    world.declare("Checkout is down", options="critical project:checkout team:payments env:production")
    world.declare("Basket is slow", options="project:checkout env:staging")
    world.declare("Search is slow", options="project:catalogue team:search env:lab")
    page = world.see(world.ben, "list")
    world.ben.press(page, "Filter")
    form = world.ben.wait_for_form("Filter incidents")
    assert form.options("Project") == ["Checkout"]
    assert form.options("Teams") == ["My teams", "Unassigned", "Payments"]
    assert form.offered("Environment") == ["production", "staging"]
    assert form.offered("Environment", "Prod") == ["production", "Prod"]
    assert form.offered("Environment", "PRODUCTION") == ["production"]
    assert form.offered("Since") == ["1 hour ago", "24 hours ago", "7 days ago", "30 days ago"]
    assert form.offered("Since", "36") == ["36 hours ago", "36 days ago", "36 weeks ago", "36 minutes ago"]
    assert form.offered("Until", "2026-11-01T09:30") == ["2026-11-01T09:30"]
    assert form.offered("Until", "36 Hours") == form.offered("Until", "36h") == ["36 hours ago"]
    assert form.offered("Until", "yesterdayish") == []
    form.choose("Teams", "My teams", "Unassigned").choose("Environment", "production")
    assert form.submit().closed
    page.wait_for(lambda m: "#1 Checkout is down" in m.text and "#2" not in m.text)
    assert 'team:"mine,unassigned"' in page.text or "team:mine,unassigned" in page.text


def test_the_form_of_filters_keeps_what_was_typed(world: World) -> None:
    world.declare("Checkout is down", options="project:checkout team:payments env:production")
    page = world.see(world.ben, "list all team:payments,search env:production since:36h until:2099-1-2")
    world.ben.press(page, "Filter")
    form = world.ben.wait_for_form("Filter incidents")
    assert form.value("Teams") == ["Payments", "search"]
    assert form.value("Environment") == "production"
    assert form.value("Since") == "36 hours ago" and form.value("Or since a date") is None
    assert form.value("Until") is None and form.value("Or until a date") == "2099-01-02"
    form.pick("Or since a date", "2020-02-29")
    assert form.submit().errors == {"Or since a date": "Choose a time or a date, not both."}
    form.choose("Since")
    assert form.submit().closed
    page.wait_for(lambda m: "since:2020-02-29 until:2099-01-02" in m.text)
    assert "#1 Checkout is down" in page.text


def test_nothing_is_shared_in_a_channel_that_another_company_reads(world: World) -> None:
    outside = world.slack.channel("C0009", "with-globex", shared_with="T0999")
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: [C0001, C0009]"))
    world.declare("Checkout is down")
    page = world.see(world.ada, "list", channel=outside)
    world.ada.press(page, "Share")
    world.ada.wait_for_message(outside, containing="shared with another company")
