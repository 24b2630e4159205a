"""Somebody is called for an incident until somebody has it: who, when, what stops it, and what they can answer."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from bot.calls.firing import fire_due
from bot.calls.metrics import CallMetrics
from bot.incidents.silences import hold_before_call
from bot.intake.tokens import Source
from sandbox import Person, SeenMessage
from sandbox.records import UserGroup
from storage.queries import calls
from tests.patience import PATIENCE_S
from tests.stories.conftest import ORGANIZATION, Deliver, World
from tests.stories.test_cards import cards
from tests.stories.test_forged import last_sent
from tests.stories.test_silences import pass_ends, silence

RULES = """
      - {severity: critical, who: oncall, after: 0m}
      - {severity: critical, who: team, after: 5m}
      - {severity: critical, who: managers, after: 15m, repeat: 15m}
      - {severity: warning, who: oncall, after: 10m, quiet: "22:00-07:00", until: acknowledged}
"""
PAYMENTS = "{slug: payments, name: Payments, slack_usergroup: S0001}"


def with_calls(rules: str = RULES) -> str:
    """Acme's organization, in which Payments has these calls, and the user group S0009 is on call."""
    team = f"""slug: payments
    name: Payments
    slack_usergroup: S0001
    oncall_usergroup: S0009
    oncall_channel: C0003
    timezone: Europe/Berlin
    calls: {rules}"""
    return ORGANIZATION.replace(PAYMENTS, team)


def move_to(world: World, at: datetime) -> None:
    """Moves the clock of the bot."""
    world.store.clock.offset += at - world.store.clock.now()


def pass_by(world: World, minutes: float) -> None:
    """Lets time pass, and the bot do everything that is due by then."""
    world.store.clock.offset += timedelta(minutes=minutes)
    make_calls(world)


def make_calls(world: World) -> None:
    """Makes the calls that are due, and waits until they have arrived. The bot may be making some of them already."""
    now = world.store.clock.now()

    def are_made() -> bool:
        world.bot.calls.fire()
        with world.store.read() as connection:
            query = "SELECT NOT EXISTS (SELECT FROM call_step WHERE due_at <= %(now)s)"
            return bool(connection.exec_driver_sql(query, {"now": now}).scalar_one())

    world.slack.wait_until(are_made, what="the calls that are due")
    world.rest()


def read_usergroups(world: World) -> None:
    """Reads the user groups that have changed. The bot may be reading some of them already."""

    def are_read() -> bool:
        world.bot.calls.refresh()
        with world.store.read() as connection:
            query = "SELECT bool_and(date_checked IS NOT NULL) FROM usergroup"
            return bool(connection.exec_driver_sql(query).scalar_one())

    world.slack.wait_until(are_read, what="the user groups")


def calls_of(person: Person) -> list[SeenMessage]:
    """The messages that call somebody, oldest first."""
    return [message for message in person.direct_messages() if "called for" in message.text]


def thread(world: World) -> list[str]:
    world.rest()
    return [message.text for message in cards(world)[0].thread]


@pytest.fixture
def oncall(world: World) -> UserGroup:
    """Ben is on call for Payments."""
    group = world.slack.usergroup("S0009", "payments-oncall", "Payments on call", [world.ben])
    world.apply(with_calls())
    read_usergroups(world)
    return group


@pytest.fixture
def night(world: World, oncall: UserGroup) -> World:  # noqa: ARG001 - somebody is on call
    """It is three in the morning in Berlin."""
    now = world.store.clock.now()
    move_to(world, datetime(now.year + 1, 1, 15, 2, 0, tzinfo=UTC))
    return world


def declare(world: World, title: str = "Payments fail", options: str = "critical project:checkout") -> None:
    """Dan, who is called last, declares an incident; those who are called first know nothing of it."""
    world.declare(title, by=world.dan, options=options)
    make_calls(world)


