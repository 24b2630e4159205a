"""`calls`: everybody reads who is called for their teams, and managers change it where the file does not say."""

from __future__ import annotations

import pytest

from sandbox import SeenMessage
from sandbox.driver.form import Form
from tests.stories.conftest import ORGANIZATION, World
from tests.stories.test_calls import calls_of, declare, pass_by, with_calls

FIELD = "Who is called, and when"
RULES = "critical team after 5m\ncritical managers after 15m repeat 15m"


def edit(world: World, answer: SeenMessage | None = None) -> Form:
    """The form that Ada opens."""
    world.ada.press(answer or world.shown(world.ask(world.ada, "calls team:payments")), "Edit")
    return world.ada.wait_for_form()


def save(world: World, rules: str) -> None:
    form = edit(world)
    form.fill(FIELD, rules)
    assert not form.submit().errors
    world.rest()


def test_a_manager_writes_the_rules_and_they_call(world: World) -> None:
    assert "Payments\nNobody is called." in world.ask(world.ben, "calls").text.replace("*", "")
    save(world, "Critical  team after 300s\n\ncritical managers after 15m repeat 15m")
    world.slack.wait_until(
        lambda: any("You changed the calls of Payments." in one.text for one in world.ada.sees(world.cast.checkout)),
        what="the answer to the form",
    )
    shown = world.shown(world.ask(world.ben, "calls"))
    assert "critical team after 5m" in shown.text and "critical managers after 15m repeat 15m" in shown.text
    assert shown.buttons == []
    assert edit(world).value(FIELD) == RULES
    declare(world)
    pass_by(world, 5.1)
    assert "You are a member of Payments" in calls_of(world.ben)[0].text


def test_an_emptied_form_asks_before_all_calls_end(world: World) -> None:
    save(world, RULES)
    form = edit(world)
    form.fill(FIELD, " \n ").submit()
    asked = world.ada.wait_for_form("End all calls?")
    assert "Nobody will be called for incidents of Payments any more." in asked.text
    assert "critical managers after 15m repeat 15m" in asked.text
    asked.close()
    assert "critical team after 5m" in world.ask(world.ben, "calls payments").text
    edit(world).fill(FIELD, "").submit()
    assert world.ada.wait_for_form("End all calls?").submit().closed
    world.settle()
    assert "Nobody is called." in world.ask(world.ben, "calls payments").text
    assert edit(world).submit().closed  # where nobody is called, nothing ends


@pytest.mark.parametrize(
    ("rules", "mistake"),
    [
        ("critical", "Line 1: a rule begins with a severity and who is called, like critical oncall after 0m."),
        ("critical team\nurgent team", "Line 2: “urgent” should be critical, warning or none."),
        ("critical ben", "Line 1: “ben” should be oncall, team, managers or the e-mail address of a member."),
        ("critical oncall", "Line 1: “oncall” cannot be called: the team has no oncall_usergroup."),
        ("critical cyn@acme.test", "Line 1: “cyn@acme.test” cannot be called: cyn@acme.test is not in this team, so"),
        ("critical eve@acme.test", "Line 1: “eve@acme.test” cannot be called: there is no member eve@acme.test."),
        ("critical team aftr 5m", "Line 1: “aftr” cannot follow “team”; did you mean “after”?"),
        ("critical team after", "Line 1: “after” needs a value, like after 15m."),
        ("critical team after 5", "Line 1: “after 5” should be a number and s, m, h or d, like 60m."),
        ("critical team after 31d", "Line 1: “after 31d” should be at most 30d."),
        ("critical team after 1m after 2m", "Line 1: “after” can be given only once."),
        (
            "critical team repeat 30s",
            "Line 1: “repeat 30s” repeats faster than once a minute; it should be 1m or more.",
        ),
        ("critical team quiet 7-9", "Line 1: “quiet 7-9” should be two times of the day, like 22:00-07:00."),
        ("critical team until seen", "Line 1: “until seen” should be owned or acknowledged."),
        (
            "critical team\n\ncritical ada@acme.test after 0s",
            "Line 3: “ada@acme.test” calls ada@acme.test twice in one step; the rule on line 1 calls them at the same",
        ),
    ],
)
def test_a_mistake_stands_at_the_field_and_nothing_changes(world: World, rules: str, mistake: str) -> None:
    form = edit(world)
    form.fill(FIELD, rules)
    form.submit()
    assert form.errors[FIELD].startswith(mistake)
    assert form.open and form.value(FIELD) == rules
    assert "Nobody is called." in world.ask(world.ada, "calls").text


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(world: World) -> None:
    late = edit(world)
    late.fill(FIELD, "warning team")
    world.dan.press(world.shown(world.ask(world.dan, "calls payments")), "Edit")
    first = world.dan.wait_for_form()
    first.fill(FIELD, RULES)
    assert not first.submit().errors
    late.submit()
    assert "Somebody changed these calls while you were editing them" in late.errors[FIELD]
    assert "critical team after 5m" in world.ask(world.ada, "calls").text


def test_the_file_counts_where_it_names_the_calls(world: World) -> None:
    late = edit(world)
    late.fill(FIELD, RULES)
    world.slack.usergroup("S0009", "payments-oncall", "Payments on call", [world.ben])
    world.apply(with_calls())
    late.submit()
    assert "The organization file sets these calls now" in late.errors[FIELD]
    form = edit(world)
    assert "The organization file sets these calls" in form.text and "critical oncall after 0m" in form.text
    assert not form.view.definition.get("submit")


def test_others_only_read_and_only_teams_that_they_see(world: World) -> None:
    pressed = world.shown(world.ask(world.ada, "calls"))
    world.apply(ORGANIZATION.replace("role: owner", "role: admin").replace("role: manager", "role: owner"))
    world.ada.press(pressed, "Edit")
    world.ada.wait_for_message(world.cast.checkout, containing="Only managers and owners can change the calls")
    answer = world.ask(world.ben, "calls TEAM:search").text
    assert "There is no team “search” that you can see. You can use payments." in answer
    assert "Search" in world.ask(world.cyn, "calls").text
    everything = world.shown(world.ask(world.dan, "calls"))
    assert "Payments" in everything.text and "Search" in everything.text
