"""Managers and owners see and change who belongs to the organization, in Slack."""

from __future__ import annotations

import pytest

from sandbox import Person
from tests.stories.conftest import ORGANIZATION, World


def change(world: World, person: Person, words: str, title: str) -> str:
    """The answer after somebody typed a command and submitted the form that it opens."""
    before = len(person.direct_messages())
    person.command("/incident", words)
    assert person.wait_for_form(title).submit().closed
    world.slack.wait_until(lambda: len(person.direct_messages()) > before, what="an answer")
    return person.direct_messages()[-1].text


def whoami(world: World, person: Person) -> str:
    return world.ask(person, "whoami").text


def set_role(world: World, name: str, role: str) -> None:
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE member SET role = %s WHERE name = %s", (role, name))


def test_managers_list_members_and_search_them(world: World) -> None:
    listed = world.ask(world.dan, "members").text
    assert "5 members" in listed
    assert "Ada Obi · Owner · ada@acme.test · Payments" in listed
    found = world.ask(world.ada, "members BEN acme").text
    assert "Ben Tal" in found and "Cyn Roe" not in found
    assert "Ben Ito" in world.ask(world.ada, "members “Ben Ito”").text
    mentioned = world.ask(world.ada, f"members {world.ben.mention}").text
    assert "1 member with “Ben Tal”" in mentioned and "ben@acme.test" in mentioned
    assert "Eve Out is not a member" in world.ask(world.ada, f"members {world.eve.mention}").text


def test_members_are_found_by_role_and_team(world: World) -> None:
    for words, found in (
        ("owner", ["Ada"]),
        ("managers", ["Dan"]),
        ("payments", ["Ada", "Ben", "Sue"]),
        ("team:payments role:member", ["Ben", "Sue"]),
        ("<!subteam^S0002|@search>", ["Cyn"]),
        ("BEN@Acme.test", ["Ben"]),
        ('"Ben Tal"', ["Ben"]),
    ):
        listed = world.ask(world.dan, f"members {words}").text
        assert [name for name in ("Ada", "Ben", "Cyn", "Dan", "Sue") if name in listed] == found, words
    nobody = world.ask(world.ada, "members nobody*").text
    assert "“nobody*” finds no member." in nobody
    assert "a role (member, admin, manager, owner), or a team (payments, search)." in nobody


def test_only_managers_and_owners_see_and_change_members(world: World) -> None:
    for person in (world.ben, world.sue):
        for words in ("members", "member", f"member add {world.eve.mention}", f"member remove {world.ada.mention}"):
            assert "Only managers and owners" in world.ask(person, words).text


def test_the_list_is_paged(world: World) -> None:
    more = "".join(f"  - {{email: m{n}@acme.test, name: Member {n:02}}}\n" for n in range(10))
    world.apply(ORGANIZATION + more)
    page = world.see(world.ada, "members acme.test")
    assert "15 members" in page.text and "1 to 10 of 15" in page.text and "Sue Perm" not in page.text
    world.ada.press(page, "Next")
    page.wait_for(lambda page: "11 to 15 of 15" in page.text)
    assert "Sue Perm" in page.text and page.buttons == ["Previous"]
    world.ada.press(page, "Previous")
    page.wait_for(lambda page: "1 to 10 of 15" in page.text)


def test_somebody_is_added_by_mention_and_is_known_at_once(world: World) -> None:
    assert "You are not a member" in whoami(world, world.eve)
    world.dan.command("/incident", f"member add {world.eve.mention} admin team:search")
    form = world.dan.wait_for_form("Add member")
    assert "Eve Out" in form.text and form.value("Role") == "Admin"
    assert form.submit().closed
    world.dan.wait_for_message(containing="You added Eve Out with the role admin and the teams Search.")
    known = whoami(world, world.eve)
    assert "eve@elsewhere.test" in known and "admin" in known and "Search" in known
    assert "Eve Out is a member already" in world.ask(world.dan, "member add eve@elsewhere.test").text


def test_somebody_without_a_confirmed_email_is_added_by_slack_id(world: World) -> None:
    world.slack.person("U0090", "Sso Only", "sso@acme.test", email_confirmed=False)
    newcomer = world.slack.person("U0091", "Una Sso", "una@acme.test", email_confirmed=False)
    assert "You added Una Sso" in change(world, world.ada, f"member add {newcomer.mention}", "Add member")
    assert "Una Sso" in whoami(world, newcomer)
    listed = world.ask(world.ada, "members una").text
    assert "invalid" not in listed and "added in Slack" in listed


def test_bots_guests_and_strangers_cannot_be_added(world: World) -> None:
    guest = world.slack.person("U0091", "Gil Guest", "gil@partner.test", restricted=True)
    for words in (f"member add {guest.mention}", "member add gil@partner.test"):
        assert "Gil Guest cannot become a member" in world.ask(world.ada, words).text
    assert "Nobody in this workspace" in world.ask(world.ada, "member add no@body.test").text
    assert "Mention the person" in world.ask(world.ada, "member add somebody").text


