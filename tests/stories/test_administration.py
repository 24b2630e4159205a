"""Managers and owners administer the organization from Home."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.handlers.router import Router
from bot.incidents.access import Access
from bot.intake.tokens import Source
from bot.people import membership
from bot.slack.requests import Person as Caller
from sandbox import Person
from sandbox.driver.form import Form
from tests.stories.conftest import ORGANIZATION, World, token_for_checkout
from tests.stories.test_calls import read_usergroups
from tests.stories.test_joining import ask_in, requests
from tests.stories.test_members import change, set_role, whoami


def open_window(person: Person, topic: str) -> Form:
    person.opens_home()
    person.press(person.wait_for_home("Administration"), topic)
    return person.wait_for_form(topic)


def shown_on_home(person: Person) -> str:
    home = person.home()
    return home.text if home else ""


def test_only_managers_and_owners_have_the_section(world: World) -> None:
    token_for_checkout(world, Source.EVENTS)
    world.ask(world.ada, 'digest add "weekdays at 9"')
    change(world, world.ada, "member role ben admin", "Change role")
    world.dan.opens_home()
    home = world.dan.wait_for_home("Administration").text
    for line in (
        "5 members · 1 changed in Slack\n2 teams\n2 projects · 2 channels\nNo call rules\n",
        "\n1 digest\nNo silences\n1 token · never used",
    ):
        assert line in home
    for person in (world.ben, world.sue):
        person.opens_home()
        assert "Administration" not in person.wait_for_home("Everything above").text


def test_members_are_changed_in_their_window(world: World) -> None:
    window = open_window(world.dan, "Members")
    assert "Ben Tal · Member · ben@acme.test · Payments" in window.text
    world.dan.press(window, "Change role", containing="Ben Tal")
    form = world.dan.wait_for_form("Change role")
    assert form.value("Role") == "Member"
    assert form.choose("Role", "Admin").submit().closed
    window.wait_for(lambda shown: "Ben Tal has the role admin now." in shown.text)
    assert "Ben Tal · Admin · ben@acme.test · Payments · changed in Slack (role was member)" in window.text

    world.dan.press(window, "Change teams", containing="Ben Tal")
    form = world.dan.wait_for_form("Change teams")
    assert form.value("Teams") == ["Payments"]
    assert form.choose("Teams", "Search").submit().closed
    window.wait_for(lambda shown: "changed in Slack (role was member, teams were Payments)" in shown.text)

    world.dan.press(window, "Add member")
    form = world.dan.wait_for_form("Add member")
    assert form.choose("Who?", world.eve).choose("Teams", "Payments").submit().closed
    window.wait_for(lambda shown: "You added Eve Out with the role member and the teams Payments." in shown.text)
    assert "Eve Out · Member · eve@elsewhere.test · Payments · added in Slack" in window.text
    assert "member" in whoami(world, world.eve)

    world.dan.press(window, "Remove", containing="Eve Out")
    assert world.dan.wait_for_form("Remove member").submit().closed
    window.wait_for(lambda shown: "You removed Eve Out." in shown.text and "Eve Out · Member" not in shown.text)


def test_what_the_file_has_taken_over_is_not_shown_as_changed_before(world: World) -> None:
    change(world, world.ada, "member role ben admin", "Change role")
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    assert "changed in Slack" not in world.ask(world.ada, "members ben").text
    change(world, world.ada, "member teams ben team:search", "Change teams")
    assert "changed in Slack (teams were Payments)" in world.ask(world.ada, "members ben").text


def test_a_team_that_is_gone_is_shown_as_a_former_one(world: World) -> None:
    both = ORGANIZATION.replace("Ben Tal, role: member, teams: [payments]", "Ben Tal, teams: [payments, search]")
    world.apply(both)
    change(world, world.ada, "member teams ben team:payments", "Change teams")
    assert "changed in Slack (teams were Payments, Search)" in world.ask(world.ada, "members ben").text
    gone = [line for line in ORGANIZATION.splitlines() if "Ben Tal" not in line and "slug: search" not in line]
    world.apply("\n".join(gone).replace("[search]", "[]"), prune=True)
    assert "changed in Slack (teams were Payments, search (former team))" in world.ask(world.ada, "members ben").text


def test_what_was_changed_back_is_not_shown_as_changed(world: World) -> None:
    for words, title in (("role ben admin", "Change role"), ("teams ben team:search", "Change teams")):
        change(world, world.ada, f"member {words}", title)
    assert "(role was member, teams were Payments)" in world.ask(world.ada, "members ben").text
    change(world, world.ada, "member role ben member", "Change role")
    change(world, world.ada, "member teams ben team:payments", "Change teams")
    assert "changed in Slack" not in world.ask(world.ada, "members ben").text
    world.ada.opens_home()
    assert "5 members\n" in world.ada.wait_for_home("Administration").text
    # The file may remove them again, as before.
    world.apply("\n".join(line for line in ORGANIZATION.splitlines() if "Ben Tal" not in line), prune=True)
    assert "Ben Tal" not in world.ask(world.ada, "members").text


def test_who_was_removed_in_slack_is_shown_until_the_file_has_decided(world: World) -> None:
    answer = change(world, world.dan, f"member remove {world.ben.mention}", "Remove member")
    returns = "If the organization file still names them, the next apply adds them again."
    assert returns in answer
    for shown in (
        world.ask(world.ada, "members").text,
        world.ask(world.ada, "members ben").text,
        open_window(world.ada, "Members").text,
    ):
        assert "Removed in Slack: Ben Tal (today at " in shown and returns in shown
    assert "Removed in Slack" not in world.ask(world.ada, "members cyn").text
    world.apply(ORGANIZATION)
    assert "Ben Tal · Member" in world.ask(world.ada, "members").text
    change(world, world.dan, f"member remove {world.ben.mention}", "Remove member")
    without = "\n".join(line for line in ORGANIZATION.splitlines() if "Ben Tal" not in line)
    for _ in range(2):  # the second has nothing left to change
        world.apply(without)
        assert "Ben Tal" not in world.ask(world.ada, "members").text
    ask_in(world, world.ben)
    assert "They were a member, and were removed in Slack" in requests(world.dan)[0].text


def test_a_member_is_changed_from_the_list_of_the_command(world: World) -> None:
    listed = world.see(world.dan, "members ben")
    world.dan.press(listed, "Change role", containing="Ben Tal")
    form = world.dan.wait_for_form("Change role")
    assert form.choose("Role", "Manager").submit().closed
    listed.wait_for(lambda shown: "Ben Tal has the role manager now." in shown.text)


def test_the_rules_of_the_commands_count_in_the_window(world: World) -> None:
    window = open_window(world.dan, "Members")
    world.dan.press(window, "Remove", containing="Ada Obi")
    assert "Only an owner can remove an owner." in world.dan.wait_for_form("Tocsin").text
    set_role(world, "Dan Wu", "member")
    for label in ("Change role", "Remove"):
        world.dan.press(window, label, containing="Ben Tal")
        refused = world.dan.wait_for_form("Tocsin")
        assert "Only managers and owners" in refused.text
        refused.close()
    world.dan.press(world.dan.home(), "Tokens")
    assert "Only managers and owners" in world.dan.wait_for_form("Tocsin").text


@pytest.mark.parametrize(
    ("role", "sentence"), [("Member", "You are a member now."), ("Admin", "You are an admin now.")]
)
def test_who_gives_up_their_role_sees_no_members_any_more(world: World, role: str, sentence: str) -> None:
    window = open_window(world.dan, "Members")
    world.dan.press(window, "Change role", containing="Dan Wu")
    assert world.dan.wait_for_form("Change role").choose("Role", role).submit().closed
    window.wait_for(lambda shown: sentence in shown.text)
    assert "@acme.test" not in str(window.blocks) and not window.buttons
    world.slack.wait_until(lambda: "Administration" not in shown_on_home(world.dan), what="Home to be published")
    window.close()


def test_a_token_is_revoked_and_its_secret_is_never_shown(world: World, deliver: Any) -> None:
    assert deliver(Source.EVENTS, {"dedup_key": "a"}).status_code == 202
    window = open_window(world.ada, "Tokens")
    found = re.search(r"Token (\d+) · Events · project checkout\nCreated .* · last used today", window.text)
    assert found
    assert "tocsin_" not in str(window.blocks)
    world.ada.press(window, "Revoke")
    window.wait_for(lambda shown: f"You revoked token {found[1]}." in shown.text and "No tokens." in shown.text)
    world.ada.wait_for_home("\nNo tokens")
    assert deliver(Source.EVENTS, {"dedup_key": "b"}).status_code == 401
    assert f"revoked intake token {found[1]} in Slack" in world.ask(world.ada, "audit").text


def test_who_lost_their_role_meanwhile_revokes_no_token(
    world: World, deliver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deliver(Source.EVENTS, {"dedup_key": "a"}).status_code == 202
    window = open_window(world.dan, "Tokens")
    check = membership.check_manages

    def check_and_lose_role(access: Access) -> None:
        """As if an owner were faster than the transaction of the press."""
        check(access)
        set_role(world, "Dan Wu", "member")

    monkeypatch.setattr(membership, "check_manages", check_and_lose_role)
    world.dan.press(window, "Revoke")
    assert "Only managers and owners" in world.dan.wait_for_form("Tocsin").text
    monkeypatch.undo()
    assert deliver(Source.EVENTS, {"dedup_key": "b"}).status_code == 202
    assert "revoked intake token" not in world.ask(world.ada, "audit").text


def test_teams_and_projects_say_where_they_come_from(world: World) -> None:
    world.apply(
        ORGANIZATION.replace(
            "slack_usergroup: S0001", "slack_usergroup: S0001, sync_members: true, oncall_usergroup: S0002"
        )
    )
    world.slack.wait_until(
        lambda: "Payments · 2 members" in open_window(world.ada, "Teams").text, what="the user group"
    )
    teams = open_window(world.ada, "Teams").text
    assert "Payments · 2 members from @payments · on call: @search" in teams
    assert "Search · 1 member · user group @search" in teams and "come from the organization file" in teams
    projects = open_window(world.ada, "Projects").text
    assert "Checkout · Payments\n#checkout" in projects and "come from the organization file" in projects


def test_calls_digests_and_silences_are_changed_with_their_own_buttons(world: World, deliver: Any) -> None:
    world.dan.opens_home()
    world.dan.press(world.dan.wait_for_home("Administration"), "All open")
    world.dan.wait_for_home("All open incidents")
    window = open_window(world.dan, "Calls")
    world.dan.press(window, "Edit", containing="Payments")
    form = world.dan.wait_for_form("Calls")
    assert form.fill("Who is called, and when", "critical team after 5m").submit().closed
    window.wait_for(lambda shown: "You changed the calls of Payments." in shown.text and "set in Slack" in shown.text)
    home = world.dan.wait_for_home("Calls for 1 team · 1 set in Slack").text
    assert "No open incidents" in home and "All open incidents" in home  # the tab stays
    window.close()

    world.ask(world.ada, 'digest add "weekdays at 9"')
    window = open_window(world.dan, "Digests")
    world.dan.press(window, "Preview")
    world.dan.wait_for_form("Preview").close()
    world.dan.press(window, "Pause")
    window.wait_for(lambda shown: "You paused digest" in shown.text and "Resume" in shown.buttons)
    world.dan.press(window, "Edit")
    assert world.dan.wait_for_form().submit().closed
    window.wait_for(lambda shown: "You changed digest" in shown.text and "owned by Ada Obi" in shown.text)
    world.dan.press(window, "Remove")
    window.wait_for(lambda shown: "You removed digest" in shown.text and "No digests." in shown.text)
    window.close()

    deliver(Source.EVENTS, {"dedup_key": "a", "title": "Payments fail"})
    world.ask(world.ada, "silence 1 2h")
    window = open_window(world.dan, "Silences")
    world.dan.press(window, "End silence")
    window.wait_for(lambda shown: "You ended silence" in shown.text and "No silences." in shown.text)


@pytest.mark.parametrize("many", [45])
def test_windows_are_paged_within_the_limits_of_slack(world: World, many: int) -> None:
    teams = "".join(f"  - {{slug: t{n}, name: 'Team {n:02} *<!channel>*'}}\n" for n in range(many))
    members = "".join(f"  - {{email: m{n}@acme.test, name: Member {n:02}}}\n" for n in range(many))
    projects = "".join(
        f"  - {{slug: p{n}, name: Project {n:02}, teams: [{', '.join(f't{one}' for one in range(30))}]}}\n"
        for n in range(many)
    )
    world.apply(
        ORGANIZATION.replace("projects:\n", teams + "projects:\n").replace("members:\n", projects + "members:\n")
        + members
    )
    for topic, first, last in (
        ("Members", "Member 03", "Sue Perm"),
        ("Teams", "Team 03", "Team 44"),
        ("Projects", "Project 03", "Project 44"),
        ("Calls", "Team 03", "Team 44"),
    ):
        window = open_window(world.ada, topic)
        assert first in window.text and last not in window.text
        for _ in range(2):
            before = window.text
            world.ada.press(window, "Next")
            window.wait_for(lambda shown, before=before: shown.text != before)  # type: ignore[misc]
        assert last in window.text and first not in window.text and "Next" not in window.buttons
        world.ada.press(window, "Previous")
        window.wait_for(lambda shown: "Next" in shown.buttons)
        window.close()


def test_the_workspace_of_the_token_has_its_name(world: World) -> None:
    world.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001, T0002]"))
    shown = world.ask(world.ada, "workspaces").text
    assert "2 workspaces of Acme" in shown and "Acme (T0001)\nConnected" in shown and "\nT0002\nConnected" in shown


def test_home_follows_what_others_change_about_a_member(world: World) -> None:
    """By a manager, the file and a user group; a user group and the file change it in no request of theirs."""

    def opens(person: Person, sentence: str) -> None:
        person.opens_home()
        person.wait_for_home(sentence)
        world.settle()

    def shows(person: Person, sentence: str, *, shown: bool = True) -> None:
        world.slack.wait_until(lambda: (sentence in shown_on_home(person)) is shown, what=f"Home with {sentence}")

    opens(world.ben, "Everything above")
    opens(world.eve, "You are not a member")
    change(world, world.ada, "member role ben manager", "Change role")
    shows(world.ben, "Administration")
    change(world, world.ada, f"member add {world.eve.mention} team:payments", "Add member")
    shows(world.eve, "Everything above")
    change(world, world.ada, "member teams eve team:none", "Change teams")
    shows(world.eve, "because you have no project")
    change(world, world.ada, "member remove eve", "Remove member")
    shows(world.eve, "You are not a member")
    world.apply(ORGANIZATION)
    shows(world.ben, "Administration", shown=False)
    synced = ORGANIZATION.replace("slack_usergroup: S0002", "slack_usergroup: S0002, sync_members: true")
    world.apply(synced + "  - {email: eve@elsewhere.test, name: Eve Out}\n")
    shows(world.eve, "because you have no project")
    world.slack.set_members(world.cast.search, [world.cyn, world.eve])
    world.slack.settle()
    read_usergroups(world)
    shows(world.eve, "Everything above")
    shows(world.eve, "because you have no project", shown=False)
    with world.store.read() as connection:
        others = "SELECT user_id FROM slack_person WHERE home_opened ORDER BY 1"
        assert connection.exec_driver_sql(others).scalars().all() == ["U0002", "U0006"]


def test_home_follows_of_whom_slack_could_say_nothing_when_they_opened_it_first(world: World) -> None:
    world.slack.faults.fail("users.info", times=None)
    world.eve.opens_home()
    world.eve.wait_for_home("Slack did not answer")
    world.settle()
    world.slack.faults.clear()
    world.eve.opens_home()
    world.eve.wait_for_home("You are not a member")
    world.settle()
    change(world, world.ada, f"member add {world.eve.mention} team:payments", "Add member")
    world.slack.wait_until(lambda: "Everything above" in shown_on_home(world.eve), what="Home of a member")


def test_a_home_that_cannot_be_rendered_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for person in (world.ben, world.cyn):
        person.opens_home()
        person.wait_for_home("Everything above")
    world.settle()
    render = Router.render_home

    def fail_for_ben(router: Router, person: Caller) -> Any:
        if person.user_id == world.ben.id:
            raise ZeroDivisionError
        return render(router, person)

    monkeypatch.setattr(Router, "render_home", fail_for_ben)
    world.apply(ORGANIZATION.replace("role: member", "role: manager"))
    world.slack.wait_until(lambda: "Administration" in shown_on_home(world.cyn), what="the Home of the other")
    assert "Administration" not in shown_on_home(world.ben)
    with world.store.read() as connection:
        due = "SELECT user_id FROM slack_person WHERE home_due_at IS NOT NULL"
        world.slack.wait_until(lambda: not connection.exec_driver_sql(due).all(), what="no Home that is due")