def test_a_night(night: World) -> None:
    world = night
    declare(world)
    (first,) = calls_of(world.ben)
    assert "You are called for #1 Payments fail" in first.text and "You are on call for Payments" in first.text
    assert first.buttons == ["I have it", "Not me", "View"]
    assert any("Called @Ben Tal (on call for Payments)" in text for text in thread(world))
    assert not calls_of(world.ada)
    pass_by(world, 3)
    assert not calls_of(world.ada)
    pass_by(world, 2.1)  # 3:05
    for person in (world.ada, world.sue, world.ben):
        assert "You are a member of Payments" in calls_of(person)[-1].text
    assert "A newer message follows below." in calls_of(world.ben)[0].text
    assert any("Called @Ada Obi, @Ben Tal and @Sue Perm (Payments)" in text for text in thread(world))
    assert not calls_of(world.dan)
    pass_by(world, 10)  # 3:15
    assert "You are a manager" in calls_of(world.dan)[0].text
    assert len(calls_of(world.ada)) == 2  # an owner, too
    pass_by(world, 2)  # 3:17
    message = calls_of(world.ben)[-1]
    world.ben.press(message, "I have it")
    world.rest()
    message.wait_for(lambda shown: "You own it" in shown.text and shown.buttons == ["View"])
    calls_of(world.dan)[-1].wait_for(lambda shown: "Owned by Ben Tal" in shown.text)
    pass_by(world, 40)
    assert len(calls_of(world.dan)) == 1
    log = world.ask(world.ada, "activity 1").text
    assert "Called Ben Tal (on call for Payments)" in log and "(managers)" in log and "Ben Tal took this" in log
    world.ask(world.ben, "comment 1 Rolled back, the queue drains")
    move_to(world, world.store.clock.now().replace(hour=8, minute=0))  # 9:00
    answer = world.ask(world.ben, "handoff @ada My shift is over, watch the queue")
    assert "You offered #1 Payments fail to Ada Obi. You own it until they accept." in answer.text
    offer = world.ada.wait_for_message(containing="Ben Tal asks you to take over #1 Payments fail")
    assert "My shift is over, watch the queue" in offer.text and "Rolled back, the queue drains" in offer.text
    world.rest()
    assert "Owned by Ben Tal since" in cards(world)[0].text and "offered to Ada Obi" in cards(world)[0].text
    world.ada.press(offer, "I have it")
    offer.wait_for(lambda shown: "You took over #1 Payments fail." in shown.text and shown.buttons == ["View"])
    assert "Ada Obi owns #1 Payments fail now." in world.ben.wait_for_message(containing="Ada Obi owns").text
    world.rest()
    message.wait_for(lambda shown: "Owned by Ada Obi" in shown.text)
    assert "Owned by Ada Obi since" in cards(world)[0].text
    calls = [len(calls_of(person)) for person in (world.ada, world.ben, world.dan, world.sue)]
    world.ada.press(cards(world)[0], "Resolve")
    assert world.ada.wait_for_form("Resolve #1").fill("Comment", "The queue is empty").submit().closed
    world.rest()
    message.wait_for(lambda shown: "Resolved" in shown.text)
    assert cards(world)[0].buttons == ["Reopen"] and "The queue is empty" in cards(world)[0].text
    told = [text for text in thread(world) if "Called" not in text]
    expected = ("Ben Tal took this", "Rolled back", "offered this to Ada Obi", "took over this", "resolved this")
    assert len(told) == len(expected), told
    assert all(words in text for words, text in zip(expected, told, strict=True)), told
    pass_by(world, 24 * 60)
    assert [len(calls_of(person)) for person in (world.ada, world.ben, world.dan, world.sue)] == calls


def test_no_rule_no_call(night: World) -> None:
    declare(night, options="project:checkout")
    declare(night, "Search is slow", "critical project:catalogue")
    pass_by(night, 60)
    assert not any(calls_of(person) for person in (night.ada, night.ben, night.dan, night.cyn))


