"""Somebody who is no member asks to be let in, and a manager decides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bot.administration.retention import remove_all_old
from sandbox import Person, SeenMessage
from storage.queries.organization_changes import lock_members
from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, Run, World
from tests.stories.test_cards import card
from tests.stories.test_erasing import find_everywhere
from tests.stories.test_members import change, set_role, whoami

ASK = "Ask to be let in"
WANTS_IN = "asks to be let in"


def ask_in(world: World, person: Person) -> str:
    """The answer to who asks, or to who cannot ask now."""
    shown = world.see(person, "whoami")
    if shown.buttons:
        person.press(shown, ASK)
        shown.wait_for(lambda shown: "You are not a member" not in shown.text)
    world.rest()
    return shown.text


def requests(person: Person) -> list[SeenMessage]:
    return [one for one in person.direct_messages() if "be let in" in one.text or "added" in one.text]


def count_requests(world: World) -> int:
    with world.store.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM join_request").scalar_one())


@IN_BOTH_MODES
def test_a_manager_lets_somebody_in_and_all_learn_of_it(world: World) -> None:
    assert "You get a direct message with the answer" in ask_in(world, world.eve)
    [to_dan], [to_ada] = requests(world.dan), requests(world.ada)
    assert to_dan.buttons == to_ada.buttons == ["Add", "Decline"]
    assert "@Eve Out asks to be let in" in to_dan.text and not requests(world.ben)
    waiting = world.see(world.eve, "list mine")
    assert "You asked to be let in today at " in waiting.text and "The managers have not decided yet." in waiting.text
    assert not waiting.buttons and "Ask to be let in" not in waiting.text and "/incident list mine" in waiting.text
    assert len(requests(world.dan)) == len(requests(world.ada)) == count_requests(world) == 1

    world.dan.press(to_dan, "Add")
    form = world.dan.wait_for_form("Add member")
    assert "Eve Out" in form.text and form.value("Role") == "Member"
    assert form.choose("Teams", "Search").submit().closed
    for shown in (to_dan, to_ada):
        shown.wait_for(lambda shown: "Dan Wu added @Eve Out" in shown.text and not shown.buttons)
    world.rest()
    assert "Dan Wu added you to Acme." in world.eve.direct_messages()[-1].text
    assert "Search" in whoami(world, world.eve)
    audit = world.ask(world.ada, "audit").text
    assert "@Eve Out asked to become a member in Slack" in audit
    assert "Dan Wu added the member Eve Out in Slack" in audit


def test_who_is_declined_is_notified_and_may_ask_again_a_day_later(world: World) -> None:
    offered = world.see(world.eve, "whoami")
    ask_in(world, world.eve)
    [to_dan], [to_ada] = requests(world.dan), requests(world.ada)
    world.ada.press(to_ada, "Decline")
    for shown in (to_dan, to_ada):
        shown.wait_for(lambda shown: "Ada Obi declined the request of @Eve Out" in shown.text and not shown.buttons)
    world.rest()
    assert "Ada Obi declined your request to be let in to Acme." in world.eve.direct_messages()[-1].text
    answer = world.see(world.eve, "whoami")
    assert "You are not a member" in answer.text and not answer.buttons
    declined = "Your request to be let in was declined today at "
    assert declined in answer.text and "You can ask again tomorrow at " in answer.text
    world.eve.press(offered, ASK)  # of before
    offered.wait_for(lambda shown: declined in shown.text)
    assert "Ada Obi declined to let in @Eve Out in Slack" in world.ask(world.dan, "audit").text
    assert count_requests(world) == 1 and "You are not a member" in whoami(world, world.eve)
    world.store.clock.offset += timedelta(hours=24, minutes=1)
    assert "You get a direct message with the answer" in ask_in(world, world.eve)
    assert [WANTS_IN in one.text for one in requests(world.dan)] == [False, True]


def test_the_second_manager_learns_who_decided(world: World) -> None:
    ask_in(world, world.eve)
    [to_dan], [to_ada] = requests(world.dan), requests(world.ada)
    world.dan.press(to_dan, "Add")
    form = world.dan.wait_for_form("Add member")
    world.ada.press(to_ada, "Decline")
    to_ada.wait_for(lambda shown: "Ada Obi declined" in shown.text)
    assert "Ada Obi declined the request of Eve Out. Nothing was changed." in form.submit().errors["Role"]
    assert "You are not a member" in whoami(world, world.eve)


def test_of_two_managers_at_once_the_second_reads_who_was_faster(world: World) -> None:
    ask_in(world, world.eve)
    [to_dan] = requests(world.dan)
    with ThreadPoolExecutor(1) as other:
        with world.store.write() as tx:
            tx.exec_driver_sql("SELECT FROM join_request FOR NO KEY UPDATE")
            pressed = other.submit(world.dan.press, to_dan, "Decline")
            world.wait_for_blocked()
            tx.exec_driver_sql(
                "UPDATE join_request SET date_decided = now(), admitted = false, decided_by_id ="
                " (SELECT id FROM member WHERE name = 'Ada Obi')"
            )
        pressed.result()
    world.dan.wait_for_message(containing="Ada Obi declined the request of Eve Out. Nothing was changed.")


def test_adding_by_the_command_and_by_the_button_at_once(world: World) -> None:
    """Whoever comes second waits; they do not wait for each other."""
    ask_in(world, world.eve)
    [to_dan] = requests(world.dan)
    world.dan.press(to_dan, "Add")
    form = world.dan.wait_for_form("Add member")
    with ThreadPoolExecutor(1) as other:
        with world.store.write() as tx:  # as `member add` does
            lock_members(tx)
            submitted = other.submit(form.submit)
            world.wait_for_blocked()
            tx.exec_driver_sql("SELECT FROM join_request FOR NO KEY UPDATE NOWAIT")
        assert submitted.result().closed
    assert "Eve Out" in whoami(world, world.eve)


def test_declining_somebody_who_became_a_member_meanwhile_closes_the_request(world: World) -> None:
    ask_in(world, world.eve)
    world.apply(ORGANIZATION + "  - {email: eve@elsewhere.test, name: Eve Out}\n")
    [to_dan] = requests(world.dan)
    world.dan.press(to_dan, "Decline")
    to_dan.wait_for(lambda shown: not shown.buttons)
    world.rest()
    assert "declined" not in to_dan.text + world.eve.direct_messages()[-1].text
    assert "Eve Out" in whoami(world, world.eve)


def test_who_is_no_manager_any_more_decides_nothing(world: World) -> None:
    ask_in(world, world.eve)
    [to_dan] = requests(world.dan)
    world.dan.press(to_dan, "Add")
    form = world.dan.wait_for_form("Add member")
    set_role(world, "Dan Wu", "admin")
    assert "Only managers and owners" in form.submit().errors["Role"]
    for label in ("Add", "Decline"):
        world.dan.press(to_dan, label)
    world.dan.wait_for_message(containing="Only managers and owners")
    assert WANTS_IN in to_dan.text and "You are not a member" in whoami(world, world.eve)


def test_a_member_whom_the_file_removed_comes_back_by_a_manager_alone(world: World) -> None:
    assert "Ben Tal" in whoami(world, world.ben)
    without = "\n".join(line for line in ORGANIZATION.splitlines() if "Ben Tal" not in line)
    world.apply(without, prune=True)
    ask_in(world, world.ben)
    [to_dan] = requests(world.dan)
    assert "They were a member, and were removed by the organization file" in to_dan.text
    assert "You are not a member" in whoami(world, world.ben)
    world.dan.press(to_dan, "Add")
    assert world.dan.wait_for_form("Add member").submit().closed
    world.rest()
    assert "Ben Tal" in whoami(world, world.ben)
    with world.store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM member WHERE name = 'Ben Tal'").scalar_one() == 1


def test_adding_by_the_command_answers_the_request(world: World) -> None:
    ask_in(world, world.eve)
    change(world, world.ada, f"member add {world.eve.mention}", "Add member")
    world.rest()
    assert "Ada Obi added @Eve Out" in requests(world.dan)[0].text
    assert "Ada Obi added you to Acme." in world.eve.direct_messages()[-1].text


def test_who_became_a_member_by_the_file_meanwhile_needs_nobody(world: World) -> None:
    ask_in(world, world.eve)
    shown = world.eve.sees(world.cast.checkout)[-1]
    world.apply(ORGANIZATION + "  - {email: eve@elsewhere.test, name: Eve Out}\n")
    [to_dan] = requests(world.dan)
    world.dan.press(to_dan, "Add")
    assert world.dan.wait_for_form("Add member").submit().closed
    to_dan.wait_for(lambda shown: "Dan Wu added @Eve Out" in shown.text)
    assert shown.buttons == [] and "Eve Out" in whoami(world, world.eve)


def test_managers_of_several_workspaces_read_name_and_workspace(world: World) -> None:
    world.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001, T0002]"))
    ask_in(world, world.eve)
    assert "@Eve Out (Eve Out, in T0001) asks to be let in" in requests(world.dan)[0].text


def test_a_decided_request_is_deleted_after_a_month(world: World, run: Run) -> None:
    ask_in(world, world.eve)
    world.dan.press(requests(world.dan)[0], "Decline")
    world.rest()
    decided = world.store.clock.now()
    for held, days, left in ((False, 29, 1), (True, 31, 1), (False, 31, 0)):
        run("hold", "begin" if held else "end")
        remove_all_old(world.store, decided + timedelta(days=days), stopping=lambda: False)
        assert count_requests(world) == left
    # What Slack says about a user is stored about everybody.
    assert {one.split(":")[0] for one in find_everywhere(world, "Eve Out")} == {"slack_person"}


def test_who_asked_and_never_was_a_member_is_erased_by_their_slack_id(world: World, run: Run) -> None:
    ask_in(world, world.eve)
    world.dan.press(requests(world.dan)[0], "Decline")
    world.rest()
    assert run("erase", "--dry-run", "U0006")[1] == "U0006 would be erased from acme.\n"
    code, out, err = run("erase", "U0006")
    assert (code, err) == (0, "") and "The person is erased from acme." in out
    assert find_everywhere(world, "Eve Out", "eve@elsewhere.test", "U0006") == []
    audit = world.ask(world.dan, "audit").text
    assert "a former member asked to become a member" in audit
    assert "Dan Wu declined to let in a former member" in audit
    assert "nobody here is or was called U0006" in run("erase", "U0006")[2]


@pytest.mark.parametrize("kind", ["guest", "stranger", "bot"])
def test_who_cannot_become_a_member_cannot_ask(world: World, kind: str) -> None:
    shown = world.see(world.eve, "whoami")
    world.eve.press(shown, ASK)
    world.rest()
    pressed = next(one.sent for one in reversed(world.slack.sent) if one.sent.get("type") == "block_actions")
    before = count_requests(world)
    who = {
        "guest": lambda: world.slack.person("U0091", "Gil Guest", "gil@partner.test", restricted=True),
        "stranger": lambda: world.slack.person("U0092", "Sam Far", "sam@partner.test", home_team="T9999"),
        "bot": lambda: world.slack.person("U0093", "Robot", "robot@acme.test", is_bot=True),
    }[kind]()
    shared = world.slack.channel("C0077", "with-partner", shared_with="T9999")
    if kind != "bot":  # which types no commands
        assert world.see(who, "whoami", channel=shared).buttons == []
    who.replay(pressed)
    world.rest()
    assert count_requests(world) == before and len(requests(world.dan)) == 1


def test_nobody_asks_where_incidents_are_off(world: World) -> None:
    world.apply(ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], incidents: false"))
    assert world.see(world.eve, "whoami").buttons == []


def test_somebody_unknown_asks_from_home(world: World) -> None:
    world.eve.opens_home()
    world.eve.press(world.eve.wait_for_home("not a member"), ASK)
    form = world.eve.wait_for_form("Tocsin")
    assert "You get a direct message with the answer" in form.text
    form.close()
    world.rest()
    assert len(requests(world.dan)) == 1
    world.eve.opens_home()
    home = world.eve.wait_for_home("The managers have not decided yet.")
    assert not home.buttons


def test_who_is_removed_asks_from_the_home_that_they_still_see(world: World) -> None:
    world.ben.opens_home()
    home = world.ben.wait_for_home("Everything above")
    change(world, world.dan, f"member remove {world.ben.mention}", "Remove member")
    world.ben.press(home, "Following")
    form = world.ben.wait_for_form("Tocsin")
    assert "You are not a member" in form.text
    world.ben.press(form, ASK)
    form.wait_for(lambda shown: "You get a direct message with the answer" in shown.text)


def test_a_reaction_is_answered_with_what_became_of_the_request(world: World) -> None:
    world.declare("Payments fail")
    world.rest()
    ask_in(world, world.eve)
    world.eve.react(card(world), "eyes")
    world.eve.wait_for_message(containing="Your request to be let in waits for the managers to decide.")
