"""Who sees what, and that nothing else is shown, told or changed, whatever is sent in whose name."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from sandbox import Person
from sandbox.records import Json
from storage.models import Incident, IncidentProject, Member, Organization, Project
from tests.stories.conftest import ORGANIZATION, World, apply_file
from tests.stories.test_digests import add as add_digest

SECRET = "Zanzibar"  # in the title of what not everybody may see


def sees(world: World, person: Person) -> list[str]:
    """The titles in somebody's list of everything."""
    return re.findall(r"#\d+ (\w+)", world.ask(person, "list all").text)


@pytest.fixture
def both(world: World) -> World:
    """An incident of Payments (#1) and one of Search (#2)."""
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.declare(SECRET, by=world.dan, options="project:catalogue")
    return world


def test_members_see_the_projects_of_their_teams(both: World) -> None:
    assert sees(both, both.ben) == ["Pay"]
    assert sees(both, both.cyn) == [SECRET]


def test_managers_owners_and_superusers_see_everything(both: World) -> None:
    for person in (both.ada, both.dan, both.sue):
        assert sees(both, person) == [SECRET, "Pay"]


def test_with_open_membership_everybody_sees_everything(both: World) -> None:
    both.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], open_membership: true"))
    for person in (both.ben, both.cyn):
        assert sees(both, person) == [SECRET, "Pay"]
    assert "not a member" in both.ask(both.eve, "list").text


def test_an_admin_is_no_manager(both: World) -> None:
    both.apply(ORGANIZATION.replace("name: Ben Tal, role: member", "name: Ben Tal, role: admin"))
    assert sees(both, both.ben) == ["Pay"]


def test_a_role_given_and_taken_back_counts_from_the_next_list(both: World) -> None:
    ben = update(Member).where(Member.email == "ben@acme.test")
    assert sees(both, both.ben) == ["Pay"]
    for role, titles in (("manager", [SECRET, "Pay"]), ("member", ["Pay"])) * 2:
        with both.store.write() as tx:
            tx.execute(ben.values(role=role))
        for _ in range(2):
            assert sees(both, both.ben) == titles


def test_what_changes_in_the_file_holds_at_the_next_word(both: World) -> None:
    both.ask(both.ben, "subscribe 1")
    both.apply(ORGANIZATION.replace("Ben Tal, role: member, teams: [payments]", "Ben Tal, teams: [search]"), prune=True)
    assert sees(both, both.ben) == [SECRET]
    assert "There is no incident #1 that you can see" in both.ask(both.ben, "view 1").text
    ben = "  - {email: ben@acme.test, name: Ben Tal, role: member, teams: [payments]}\n"
    both.apply(ORGANIZATION.replace(ben, ""), prune=True)
    assert "not a member" in both.ask(both.ben, "list").text


def test_incidents_switched_off_show_nothing_and_say_so(both: World) -> None:
    old = both.view(both.ada, 1)
    both.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], incidents: false"))
    for words in ("list", "view 1", "1", "ack 1", "resolve 1 it took thought", "declare All down", "whoami"):
        text = both.ask(both.ada, words).text
        assert "Incidents are switched off for Acme" in text and "Pay" not in text, words
    assert "it took thought" in both.ask(both.ada, "comment 1 it took thought").text
    both.ada.press(old, "Acknowledge")
    both.ada.wait_for_message(both.cast.checkout, "switched off", after=old)
    assert "What I can do" in both.ask(both.ada, "help").text
    both.apply(ORGANIZATION)
    assert "nothing" not in both.seen_by(both.ada, 1) and "Open" in both.seen_by(both.ada, 1)


@pytest.mark.parametrize(
    "words",
    [
        *("view {}", "{}", "ack {}", "seen #{}", "resolve {}", "resolve {} done", "reopen {}", "reopen {} back"),
        *("severity {} critical", "severity {} open why", "comment {} hello", "comment {} hello @dan"),
        *("activity {}", "subscribe {}", "unsubscribe {}"),
    ],
)
def test_what_is_not_theirs_to_see_answers_as_what_is_not_there(both: World, words: str) -> None:
    before = both.ask(both.dan, "activity 2").text + both.seen_by(both.dan, 2)
    hidden = both.ask(both.ben, words.format(2)).text
    absent = both.ask(both.ben, words.format(77)).text
    assert hidden == absent.replace("77", "2")
    assert "There is no incident #2 that you can see" in hidden
    assert both.ask(both.dan, "activity 2").text + both.seen_by(both.dan, 2) == before