def test_i_have_it_after_somebody_else_has_it_and_after_it_is_over(night: World) -> None:
    declare(night)
    pass_by(night, 5)
    message = calls_of(night.ben)[-1]
    stale = calls_of(night.ada)[-1]
    night.slack.faults.refuse("chat.update", "internal_error", times=None)
    night.ben.press(message, "I have it")
    night.settle()
    night.ada.press(stale, "I have it")
    refused = night.ada.wait_for_message(containing="Take it over if you work on it now")
    assert "Ben Tal has owned #1" in refused.text and "Take over" in refused.buttons
    night.ask(night.ben, "resolve 1")
    night.ada.press(stale, "I have it")
    night.ada.wait_for_message(containing="#1 Payments fail is already resolved")
    night.slack.faults.clear()


def test_not_me_brings_the_next_step_at_once_if_nobody_else_was_called(night: World) -> None:
    declare(night)
    (message,) = calls_of(night.ben)
    night.ben.press(message, "Not me")
    night.settle()
    make_calls(night)
    assert "You are a member of Payments" in calls_of(night.ada)[0].text
    assert any("Ben Tal answered “Not me”, so the next step comes now" in text for text in thread(night))
    night.ada.press(calls_of(night.ada)[0], "Not me")  # Ben and Sue are called, too
    night.settle()
    make_calls(night)
    assert not calls_of(night.dan)


def test_who_was_not_called_cannot_decline_but_may_take(night: World) -> None:
    declare(night)
    (message,) = calls_of(night.ben)
    (decline,) = [
        element for block in message.blocks for element in block.get("elements", ()) if "Not me" in str(element)
    ]
    night.ada.press(cards(night)[0], "Acknowledge")
    forged = copy.deepcopy(last_sent(night, "block_actions"))
    forged["actions"][0] |= {"action_id": decline["action_id"], "value": decline["value"]}
    night.ada.replay(forged)
    night.ada.wait_for_message(night.cast.checkout, containing="This message no longer calls you for anything.")
    assert "Not me" in calls_of(night.ben)[0].buttons
    forged["actions"][0] |= {"action_id": "call_take", "value": "1"}
    night.ada.replay(forged)
    message.wait_for(lambda shown: "Owned by Ada Obi" in shown.text)


def test_release_goes_on_where_the_calls_stood(night: World) -> None:
    declare(night)
    night.ask(night.ben, "take 1")
    pass_by(night, 30)
    assert not calls_of(night.ada)
    night.ask(night.ben, "release 1")
    pass_by(night, 3)
    assert not calls_of(night.ada) and len(calls_of(night.ben)) == 1
    pass_by(night, 3)
    assert len(calls_of(night.ada)) == 1
    pass_by(night, 10)
    assert len(calls_of(night.dan)) == 1
    pass_by(night, 15)  # and again
    assert len(calls_of(night.dan)) == 2


def test_a_rise_and_a_reopening_begin_anew_and_a_resolution_ends_the_calls(night: World) -> None:
    declare(night, options="project:checkout")
    assert not calls_of(night.ben)
    night.ask(night.dan, "severity 1 critical")
    make_calls(night)
    assert len(calls_of(night.ben)) == 1
    night.ask(night.dan, "resolve 1")
    pass_by(night, 60)
    assert not calls_of(night.ada)
    night.ask(night.dan, "reopen 1")
    make_calls(night)
    assert len(calls_of(night.ben)) == 2


def test_quiet_hours_wait_and_an_acknowledgement_is_enough_where_the_team_says_so(night: World) -> None:
    declare(night, options="warning project:checkout")
    declare(night, "Search is slow", options="warning project:checkout")
    pass_by(night, 60)  # 4:00
    assert not calls_of(night.ben)
    night.ask(night.ada, "ack 2")
    pass_by(night, 60 * 3 + 1)  # 7:01
    (message,) = calls_of(night.ben)
    assert "#1 Payments fail" in message.text and "Search is slow" not in message.text


