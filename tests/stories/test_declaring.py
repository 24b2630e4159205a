"""Declaring an incident in a line."""

from __future__ import annotations

import pytest

from tests.stories.conftest import IN_BOTH_MODES, World

pytestmark = IN_BOTH_MODES


def test_a_declared_incident_is_shown_with_its_buttons(world: World) -> None:
    answer = world.ask(world.ben, "declare critical project:checkout team:payments env:prod Payments fail with 502")
    assert "You opened this incident" in answer.text
    for fact in ("#1 Payments fail with 502", "Critical", "Checkout", "Payments", "prod", "Seen by Ben Tal"):
        assert fact in answer.text
    assert answer.buttons == ["Acknowledge", "Take it", "Resolve", "Comment", "Activity", "Unsubscribe"]
    assert answer.message is not None and answer.message.ephemeral


def test_numbers_count_from_one(world: World) -> None:
    assert [world.declare(f"Outage {word}") for word in ("one", "two", "three")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("Payments fail", "Payments fail"),
        ('"Payments fail"', "Payments fail"),
        ("“Payments fail”", "Payments fail"),
        ("  Payments \u00a0  fail ", "Payments fail"),
        ('the "big" one', 'the "big" one'),
        ("it's down", "it's down"),
        ("can’t log in", "can’t log in"),
        ('a lone " quote', 'a lone " quote'),
        ("R&D <prod> is > 5 % off", "R&D <prod> is > 5 % off"),
        ("snake_case_name is 2 * 3 or ~4", "snake_case_name is 2 * 3 or ~4"),
        ("🔥 la caisse est tombée 🔥", "🔥 la caisse est tombée 🔥"),
        ("支払いが失敗する", "支払いが失敗する"),
        ("see https://status.example.test/a?b=1&c=2 now", "see https://status.example.test/a?b=1&c=2 now"),
        ("Checkout: 502", "Checkout: 502"),
        ("Time: 12:30 – error: boom", "Time: 12:30 – error: boom"),
        ("Critical disk", "Critical disk"),
        ("@ada broke #random", "@ada broke #random"),
        ("x" * 255, "x" * 255),
        ("&" * 255, "&" * 255),
    ],
)
def test_a_title_is_what_was_typed(world: World, typed: str, title: str) -> None:
    line = f"declare warning {typed}"
    answer = world.ask(world.ben, line)
    assert answer.text.splitlines()[1] == f":large_yellow_circle: #1 {title}"
    assert title in world.ask(world.ben, "list").text


def test_options_may_stand_before_or_behind_the_title_in_any_case(world: World) -> None:
    for line in (
        "declare WARNING Project:Checkout ENV:prod Slow",
        "declare project:checkout env:prod warning Slow",
        'declare env:"prod" warning Slow project:checkout',
        "declare warning Slow project:checkout env:“prod”",
    ):
        text = world.ask(world.ada, line).text
        assert "Warning" in text and "Checkout" in text and "prod" in text, line
        assert text.splitlines()[1].endswith(" Slow"), line


def test_the_project_is_the_one_whose_channel_this_is(world: World) -> None:
    assert "Catalogue" in world.ask(world.dan, "declare Slow", channel=world.cast.catalogue).text
    assert "Checkout" in world.ask(world.dan, "declare Slow", channel=world.cast.checkout).text


def test_elsewhere_it_is_the_one_of_the_team_that_is_named_or_of_the_callers(world: World) -> None:
    random = world.cast.random
    assert "Catalogue" in world.ask(world.dan, "declare team:search Slow", channel=random).text
    assert "Checkout" in world.ask(world.ada, "declare Slow", channel=random).text  # hers is Payments
    assert "Catalogue" in world.ask(world.cyn, "declare Slow", channel=random).text


def test_where_it_cannot_be_told_the_project_is_asked_for(world: World) -> None:
    world.ask(world.dan, "declare critical The whole shop is down", channel=world.cast.random)
    form = world.dan.wait_for_form("Declare an incident")
    assert form.options("Project") == ["Catalogue", "Checkout"]
    assert form.value("Title") == "The whole shop is down"
    assert "No open" in world.ask(world.dan, "list").text


def test_said_in_a_message_no_form_can_open_and_the_project_is_asked_for_in_words(world: World) -> None:
    world.dan.tell_bot("declare critical The whole shop is down")
    answer = world.dan.wait_for_message(containing="Which project").text
    assert "catalogue" in answer and "checkout" in answer
    assert "The whole shop is down" in answer


def test_a_channel_of_a_project_that_the_caller_does_not_see_is_no_hint(world: World) -> None:
    text = world.ask(world.ben, "declare Slow", channel=world.cast.catalogue).text
    assert "Checkout" in text and "Catalogue" not in text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("declare project:nope Slow start", "no project “nope”"),
        ("declare project:chekout Slow start", "Did you mean /incident declare project:checkout Slow start?"),
        ("declare project:catalogue Slow start", "no project “catalogue”"),  # not Ben's to see
        ("declare team:nope Slow start", "no team “nope”"),
        ("declare env: Slow start", "env: needs a value"),
        ("declare project:checkout project:checkout Slow", "given twice"),
        ("declare critical project:checkout", "needs a title"),
        ('declare "" project:checkout', "needs a title"),
        ("declare " + "x" * 256, "at most 255 characters"),
        ("declare env:" + "x" * 65 + " Slow start", "at most 64 characters"),
    ],
)
def test_what_cannot_be_declared_is_said_and_given_back(world: World, line: str, says: str) -> None:
    answer = world.ask(world.ben, line)
    assert says in answer.text
    if len(line.split()) > 2:
        assert line in answer.text
    assert "No open" in world.ask(world.ada, "list").text


def test_somebody_who_sees_no_project_is_told_so(world: World) -> None:
    world.apply("""
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams: [{slug: payments, name: Payments}]
projects: [{slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}]
members: [{email: ben@acme.test, name: Ben Tal, role: member}]
""")
    world.slack.person("U0090", "New Hire", "new@acme.test")
    world.apply("""
organization: {slug: acme, name: Acme, workspaces: [T0001]}
members: [{email: new@acme.test, name: New Hire, role: member}]
""")
    new = world.slack.who("U0090")
    assert "no project" in world.ask(new, "declare Everything is down").text
    assert "None" in world.ask(new, "whoami").text
    assert "no project" in world.ask(new, "list").text