def test_filters_tell_nothing_of_what_is_not_theirs_to_see(both: World) -> None:
    assert both.ask(both.ben, "list project:catalogue").text == both.ask(
        both.ben, "list project:katalogue"
    ).text.replace("katalogue", "catalogue")
    for words in (f"list all {SECRET}", "list all team:search", "list all seen:no", "list all since:2w"):
        assert SECRET not in both.ask(both.ben, words).text.replace(f'"{SECRET}"', "")


def test_an_incident_of_two_projects_names_only_those_that_the_reader_sees(both: World) -> None:
    with both.store.write() as tx:
        incident, _ = tx.scalars(select(Incident.id).order_by(Incident.identifier))
        catalogue = tx.scalars(select(Project.id).where(Project.slug == "catalogue")).one()
        tx.execute(
            insert(IncidentProject).values(
                incident_id=incident, project_id=catalogue, started=both.store.clock.now(), status=1, team_id=0
            )
        )
    assert "Catalogue" not in both.seen_by(both.ben, 1)
    assert "Projects\nCatalogue, Checkout" in both.seen_by(both.dan, 1)
    assert sorted(sees(both, both.cyn)) == ["Pay", SECRET]
    assert "Checkout" not in both.seen_by(both.cyn, 1)


# --- another organization ----------------------------------------------------------------------------------

OTHER = """
organization: {slug: globex, name: Globex, workspaces: [T0002]}
teams: [{slug: core, name: Core}]
projects: [{slug: reactor, name: Reactor, teams: [core]}]
members:
  - {email: ada@acme.test, name: Ada of Globex, slack: U0001, role: owner, teams: [core]}
"""


def test_another_organizations_incidents_are_nowhere_to_be_seen(world: World) -> None:
    apply_file(world.store, world.folder, OTHER)
    world.declare("Pay")
    with world.store.write() as tx:
        globex = tx.scalars(select(Organization.id).where(Organization.slug == "globex")).one()
        reactor = tx.scalars(select(Project.id).where(Project.slug == "reactor")).one()
        now = world.store.clock.now()
        incident = tx.scalars(
            insert(Incident)
            .values(
                organization_id=globex,
                identifier=2,
                title=SECRET,
                status=1,
                status_method=1,
                date_started=now,
                date_detected=now,
                date_added=now,
            )
            .returning(Incident.id)
        ).one()
        tx.execute(
            insert(IncidentProject).values(incident_id=incident, project_id=reactor, started=now, status=1, team_id=0)
        )
    for person in (world.ada, world.dan, world.sue):
        assert sees(world, person) == ["Pay"]
        assert "There is no incident #2" in world.ask(person, "view 2").text
    assert "reactor" not in world.ask(world.ada, "whoami").text
    assert "no project “reactor”" in world.ask(world.ada, "list project:reactor").text
    assert "no team “core”" in world.ask(world.ada, "list team:core").text


def test_a_workspace_of_no_organization_is_told_how_to_get_one(world: World) -> None:
    world.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: []"), prune=True)
    for words in ("list", "view 1", "declare critical All down", "whoami", "list nonsense:x"):
        assert "not connected to an organization" in world.ask(world.ada, words).text
    assert "What I can do" in world.ask(world.ada, "help").text


# --- in somebody else's name -------------------------------------------------------------------------------


def everything_pressed(world: World) -> list[Json]:
    """Every payload that Dan causes by using every button and form there is for #2, which only some may see."""
    dan, there = world.dan, world.cast.random

    def shown(words: str) -> Any:
        return world.shown(world.ask(dan, words, channel=there))

    world.ask(dan, "comment 2 by Dan", channel=there)
    for number in range(10):
        world.ask(dan, f"comment 2 filler {number}", channel=there)
    for number in range(11):
        world.declare(f"{SECRET} {number}", by=dan, options="project:catalogue")
    begin = len(world.slack.sent)
    for label in ("Acknowledge", "Comment", "Activity"):
        dan.press(shown("view 2"), label)
    dan.press(shown("view 2"), "Unsubscribe")
    dan.press(shown("view 2"), "Subscribe")
    dan.press(shown("list"), "View", row=0)
    dan.press(shown("list"), "Next")
    log = shown("activity 2")
    for label in ("Next", "View"):
        dan.press(shown("activity 2"), label)
    dan.press(log, "Edit", row=0)
    dan.wait_for_form("Edit #2").fill("Comment", "filler nine").submit()
    dan.press(shown("view 2"), "Comment")
    dan.wait_for_form("Comment #2").fill("Comment", "from a form").submit()
    dan.press(shown("view 2"), "Resolve")
    dan.wait_for_form("Resolve #2").fill("Comment", "over").submit()
    dan.press(shown("view 2"), "Reopen")
    dan.press(shown("activity 2"), "Delete", row=2)
    world.slack.settle()
    payloads = [exchange.sent for exchange in world.slack.sent[begin:] if exchange.kind == "interactive"]
    kinds = {payload["actions"][0]["action_id"] for payload in payloads if "actions" in payload}
    assert kinds >= {
        *("view", "details", "acknowledge", "resolve", "reopen", "comment", "comment_edit", "comment_delete"),
        *("activity", "activity_next", "subscribe", "unsubscribe", "list_next"),
    }
    return payloads