def test_calls_due_together_are_one_message(night: World) -> None:
    night.bot.calls.stop(PATIENCE_S)  # it would make the first at once
    for title in ("Payments fail", "Refunds fail", "Cards fail"):
        night.declare(title, by=night.dan, options="warning project:checkout")
    night.ask(night.dan, "severity 2 critical")
    night.rest()
    move_to(night, night.store.clock.now() + timedelta(hours=6))
    make_calls(night)
    (message,) = calls_of(night.ada)
    assert "#2 Refunds fail" in message.text
    (several,) = calls_of(night.ben)
    assert "You are called for 3 incidents" in several.text
    assert several.text.index("#2 Refunds fail") < several.text.index("#1 Payments fail")
    night.ask(night.ada, "take 3")
    night.ben.press(several, "Take all")
    night.ben.wait_for_message(containing="You own 2 incidents now. Others own 1: 1 by Ada Obi.")
    several.wait_for(lambda shown: "All of them are taken, resolved or silenced" in shown.text)


def test_what_becomes_of_calls_is_counted(night: World) -> None:
    night.bot.calls.stop(PATIENCE_S)
    registry = CollectorRegistry()
    metrics = CallMetrics(registry)

    def fire(minutes: int) -> dict[str, float]:
        night.store.clock.offset += timedelta(minutes=minutes)
        fire_due(night.store, night.store.clock.now(), metrics)
        samples = [one for family in registry.collect() for one in family.samples if one.name == "tocsin_calls_total"]
        return {one.labels["result"]: one.value for one in samples if one.value}

    night.declare("Payments fail", by=night.dan, options="critical project:checkout")
    assert fire(0) == {"called": 1}
    night.ask(night.ben, "take 1")
    assert fire(6) == {"called": 1, "owned": 1}
    night.declare("Refunds are slow", by=night.dan, options="warning project:checkout")
    assert fire(10) == {"called": 1, "owned": 2, "put_off": 1}  # for the quiet hours
    with night.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM usergroup_user")
    night.declare("Refunds fail", by=night.dan, options="critical project:checkout")
    assert fire(0) == {"called": 2, "owned": 2, "put_off": 1, "nobody": 1}  # then the next step came at once


def test_nobody_on_call(night: World, oncall: UserGroup) -> None:
    night.slack.set_members(oncall, [])
    night.slack.settle()
    read_usergroups(night)
    night.rest()
    declare(night)
    assert "You are a member of Payments" in calls_of(night.ben)[0].text
    assert any("Nobody is on call for Payments, so the next step comes now" in text for text in thread(night))


def test_who_cannot_see_it_is_not_called_and_managers_are_told(night: World, oncall: UserGroup) -> None:
    night.slack.set_members(oncall, [night.cyn])
    night.slack.settle()
    read_usergroups(night)
    declare(night)
    assert not calls_of(night.cyn)
    told = night.dan.wait_for_message(containing="Cyn Roe")
    assert "cannot see #1 Payments fail, so I did not call them" in told.text
    assert any("Cyn Roe cannot see this, so the next step comes now" in text for text in thread(night))
    assert len(calls_of(night.ben)) == 1


def test_calls_reach_who_wants_no_notifications(night: World) -> None:
    night.ask(night.ben, "notify none")
    declare(night)
    assert len(calls_of(night.ben)) == 1


def test_who_is_on_call(world: World, oncall: UserGroup) -> None:
    for words in ("oncall", "who's on call?", "who is oncall"):
        assert "Payments: Ben Tal" in world.ask(world.ada, words).text
    assert "Payments: Ben Tal" in world.ask(world.cyn, "oncall Payments").text
    assert "Search: no user group says who is on call" in world.ask(world.ada, "oncall search").text
    assert "There is no team “paymnts”. Did you mean payments?" in world.ask(world.ada, "oncall paymnts").text
    world.slack.set_members(oncall, [world.ada, world.eve])
    world.slack.settle()
    read_usergroups(world)
    world.rest()
    assert "Payments: Ada Obi and 1 person who is not a member" in world.ask(world.ada, "oncall").text
    shift = world.dan.wait_for_message(world.cast.random, containing="on call for Payments now")
    assert "@Ada Obi and @Eve Out are on call for Payments now." in shift.text