def test_a_removed_member_loses_everything_and_may_come_back_as_the_same(world: World) -> None:
    world.declare("Checkout is down", by=world.ben)
    world.ask(world.ben, "take 1")
    assert "You removed Ben Tal." in change(world, world.dan, f"member remove {world.ben.mention}", "Remove member")
    assert "You are not a member" in whoami(world, world.ben)
    listed = world.ask(world.dan, "members").text
    assert "Ben Tal · " not in listed and "4 members" in listed
    assert "#1 Checkout is down" in world.ask(world.ada, "list owner:none").text
    answer = change(world, world.dan, f"member add {world.ben.mention} team:payments", "Add member")
    assert "You added Ben Tal again, with the role member and the teams Payments." in answer
    assert "Ben Tal" in world.ask(world.ben, "activity 1").text
    with world.store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM member WHERE name = 'Ben Tal'").scalar_one() == 1


def test_nobody_gives_or_takes_a_role_above_their_own(world: World) -> None:
    refused = "because it is above your own, manager"
    for words in (
        f"member role {world.dan.mention} owner",
        f"member role {world.ben.mention} owner",
        f"member add {world.eve.mention} owner",
        f"member role {world.ada.mention} member",
    ):
        assert refused in world.ask(world.dan, words).text, words
    removing = world.ask(world.dan, f"member remove {world.ada.mention}").text
    assert "Only an owner can remove an owner." in removing
    two = world.ask(world.dan, f"member remove {world.ben.mention} {world.cyn.mention}").text
    assert "Name one person." in two
    eve = world.ask(world.dan, f"member role {world.eve.mention} admin").text
    assert "Eve Out is not a member" in eve
    assert "has the role manager now" in change(world, world.dan, "member role Ben Tal manager", "Change role")
    assert "manager" in whoami(world, world.ben)


def test_the_last_owner_stays_and_nobody_removes_themselves(world: World) -> None:
    assert "the only owner" in world.ask(world.ada, f"member role {world.ada.mention} manager").text
    assert "the only owner" in world.ask(world.ada, "member remove ada").text
    change(world, world.ada, "member role dan owner", "Change role")
    assert "You cannot remove yourself" in world.ask(world.ada, "member remove ada").text
    assert "has the role manager now" in change(world, world.ada, "member role ada manager", "Change role")


def test_the_rules_count_as_they_are_when_the_form_is_submitted(world: World) -> None:
    set_role(world, "Dan Wu", "owner")
    world.dan.command("/incident", "member role dan member")
    mine = world.dan.wait_for_form("Change role")
    world.ada.command("/incident", "member role ben owner")
    given = world.ada.wait_for_form("Change role")
    set_role(world, "Ada Obi", "manager")
    assert "Dan Wu is the only owner" in mine.submit().errors["Role"]
    assert "above your own, manager" in given.submit().errors["Role"]
    set_role(world, "Ada Obi", "member")
    assert "Only managers and owners" in given.submit().errors["Role"]
    assert "owner" not in whoami(world, world.ben)


def test_teams_are_replaced_and_decide_what_is_seen(world: World) -> None:
    world.declare("Checkout is down")
    world.ada.command("/incident", "member teams @cyn team:payments,search")
    form = world.ada.wait_for_form("Change teams")
    assert form.value("Teams") == ["Payments", "Search"]
    assert form.choose("Teams", "Payments").submit().closed
    world.ada.wait_for_message(containing="Cyn Roe is in these teams now: Payments.")
    assert "Checkout is down" in world.ask(world.cyn, "list").text
    answer = change(world, world.ada, "member teams cyn team:none", "Change teams")
    assert "Cyn Roe is in no team now." in answer
    assert "Checkout is down" not in world.ask(world.cyn, "list").text


def test_teams_that_slack_keeps_are_not_changed_here(world: World) -> None:
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE team SET sync_members = true WHERE slug = 'payments'")
    assert "the people of its user group" in world.ask(world.ada, "member teams ben team:payments").text
    change(world, world.ada, "member teams ben team:search", "Change teams")
    assert "Payments, Search" in world.ask(world.ada, "members ben").text


