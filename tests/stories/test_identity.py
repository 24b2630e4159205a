"""Who is who: by the id in the organization file, else by a confirmed e-mail of the workspace's own people."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox import Person
from tests.stories.conftest import ORGANIZATION, World, apply_file

NO_MEMBER = "You are not a member"


def known(world: World, person: Person) -> bool:
    """Whether the bot takes somebody for a member."""
    text = world.ask(person, "whoami").text
    assert (NO_MEMBER in text) is not ("Organization" in text), text
    return "Organization" in text


def newcomer(world: World, **profile: object) -> Person:
    """Somebody with the e-mail of a member whose Slack id the file does not name."""
    world.apply(ORGANIZATION + "  - {email: new@acme.test, name: New Hire, teams: [payments]}\n")
    return world.slack.person("U0090", "New Hire", "New@Acme.test", **profile)  # type: ignore[arg-type]


def test_a_confirmed_e_mail_is_enough_whatever_its_case(world: World) -> None:
    world.declare("Payments fail")
    new = newcomer(world)
    assert "new@acme.test" in world.ask(new, "whoami").text
    assert "#1 Payments fail" in world.ask(new, "list").text


@pytest.mark.parametrize(
    "profile",
    [
        {"email_confirmed": False},
        {"restricted": True},
        {"restricted": True, "ultra_restricted": True},
        {"is_bot": True},
        {"deleted": True},
    ],
    ids=lambda profile: next(iter(profile)),
)
def test_the_e_mail_of_whoever_may_not_be_trusted_is_none(world: World, profile: dict[str, object]) -> None:
    world.declare("Payments fail")
    new = newcomer(world, **profile)
    for words in ("list", "view 1", "whoami", "comment 1 let me in"):
        text = world.ask(new, words).text
        assert NO_MEMBER in text or "Only members of this workspace" in text
        assert "Payments fail" not in text
    assert "let me in" in world.ask(new, "comment 1 let me in").text


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"email_confirmed": False}, "does not say that your e-mail address is confirmed"),
        ({"restricted": True}, "guest"),
        ({}, "No member has your e-mail address"),
    ],
    ids=["unconfirmed", "guest", "somebody else"],
)
def test_whoever_is_not_let_in_reads_why_and_their_slack_id(
    world: World, profile: dict[str, object], reason: str
) -> None:
    person = newcomer(world, **profile) if profile else world.eve
    for words in ("whoami", "list", "comment 1 let me in"):
        text = world.ask(person, words).text
        assert NO_MEMBER in text and reason in text and f"slack: {person.id}" in text, text
    # The answer does not tell whether the organization knows their e-mail.
    other = world.slack.person("U0095", "Odd One", "odd@elsewhere.test", **profile)  # type: ignore[arg-type]
    assert world.ask(other, "list").text == world.ask(person, "list").text.replace(person.id, other.id)
    # With that id in the file they are let in, as the answer says.
    world.apply(ORGANIZATION + f"  - {{email: new@acme.test, name: New Hire, slack: {person.id}, teams: [payments]}}\n")
    assert person.id in world.ask(person, "whoami").text and known(world, person)


def test_an_e_mail_that_is_confirmed_later_is_enough_then(world: World) -> None:
    new = newcomer(world, email_confirmed=False)
    assert not known(world, new)
    world.slack.change(new, email_confirmed=True)
    world.settle()
    assert known(world, new)


def test_an_id_in_the_file_is_enough_for_anybody(world: World) -> None:
    entry = "  - {email: guest@partner.test, name: Gil Guest, slack: U0091, teams: [payments]}\n"
    world.apply(ORGANIZATION + entry)
    guest = world.slack.person("U0091", "Gil Guest", "gil@partner.test", restricted=True, email_confirmed=False)
    assert known(world, guest)


def test_somebody_of_another_company_is_told_so_and_shown_nothing(world: World) -> None:
    world.declare("Payments fail")
    shared = world.slack.channel("C0077", "with-partner", shared_with="T9999")
    stranger = world.slack.person("U0092", "Sam Far", "ben@acme.test", home_team="T9999")
    answer = world.ask(stranger, "list", channel=shared)
    assert "Only members of this workspace" in answer.text and "Payments" not in answer.text
    listed = world.ask(world.ada, "list", channel=shared)
    payload = next(e.sent for e in reversed(world.slack.sent) if "command" in e.sent)
    assert stranger.replay(payload).answer.get("text") and "Payments" not in str(stranger.replay(payload).answer)
    world.ada.press(listed.message, "View")
    world.settle()
    assert "Payments fail" in world.ada.wait_for_form("Incident").text
    pressed = next(e.sent for e in reversed(world.slack.sent) if e.sent.get("type") == "block_actions")
    stranger.replay(pressed)
    world.settle()
    assert "Payments fail" not in "".join(message.text for message in stranger.sees(shared))
    assert stranger.form is None


def test_somebody_of_another_company_whose_id_is_in_the_file_works_like_anybody(world: World) -> None:
    entry = "  - {email: sam@partner.test, name: Sam Far, slack: U0092, teams: [payments]}\n"
    world.apply(ORGANIZATION + entry)
    shared = world.slack.channel("C0077", "with-partner", shared_with="T9999")
    sam = world.slack.person("U0092", "Sam Far", "sam@partner.test", home_team="T9999")
    world.declare("Payments fail")
    shown = world.shown(world.ask(sam, "view 1", channel=shared))
    sam.press(shown, "Acknowledge")
    shown.wait_for(lambda shown: "Seen by Sam Far" in shown.text)
    sam.press(shown, "Comment")
    assert sam.wait_for_form("Comment #1").fill("Comment", "Hello from the partner").submit().closed
    assert "Hello from the partner" in world.seen_by(world.ada, 1)


def test_the_file_may_give_an_e_mail_another_slack_id(world: World) -> None:
    assert known(world, world.ben)
    other = world.slack.person("U0093", "Ben Too", "other@acme.test")
    world.apply(ORGANIZATION.replace("name: Ben Tal,", "name: Ben Tal, slack: U0093,"))
    assert not known(world, world.ben)  # his e-mail is another's now
    assert known(world, other)
    world.apply(ORGANIZATION.replace("name: Ben Tal,", "name: Ben Tal, slack: U0002,"))
    assert known(world, world.ben) and not known(world, other)


def test_who_left_and_came_back_is_who_they_were(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 before I left")
    ben = "  - {email: ben@acme.test, name: Ben Tal, role: member, teams: [payments]}\n"
    world.apply(ORGANIZATION.replace(ben, ""), prune=True)
    assert not known(world, world.ben)
    assert "Ben Tal commented" in world.ask(world.ada, "activity 1").text
    world.apply(ORGANIZATION)
    assert world.ask(world.ben, "activity 1").buttons.count("Edit") == 1


def test_two_organizations_do_not_mix_up_whoever_is_in_both(world: World) -> None:
    apply_file(
        world.store,
        world.folder,
        """