def test_a_silence_stops_the_calls_until_it_ends(night: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, {"dedup_key": "db", "title": "db is slow", "status": "firing", "severity": "critical"})
    make_calls(night)
    made = silence(night, night.sue, "1 2h")
    pass_by(night, 60)
    assert len(calls_of(night.ben)) == 1 and not calls_of(night.ada)
    night.ask(night.sue, f"silence end {made}")
    pass_by(night, 3)
    assert not calls_of(night.ada)
    pass_by(night, 3)
    assert len(calls_of(night.ada)) == 1


def test_nobody_is_called_for_what_another_silence_matches_too(night: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, {"dedup_key": "db", "title": "db is slow", "status": "firing", "severity": "critical"})
    make_calls(night)
    night.bot.digests.stop(PATIENCE_S)  # it would end the silence of somebody who no longer sees what it is for
    silence(night, night.sue, "1 2h")
    silence(night, night.ben, "1 3h")
    night.rest()
    with night.store.write() as tx:
        tx.exec_driver_sql(
            "DELETE FROM member_team WHERE member_id = (SELECT id FROM member WHERE name = %s)", ("Ben Tal",)
        )
    assert "Silenced until" not in night.seen_by(night.sue, 1)
    pass_by(night, 6)
    assert night.ask(night.sue, "activity 1").text.count("Called ") == 1  # Ben, before it was silenced
    assert "Silenced until" in night.seen_by(night.sue, 1)


def test_a_call_and_the_end_of_a_silence_lock_rows_in_one_order(night: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, {"dedup_key": "db", "title": "db is slow", "status": "firing", "severity": "critical"})
    make_calls(night)
    night.bot.calls.stop(PATIENCE_S)
    night.bot.digests.stop(PATIENCE_S)
    ending = silence(night, night.sue, "1 1h")
    night.rest()
    now = night.store.clock.now()
    with night.store.write() as tx:
        tx.exec_driver_sql("UPDATE call_step SET due_at = %(now)s WHERE outcome IS NULL", {"now": now})
    with ThreadPoolExecutor(1) as threads:
        with night.store.write() as calling:
            (step, *_) = calls.lock_due_steps(calling, now, 10)
            end = threads.submit(pass_ends, night, ending)
            night.wait_for_blocked()
            with night.store.write() as tx:  # made since the other transaction looked for such a silence
                tx.exec_driver_sql(
                    "INSERT INTO silence (organization_id, workspace_id, project_id, member_id, matchers, starts, ends)"
                    " SELECT organization_id, workspace_id, project_id, member_id, matchers, %(now)s, %(ends)s"
                    " FROM silence",
                    {"now": now, "ends": now + timedelta(hours=3)},
                )
            assert hold_before_call(calling, step.key.organization_id, [step.key.incident_id], now)
        end.result()
    assert "Silenced until" in night.seen_by(night.sue, 1)


def test_calls_that_are_late_come_at_once_and_once(night: World) -> None:
    night.bot.calls.stop(PATIENCE_S)
    night.declare("Payments fail", by=night.dan, options="critical project:checkout")
    night.rest()
    night.store.clock.offset += timedelta(hours=8)
    make_calls(night)
    make_calls(night)
    for person in (night.ada, night.ben, night.dan):
        (message,) = calls_of(person)
        assert "#1 Payments fail" in message.text


def test_an_owner_who_can_no_longer_see_it_is_followed_by_calls(night: World) -> None:
    declare(night)
    night.ask(night.ben, "take 1")
    pass_by(night, 30)
    assert not calls_of(night.ada)
    ben = "name: Ben Tal, role: member, teams: [payments]"
    assert ben in ORGANIZATION
    night.apply(with_calls().replace(ben, "name: Ben Tal, role: member"), prune=True)
    pass_by(night, 5)
    assert len(calls_of(night.ada)) == 1