def test_in_a_direct_message_a_button_asks(world: World) -> None:
    world.ada.tell_bot("member role ben admin")
    asked = world.ada.wait_for_message(containing="You change the role of Ben Tal. Role: admin.")
    assert "admin" not in whoami(world, world.ben)
    world.ada.press(asked, "Change")
    world.ada.wait_for_message(containing="Ben Tal has the role admin now.")
    assert "admin" in whoami(world, world.ben)
    world.ada.tell_bot("member teams ben team:none")
    world.ada.wait_for_message(containing="You change the teams of Ben Tal. Teams: none.")
    world.ada.tell_bot(f"member add {world.eve.mention} team:search")
    asked = world.ada.wait_for_message(containing="You add Eve Out to the organization. Role: member. Teams: Search.")
    world.ada.press(asked, "Add")
    world.ada.wait_for_message(containing="You added Eve Out with the role member and the teams Search.")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("member", "Say what to do"),
        ("member ad @ben", "“ad” is unknown here"),
        ("member role", "Name the person."),
        ("member role ben", "Say which role"),
        ("member role ben boss", "“boss” is not a role. Use member, admin, manager or owner."),
        ("member role ben emperor", "“emperor” is not a role. Use member, admin, manager or owner."),
        ("member role ben mangaer", "Did you mean /incident member role ben manager?"),
        ("member teams ben", "Say which teams"),
        ("member teams ben payments", "Say which teams, like team:payments,search, or team:none."),
        ("member teams ben team:", "Say which teams, like team:payments,search, or team:none."),
        ("member teams ben team: payments, serach", "There is no team “serach”. Did you mean search?"),
        ("member role ben none", "“none” is not a role. Use member, admin, manager or owner.\nLike this"),
        ("member role ben team:payments", "Teams are changed by member teams."),
        ("member list", "members lists and finds them."),
        ("member teams ben team:nope", "There is no team “nope”"),
        ("member remove nobody", "There is no member “nobody”"),
        ("member role ben admin env:x", "“env:” is unknown here"),
    ],
)
def test_mistakes_are_named(world: World, words: str, answer: str) -> None:
    assert answer in world.ask(world.ada, words).text


def test_somebody_without_a_team_reads_that_they_see_nothing(world: World) -> None:
    world.declare("Payments fail")
    world.dan.command("/incident", f"member add {world.eve.mention}")
    form = world.dan.wait_for_form("Add member")
    assert "Members and admins without a team see no incidents." in form.text
    assert form.submit().closed
    world.settle()
    sentence = "You see no incidents, because you have no project. Ask a manager to add you to a team."
    for words in ("list", "list all", "list closed", "list mine", "list critical since:7d"):
        assert world.ask(world.eve, words).text == sentence, words
    world.eve.opens_home()
    home = world.eve.wait_for_home(sentence)
    assert "white_check_mark" not in str(home.blocks)
    world.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], open_membership: true"))
    assert "Payments fail" in world.ask(world.eve, "list").text
    world.dan.command("/incident", f"member teams {world.eve.mention} team:none")
    assert "without a team" not in world.dan.wait_for_form("Change teams").text


def test_whoever_a_manager_adds_changes_or_removes_gets_one_message(world: World) -> None:
    def read(person: Person) -> list[str]:
        world.rest()
        return [one.text for one in person.direct_messages()]

    whoami(world, world.ben)
    for words, title, message in (
        ("role ben admin", "Change role", "Dan Wu changed your role in Acme: you are an admin now."),
        ("role ben admin", "Change role", None),  # as before
        ("teams ben team:search", "Change teams", "Dan Wu changed your teams in Acme: your teams are Search now."),
        ("teams ben team:none", "Change teams", "Dan Wu changed your teams in Acme: you are in no team now."),
        ("remove ben", "Remove member", "Dan Wu removed you from Acme. You can no longer see its incidents."),
    ):
        before = read(world.ben)
        change(world, world.dan, f"member {words}", title)
        assert read(world.ben)[len(before) :] == ([message] if message else []), words
    change(world, world.dan, f"member add {world.eve.mention}", "Add member")
    assert read(world.eve) == ["Dan Wu added you to Acme. /incident help shows what you can do."]
    before = read(world.dan)
    change(world, world.dan, "member teams dan team:search", "Change teams")
    assert [one for one in read(world.dan)[len(before) :] if "your teams" in one] == []


def test_of_two_managers_at_once_the_second_does_not_undo_what_the_first_did(world: World) -> None:
    for words, title, field, mine, other, now in (
        ("member role ben manager", "Change role", "Role", "Manager", "Admin", "it is admin now"),
        ("member teams ben team:payments,search", "Change teams", "Teams", None, "Search", "they are Search now"),
    ):
        world.ada.command("/incident", words)
        late = world.ada.wait_for_form(title)
        world.dan.press(world.see(world.dan, "members ben"), title, containing="Ben Tal")
        first = world.dan.wait_for_form(title)
        assert first.choose(field, other).submit().closed
        world.settle()
        if mine:
            late.choose(field, mine)
        refused = late.submit().errors[field]
        assert f"Somebody changed the {field.lower()} of Ben Tal while you were editing: {now}." in refused
        late.close()
        assert other in world.ask(world.ada, "members ben").text