organization: {slug: globex, name: Globex, workspaces: [T0002]}
teams: [{slug: core, name: Core}]
members: [{email: ben@acme.test, name: Ben of Globex, slack: U0002, role: owner, superuser: true, teams: [core]}]
""",
    )
    text = world.ask(world.ben, "whoami").text
    assert "Ben Tal" in text and "superuser" not in text and "Globex" not in text and "Core" not in text


def test_where_slack_cannot_say_who_somebody_is_they_are_told_to_try_again(world: World) -> None:
    world.slack.faults.fail("users.info", times=None)
    assert "Try again in a moment" in world.ask(world.ben, "comment 1 it took thought").text
    assert "it took thought" in world.ask(world.ben, "comment 1 it took thought").text
    assert known(world, world.ada)  # her id stands in the file
    world.slack.faults.clear()
    assert known(world, world.ben)


def test_a_mention_of_whom_slack_cannot_tell_of_just_now_loses_no_text(world: World) -> None:
    world.declare("Payments fail")
    world.slack.faults.fail("users.info", times=None)
    answer = world.ask(world.ada, "comment 1 @ben please look").text
    assert "Try again" in answer and "please look" in answer
    assert "commented" not in world.ask(world.ada, "activity 1").text
    world.slack.faults.clear()
    assert "You commented on" in world.ask(world.ada, "comment 1 @ben please look").text


def test_slack_is_asked_about_somebody_once(world: World) -> None:
    for words in ("list", "whoami", "list all"):
        world.ask(world.ben, words)
    assert len([call for call in world.slack.calls("users.info") if call.get("user") == "U0002"]) == 1


def test_who_is_added_while_slack_is_asked_about_them_is_known_at_once(world: World) -> None:
    assert "You are not a member" in world.ask(world.eve, "whoami").text
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE slack_person SET date_checked = NULL")
    with ThreadPoolExecutor(1) as other:
        with world.store.write() as tx:  # as `apply` does
            tx.exec_driver_sql("UPDATE slack_person SET date_checked = NULL WHERE user_id = 'U0006'")
            asked = other.submit(world.ask, world.eve, "whoami")
            world.wait_for_blocked()
            tx.exec_driver_sql(
                "INSERT INTO member (organization_id, email, name) SELECT id, 'eve@elsewhere.test', 'Eve Out'"
                " FROM organization"
            )
        assert "Eve Out" in asked.result().text
    assert "eve@elsewhere.test" in world.ask(world.eve, "whoami").text