def test_view_says_who_is_called_next_and_why_nobody_is(night: World) -> None:
    declare(night)
    assert "Next call: the team, " in night.seen_by(night.ada, 1)
    night.ask(night.ben, "take 1")
    assert "Next call" not in night.seen_by(night.ada, 1)
    declare(night, "Refunds fail", "project:checkout")
    assert "Nobody is called: Payments has no calls for “No severity”" in night.seen_by(night.ada, 2)


def test_home_says_who_is_on_call(world: World, oncall: UserGroup) -> None:
    world.ada.opens_home()
    assert "On call now: Payments (@payments-oncall): Ben Tal" in world.ada.wait_for_home().text
    world.slack.disable(oncall)
    world.slack.settle()
    read_usergroups(world)
    world.ada.opens_home()
    world.slack.wait_until(lambda: "Payments: nobody is on call" in world.ada.wait_for_home().text, what="Home")


def test_the_members_of_a_team_are_kept_in_step_with_its_user_group(world: World) -> None:
    synced = ORGANIZATION.replace(PAYMENTS, PAYMENTS.replace("}", ", sync_members: true}"))
    world.apply(synced)
    read_usergroups(world)
    assert "Payments" in world.ask(world.ben, "whoami").text
    world.declare("Payments fail")
    world.ask(world.ben, "take 1")
    world.slack.set_members(world.cast.payments, [world.ada, world.cyn])
    world.slack.settle()
    read_usergroups(world)
    assert "Payments" not in world.ask(world.ben, "whoami").text
    assert "Ben Tal can no longer see this" in world.ask(world.ada, "activity 1").text
    assert "#1 Payments fail" in world.ask(world.cyn, "list").text
    world.apply(synced, prune=True)
    assert "#1 Payments fail" in world.ask(world.cyn, "list").text
    world.slack.disable(world.cast.payments)
    world.slack.settle()
    read_usergroups(world)
    assert "#1 Payments fail" in world.ask(world.cyn, "list").text


def test_nobody_leaves_when_a_user_group_loses_most_of_its_people_until_a_manager_confirms(world: World) -> None:
    world.slack.set_members(world.cast.payments, [world.ada, world.ben, world.cyn, world.dan])
    world.apply(ORGANIZATION.replace(PAYMENTS, PAYMENTS.replace("}", ", sync_members: true}")))
    read_usergroups(world)
    everybody = [world.ada, world.ben, world.cyn, world.dan]
    assert all("Payments" in world.ask(one, "whoami").text for one in everybody)

    for left in ([], [world.ada]):
        world.slack.set_members(world.cast.payments, left)
        world.slack.settle()
        read_usergroups(world)
        assert all("Payments" in world.ask(one, "whoami").text for one in everybody)
    manager = next(one for one in everybody if "anager" in world.ask(one, "whoami").text)
    question = manager.wait_for_message(containing="3 of the 4 members of Payments are no longer in")
    assert "Nobody was removed from the team" in question.text
    manager.press(question, "Remove them")
    world.slack.wait_until(
        lambda: any("3 members were removed from Payments." in one.text for one in manager.direct_messages()),
        what="the answer",
    )
    assert ["Payments" in world.ask(one, "whoami").text for one in everybody] == [True, False, False, False]
    read_usergroups(world)
    assert sum("are no longer in" in one.text for one in manager.direct_messages()) <= 2


