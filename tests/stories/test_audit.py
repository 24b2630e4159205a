"""Managers and owners see who changed what, in Slack, and nothing of other organizations."""

from __future__ import annotations

import re

from tests.stories.conftest import ORGANIZATION, Run, World
from tests.stories.test_calls import read_usergroups
from tests.stories.test_joining import ask_in, requests
from tests.stories.test_members import change


def test_the_log_says_who_changed_what_when_and_from_where(world: World) -> None:
    change(world, world.dan, f"member role {world.ben.mention} admin", "Change role")
    shown = world.ask(world.ada, "audit").text
    assert "Dan Wu changed the member Ben Tal in Slack" in shown
    assert "role: member → admin" in shown
    assert "added the team Payments with the organization file" in shown


def test_what_is_done_to_digests_and_silences_is_recorded(world: World) -> None:
    for who, words, table in (
        (world.ada, 'digest add "weekdays at 9"', "digest"),
        (world.ada, "digest pause {}", "digest"),
        (world.ada, "digest remove {}", "digest"),
        (world.ada, "maintenance project:checkout 2h *upgrade*", "silence"),
        (world.dan, "silence end {}", "silence"),
    ):
        with world.store.read() as connection:
            latest = connection.exec_driver_sql(f"SELECT max(id) FROM {table}").scalar()  # noqa: S608
        assert ":warning:" not in world.ask(who, words.format(latest)).text
    shown = world.ask(world.dan, "audit").text
    for line in (
        "Ada Obi added digest",
        "schedule: weekdays at 9:00 AM",
        "paused: no → yes",
        "Ada Obi removed digest",
        "Ada Obi added silence",
        "project: Checkout",
        "Dan Wu ended silence",
    ):
        assert line in shown, line


def test_nothing_is_recorded_of_what_changed_nothing(world: World) -> None:
    before = world.ask(world.ada, "audit since:1d").text
    change(world, world.dan, f"member role {world.ben.mention} member", "Change role")
    world.apply(ORGANIZATION)
    assert world.ask(world.ada, "audit since:1d").text == before


def test_the_log_is_filtered_by_person_and_time(world: World) -> None:
    change(world, world.dan, f"member role {world.ben.mention} admin", "Change role")
    change(world, world.ada, f"member teams {world.cyn.mention} team:payments", "Change teams")
    change(world, world.ada, f"member remove {world.cyn.mention}", "Remove member")
    of_ben = world.ask(world.ada, f"audit {world.ben.mention}").text
    assert "Dan Wu changed the member Ben Tal" in of_ben and "Cyn Roe" not in of_ben
    of_dan = world.ask(world.ada, "audit @dan since:1h").text
    assert "Ben Tal" in of_dan and "Cyn Roe" not in of_dan
    # Somebody who left is found by name.
    assert "Ada Obi removed the member Cyn Roe" in world.ask(world.ada, "audit Cyn Roe").text
    assert "No changes were found." in world.ask(world.ada, "audit @sue since:2999-01-01").text


def test_requests_to_be_let_in_are_found_by_person(world: World) -> None:
    ask_in(world, world.eve)
    [to_dan] = requests(world.dan)
    world.dan.press(to_dan, "Decline")
    to_dan.wait_for(lambda shown: "declined" in shown.text)
    change(world, world.ada, f"member role {world.ben.mention} admin", "Change role")
    for person in (world.eve.mention, "eve out", "@Eve"):
        found = world.ask(world.ada, f"audit {person}").text
        assert "asked to become a member" in found and "Dan Wu declined to let in" in found, person
        assert "Ben Tal" not in found
    assert "declined to let in" not in world.ask(world.ada, f"audit {world.ben.mention}").text
    change(world, world.ada, f"member add {world.eve.mention}", "Add member")
    with world.store.write() as tx:  # as long after
        tx.exec_driver_sql("DELETE FROM join_request")
    found = world.ask(world.ada, f"audit {world.eve.mention}").text
    assert all(line in found for line in ("asked to become", "declined to let in", "added the member Eve Out"))


def test_the_log_is_paged(world: World) -> None:
    for number in range(3):
        world.apply(ORGANIZATION.replace("name: Acme", f"name: Acme {number}", 1))
    page = world.see(world.ada, "audit")
    assert "Acme 1 → Acme 2" in page.text and page.buttons == ["Next"]
    world.ada.press(page, "Next")
    page.wait_for(lambda page: "Page 2" in page.text)
    assert "Previous" in page.buttons and "Acme 1 → Acme 2" not in page.text
    world.ada.press(page, "Previous")
    page.wait_for(lambda page: "Page 1" in page.text)