def state(world: World) -> str:
    """Everything that is known of the incidents, as the database has it."""
    with world.store.read() as connection:
        return "\n".join(
            str(connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall())  # noqa: S608
            for table in (
                *("incident", "incident_project", "incident_seen", "incident_subscription"),
                *("incident_activity", "comment_mention"),
            )
        )


@pytest.mark.parametrize("name", ["ben", "eve"])
def test_what_one_person_may_press_shows_and_changes_nothing_for_who_may_not(world: World, name: str) -> None:
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.declare(SECRET, by=world.dan, options="project:catalogue")
    payloads = everything_pressed(world)
    other: Person = getattr(world, name)
    before = state(world)
    world.rest()
    told = len(world.slack.traffic)
    for payload in payloads:
        done = other.replay(fresh(payload))
        assert SECRET not in str(done.answer) and "filler" not in str(done.answer)
    world.settle()
    # The URL that comes with a forged press has no message behind it to replace.
    world.slack.problems.take("no_original")
    assert state(world) == before
    for exchange in world.slack.traffic[told:]:
        if exchange.kind in ("response_url", "web_api"):
            assert SECRET not in str(exchange.sent) and "filler" not in str(exchange.sent)
    assert other.form is None
    for channel in (world.cast.checkout, world.cast.random):
        for message in other.sees(channel):
            assert SECRET not in message.text and "filler" not in message.text


def test_every_door_is_closed_to_whoever_lost_access(world: World) -> None:
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.declare(SECRET, by=world.dan, options="project:catalogue")
    payloads = everything_pressed(world)
    world.rest()
    card = next(one for one in world.slack.messages(world.cast.catalogue) if f"#2 {SECRET}" in one.text)
    world.apply(ORGANIZATION.replace("name: Dan Wu, role: manager", "name: Dan Wu, role: member"))
    before, told = state(world), len(world.slack.traffic)
    for payload in payloads:
        done = world.dan.replay(fresh(payload))
        assert SECRET not in str(done.answer) and "filler" not in str(done.answer)
    asked = ["list all", "view 2", "2", "ack 2", "resolve 2 over", "reopen 2", "severity 2 open", "comment 2 still"]
    for words in (*asked, "activity 2", "subscribe 2", "unsubscribe 2", "list all project:catalogue"):
        assert SECRET not in world.ask(world.dan, words, channel=world.cast.random).text, words
    world.dan.reply(card, "let me in")
    world.dan.react(card, "eyes")
    world.dan.react(card, "white_check_mark")
    world.dan.message_shortcut(card, "add_to_incident")
    form = world.dan.wait_for_form("Add to incident")
    assert form.offered("Incident", SECRET[:4]) == []
    world.settle()
    world.rest()
    # The URL that comes with a forged press has no message behind it to replace.
    world.slack.problems.take("no_original")
    assert state(world) == before
    shown_to_dan = [
        one
        for one in world.slack.traffic[told:]
        if one.kind in ("response_url", "web_api") and not one.name.startswith("views.")
    ]
    assert not [one for one in shown_to_dan if "filler" in str(one.sent)]
    # The card, which he still reads in its channel, has the title too.
    named = [str(one.sent) for one in shown_to_dan if SECRET in str(one.sent)]
    assert all(f"You cannot open or change #2 {SECRET}." in one for one in named)


def fresh(payload: Json) -> Json:
    """The payload as if its form were another one: a form counts once, and this is not what is tried here."""
    forged = copy.deepcopy(payload)
    if "view" in forged:
        forged["view"]["id"] += "X"
    return forged