def test_who_confirms_that_people_leave_a_team_changes_that_team_alone(world: World) -> None:
    everybody = [world.ada, world.ben, world.cyn, world.dan]
    world.slack.set_members(world.cast.payments, everybody)
    synced = ORGANIZATION.replace(PAYMENTS, PAYMENTS.replace("}", ", sync_members: true}"))
    world.apply(synced)
    read_usergroups(world)
    assert all("Payments" in world.ask(one, "whoami").text for one in everybody)
    world.slack.set_members(world.cast.payments, [world.ada])
    world.slack.settle()
    read_usergroups(world)
    question = world.ada.wait_for_message(containing="3 of the 4 members of Payments are no longer in")
    # Another team of the same user group, which has not been kept in step yet.
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE team SET slack_usergroup = 'S0001', sync_members = true WHERE slug = 'search'")
    teams_of_cyn = world.ask(world.cyn, "whoami").text
    assert "Search" in teams_of_cyn and "Search" not in world.ask(world.ada, "whoami").text

    world.slack.set_members(world.cast.payments, [])
    world.slack.settle()
    read_usergroups(world)
    world.ada.press(question, "Remove them")  # by now, everybody would leave
    question.wait_for(lambda shown: "4 of the 4 members of Payments are no longer in" in shown.text)
    assert "Payments" in world.ask(world.ben, "whoami").text
    world.ada.press(question, "Remove them")
    question.wait_for(lambda shown: "4 members were removed from Payments." in shown.text)
    assert "Payments" not in world.ask(world.cyn, "whoami").text and "Search" in world.ask(world.cyn, "whoami").text
    assert "Ada Obi changed the member" in world.ask(world.ada, "audit").text


def test_calls_for_folded_incidents_are_one_message_in_the_thread_of_their_storm(
    world: World, deliver: Deliver
) -> None:
    world.slack.usergroup("S0009", "payments-oncall", "Payments on call", [world.ben])
    world.apply(with_calls("[{severity: warning, who: oncall, after: 0m}]"))
    read_usergroups(world)
    deliver(
        Source.EVENTS,
        [
            {"dedup_key": str(n), "title": f"Host {n} is down", "severity": "warning", "team": "payments"}
            for n in range(1, 13)
        ],
    )
    make_calls(world)
    (storm,) = [one for one in world.slack.messages(world.cast.checkout) if "Alert storm" in one.notification]
    (called,) = [one.text for one in storm.thread]
    assert "Host" in called and "Ben" in called
    (message,) = calls_of(world.ben)
    assert "12" in message.text
    silence(world, world.ada, "12 2h")
    world.ben.press(message, "Take all")
    world.ben.wait_for_message(containing="You own 11 incidents now. 1 silenced incident was left out.")


def test_take_all_locks_incidents_by_their_ids_as_others_do(world: World, oncall: UserGroup) -> None:  # noqa: ARG001 - Ben is called
    rules = ("{severity: critical, who: oncall, after: 0m}", "{severity: warning, who: oncall, after: 0m}")
    world.apply(with_calls(f"[{', '.join(rules)}]"))
    world.bot.calls.stop(10)
    world.declare("Payments are slow", by=world.dan, options="warning project:checkout")
    world.declare("Payments fail", by=world.dan, options="critical project:checkout")
    make_calls(world)
    (message,) = calls_of(world.ben)
    lock = "SELECT FROM incident WHERE identifier = %(n)s FOR NO KEY UPDATE"
    with ThreadPoolExecutor(1) as threads:
        with world.store.write() as other:
            other.exec_driver_sql(lock, {"n": 1})
            pressed = threads.submit(world.ben.press, message, "Take all")
            world.wait_for_blocked()
            other.exec_driver_sql(lock, {"n": 2})
        pressed.result()
    world.ben.wait_for_message(containing="You own 2 incidents now.")


def test_a_call_that_fails_keeps_nobody_else_from_being_called(night: World) -> None:
    night.bot.calls.stop(PATIENCE_S)
    night.declare("Payments fail", by=night.dan, options="warning project:checkout")
    night.declare("Refunds fail", by=night.dan, options="critical project:checkout")
    with night.store.write() as tx:  # as a version with other rules might have written it
        tx.exec_driver_sql(
            "UPDATE call_step SET quiet = 'at night', due_at = due_at - interval '1 h' WHERE severity = 10"
        )
    make_calls(night)
    (message,) = calls_of(night.ben)
    assert "#2 Refunds fail" in message.text
    with night.store.write() as tx:
        tx.exec_driver_sql("UPDATE call_step SET quiet = NULL WHERE severity = 10")
    pass_by(night, 2)
    assert "#1 Payments fail" in calls_of(night.ben)[-1].text