def test_a_user_group_that_changes_members_is_recorded(world: World) -> None:
    # First, or the bot may have read the user group before.
    world.slack.usergroup("S0001", "payments", "Payments", [world.ada, world.ben, world.cyn])
    world.apply(ORGANIZATION.replace("slack_usergroup: S0001", "slack_usergroup: S0001, sync_members: true"))
    read_usergroups(world)
    shown = world.ask(world.dan, "audit").text
    assert "@payments changed the member Cyn Roe because a user group changed in Slack" in shown
    assert "@payments changed the member Sue Perm because a user group changed in Slack" in shown
    assert shown.count("team: Payments") == 2  # Cyn came, Sue left
    read_usergroups(world)
    assert world.ask(world.dan, "audit").text == shown


def test_only_managers_and_owners_read_it(world: World) -> None:
    for person in (world.ben, world.sue):
        assert "Only managers and owners" in world.ask(person, "audit").text


def test_mistakes_are_named(world: World) -> None:
    for words, mistake in (
        ("audit @nobody", "Nobody here is or was called “@nobody”."),
        (f"audit {world.ben.mention} {world.cyn.mention}", "Name one person."),
        (f"audit ben {world.cyn.mention}", "Name one person."),
        ("audit since:soon", "“soon” is not a time."),
        ("audit since:1d since:2d", "is given twice"),
        ("audit project:checkout", "“project:” is unknown here."),
        ("audit " + "x" * 201, "at most 200 characters"),
    ):
        answer = world.ask(world.ada, words).text
        assert mistake in answer and "audit [@person] [since:7d]" in answer, words


def test_nothing_of_another_organization_is_shown(world: World) -> None:
    other = ORGANIZATION.replace("slug: acme", "slug: globex", 1).replace("T0001", "T0077").replace("Acme", "Globex")
    world.apply(other.replace("Payments", "Cashiers"))
    shown = world.ask(world.ada, "audit").text
    assert "Globex" not in shown and "Cashiers" not in shown


def test_the_command_line_shows_the_log(world: World, run: Run) -> None:
    change(world, world.dan, f"member role {world.ben.mention} admin", "Change role")
    assert run("token", "create", "--organization", "acme", "--source", "events")[0] == 0
    code, out, err = run("audit")
    assert (code, err) == (0, "")
    assert "UTC  Dan Wu changed the member Ben Tal in Slack: role: member → admin" in out
    assert re.search(r"created intake token \d+ on the command line: source: events", out)
    assert "Dan Wu" in run("audit", "--person", "ben@acme.test")[1]
    assert run("audit", "--limit", "1")[1].count("\n") == 1
    assert "--person: nobody here is or was called 'zoe'." in run("audit", "--person", "zoe")[2]
    assert "--since: “soon” is not a time" in run("audit", "--since", "soon")[2]
    assert "There are acme." in run("audit", "--organization", "globex")[2]


def test_slack_shows_names_and_the_command_line_what_is_stored(world: World, run: Run) -> None:
    change(world, world.dan, "member teams ben team:payments,search", "Change teams")
    world.ask(world.ada, 'digest add "weekdays at 9"')
    world.ada.press(world.see(world.ada, "calls team:payments"), "Edit")
    form = world.ada.wait_for_form("Calls")
    assert form.fill("Who is called, and when", "critical ben@acme.test after 5m").submit().closed
    world.apply(ORGANIZATION.replace("slack_usergroup: S0001", "slack_usergroup: S0001, oncall_usergroup: S0002"))
    without = "\n".join(line for line in ORGANIZATION.splitlines() if "Catalogue" not in line)
    world.apply(without, prune=True)
    shown, stored = world.ask(world.ada, "audit since:1d").text, run("audit")[1]
    for words, value in (
        ("changed the member Ben Tal in Slack", "changed the member Ben Tal in Slack"),
        ("teams: Payments → Payments, Search", "teams: payments → payments, search"),
        ("schedule: weekdays at 9:00 AM", "schedule: 0 9 * * 1-5"),
        ("calls: none → critical Ben Tal after 5m", "calls: none → critical ben@acme.test after 5m"),
        ("changed the team Payments with", "changed the team payments with"),
        ("oncall usergroup: none → @search", "oncall usergroup: none → S0002"),
        ("removed the project Catalogue with", "removed the project catalogue with"),
        ("teams: Search", "teams: search"),
    ):
        assert words in shown, words
        assert value in stored, value