def test_a_member_who_may_see_it_still_cannot_change_the_comments_of_others(world: World) -> None:
    world.joined_long_ago()  # forged forms say nothing of whose they are, and are not refused for that alone
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.ask(world.dan, "comment 1 by Dan")
    log = world.shown(world.ask(world.dan, "activity 1", channel=world.cast.random))
    begin = len(world.slack.sent)
    world.dan.press(log, "Edit")
    world.dan.wait_for_form("Edit #1").fill("Comment", "by Dan, edited").submit()
    world.dan.press(log, "Delete")
    log.wait_for(lambda log: "by Dan" not in log.text)
    world.ask(world.dan, "comment 1 another by Dan")
    with world.store.read() as connection:
        comment = connection.exec_driver_sql("SELECT max(id) FROM incident_activity").scalar_one()
    payloads = [exchange.sent for exchange in world.slack.sent[begin:] if exchange.kind == "interactive"]
    before = state(world)
    for payload in payloads:
        forged = fresh(payload)
        if "actions" in forged:
            forged["actions"][0]["value"] = f"1:{comment}"
        else:
            forged["view"]["private_metadata"] = f'{{"n":1,"c":{comment}}}'
        done = world.ben.replay(forged)
        world.settle()
        assert "Only its author" in str(done.answer) or "Only its author" in world.ben.sees(world.cast.random)[-1].text
    assert state(world) == before and world.ben.form is None


def test_a_comments_number_under_another_incident_leads_nowhere(world: World) -> None:
    world.declare("Pay", by=world.dan, options="project:checkout")
    world.declare(SECRET, by=world.dan, options="project:catalogue")
    world.ask(world.dan, f"comment 2 about {SECRET}")
    world.ask(world.ben, "comment 1 by Ben")
    with world.store.read() as connection:
        hidden = connection.exec_driver_sql(
            "SELECT id FROM incident_activity WHERE comment LIKE 'about%%'"
        ).scalar_one()
    log = world.shown(world.ask(world.ben, "activity 1"))
    begin = len(world.slack.sent)
    world.ben.press(log, "Edit")
    world.ben.wait_for_form("Edit #1").close()
    payload = world.slack.sent[begin].sent
    before = state(world)
    for person in (world.ben, world.sue):
        for action in ("comment_edit", "comment_delete", "activity_next", "activity_previous"):
            forged = copy.deepcopy(payload)
            forged["actions"][0] |= {"action_id": action, "value": f"1:{hidden}"}
            person.replay(forged)
    world.settle()
    world.slack.problems.take("no_original")
    assert state(world) == before and world.ben.form is None
    assert SECRET not in "".join(message.text for message in world.ben.sees(world.cast.checkout))


def test_a_digest_elsewhere_that_somebody_may_not_change_is_answered_like_one_that_there_is_not(world: World) -> None:
    """Its number says that it exists, and its refusal said whose it is; in its own channel everybody can list it."""
    hidden, _ = add_digest(world, '"every day at 9"', by=world.dan, channel=world.cast.catalogue)
    missing = hidden + 1
    for verb in ("now", "pause", "resume", "edit", "remove", "preview"):
        told = world.ask(world.ben, f"digest {verb} {hidden}").text
        assert "There is no digest" in told and "Dan" not in told, told
        assert told.replace(str(hidden), "N") == world.ask(world.ben, f"digest {verb} {missing}").text.replace(
            str(missing), "N"
        )
        assert "belongs to Dan Wu" in world.ask(world.ben, f"digest {verb} {hidden}", channel=world.cast.catalogue).text
    shown = world.see(world.dan, "digest list", channel=world.cast.catalogue)
    world.dan.press(shown, "Pause")
    world.dan.wait_for_message(world.cast.catalogue, containing="You paused")
    pressed = next(e.sent for e in reversed(world.slack.sent) if e.sent.get("type") == "block_actions")
    for action in ("digest_pause", "digest_resume", "digest_edit", "digest_remove", "digest_preview"):
        forged = {**pressed, "channel": {"id": "C0001"}, "actions": [{**pressed["actions"][0], "action_id": action}]}
        world.ben.replay(forged)
    world.settle()
    assert not any("Dan" in m.text for m in world.ben.sees(world.cast.checkout) if "igest" in m.text)
    assert not world.ben.form or "There is no digest" in world.ben.form.text
