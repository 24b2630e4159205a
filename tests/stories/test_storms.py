"""A storm of alerts in a channel: one message instead of a card each, kept current until calm returns."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from bot.incidents import storm_actions
from bot.incidents.access import Access
from bot.incidents.storms import Split
from bot.intake.tokens import Source
from sandbox import SeenMessage
from storage.errors import Contended
from storage.values import ALL_WORK
from tests.changes import change
from tests.stories.conftest import ORGANIZATION_FILE, Deliver, World


def alert(number: int, **more: Any) -> dict[str, Any]:
    return {"dedup_key": f"host-{number}", "title": f"Host {number} is down", "severity": "warning", **more}


def alerts(first: int, last: int, **more: Any) -> list[dict[str, Any]]:
    return [alert(number, **more) for number in range(first, last + 1)]


def messages(world: World) -> list[SeenMessage]:
    """The bot's messages in the channel itself, in their order."""
    return [one for one in world.slack.messages(world.cast.checkout) if one.from_app]


def storms(world: World) -> list[SeenMessage]:
    return [one for one in messages(world) if "storm" in one.notification]


def cards(world: World) -> list[str]:
    return [re.sub(r" \(.*", "", one.notification) for one in messages(world) if one.notification.startswith("#")]


def wait_for_storm(world: World, containing: str) -> SeenMessage:
    world.slack.wait_until(
        lambda: any(containing in one.markup for one in storms(world)), what=f"a storm with “{containing}”"
    )
    (storm,) = storms(world)
    return storm


def let_time_pass(world: World, seconds: float) -> None:
    world.store.clock.offset += timedelta(seconds=seconds)
    world.bot.delivery.wake(ALL_WORK)


def test_more_new_cards_than_the_limit_become_one_message_that_counts_all(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 30))
    storm = wait_for_storm(world, "30 new incidents")
    world.rest()
    assert cards(world) == [f"#{n} Host {n} is down" for n in range(1, 6)]
    assert "*In common:* Host … is down" in storm.markup
    assert "30 warning – 0 resolved, 30 open" in storm.markup
    assert "Began with #1 Host 1 is down" in storm.markup
    deliver(Source.EVENTS, alerts(31, 40))
    deliver(Source.EVENTS, alerts(1, 12, status="resolved"))
    wait_for_storm(world, "40 new incidents")
    wait_for_storm(world, "12 resolved, 28 open")
    world.rest()
    assert len(storms(world)) == 1
    assert len(cards(world)) == 5


def test_as_many_cards_as_the_limit_make_no_storm(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 5))
    world.rest()
    assert len(cards(world)) == 5
    let_time_pass(world, 61)
    deliver(Source.EVENTS, alerts(6, 10))
    world.rest()
    assert len(cards(world)) == 10
    assert not storms(world)


def test_an_old_incident_whose_card_is_new_is_no_part_of_a_storm(world: World, deliver: Deliver) -> None:
    file = (world.folder / ORGANIZATION_FILE).read_text()
    world.apply(file.replace("channels: [C0001]", "channels: []"), prune=True)
    deliver(Source.EVENTS, alerts(1, 2))
    world.rest()
    let_time_pass(world, 3600)
    world.apply(file)
    deliver(Source.EVENTS, alerts(1, 2, severity="critical"))
    world.slack.wait_until(lambda: len(cards(world)) == 2, what="the cards of the old ones")
    deliver(Source.EVENTS, alerts(3, 10))
    storm = wait_for_storm(world, "8 new incidents")
    world.rest()
    assert "Began with #3 Host 3 is down" in storm.markup
    assert len(cards(world)) == 5


def test_the_limit_of_the_organization_file_counts_the_strictest_of_a_channel(world: World, deliver: Deliver) -> None:
    world.apply(
        """
organization: {slug: acme, name: Acme, workspaces: [T0001]}
projects:
  - {slug: checkout, name: Checkout, channels: [C0001], storm: {cards: 20, within: 1h}}
  - {slug: catalogue, name: Catalogue, channels: [C0001], storm: {cards: 2}}
"""
    )
    deliver(Source.EVENTS, alerts(1, 4))
    storm = wait_for_storm(world, "4 new incidents")
    assert "More than 2 new cards within a minute" in storm.markup
    world.rest()
    assert len(cards(world)) == 2


def test_what_people_declare_and_the_first_ten_criticals_keep_their_cards(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    wait_for_storm(world, "8 new incidents")
    deliver(Source.EVENTS, alerts(9, 21, severity="critical"))
    world.declare("Payments fail")
    storm = wait_for_storm(world, "21 new incidents")
    world.rest()
    critical = [f"#{n} Host {n} is down" for n in range(9, 19)]
    assert sorted(cards(world)) == sorted(
        [*(f"#{n} Host {n} is down" for n in range(1, 6)), *critical, "#22 Payments fail"]
    )
    named = "\n".join(f":red_circle: #{n} Host {n} is down" for n in range(19, 22))
    assert f"*More critical incidents*\n{named}" in storm.markup


def test_a_folded_incident_that_becomes_critical_gets_its_card(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    wait_for_storm(world, "8 new incidents")
    deliver(Source.EVENTS, alert(7, severity="critical"))
    world.slack.wait_until(lambda: "#7 Host 7 is down" in cards(world), what="the card")
    storm = wait_for_storm(world, "1 critical")
    assert "8 new incidents" in storm.markup


def test_comments_on_a_folded_incident_are_in_the_thread_of_the_storm(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    storm = wait_for_storm(world, "8 new incidents")
    world.ask(world.ben, "comment 7 it is the switch")
    world.ask(world.ben, "take 8")
    world.ask(world.ben, "resolve 6")
    wait_for_storm(world, "1 resolved, 7 open")
    wait_for_storm(world, "Ben Tal owns 1, 6 have no owner")
    world.rest()
    assert [one.text for one in storm.thread] == ["#7 Host 7 is down: Ben Tal\nit is the switch"]
    assert len(cards(world)) == 5


def test_list_of_a_storm_shows_its_incidents_with_filters_and_pages(world: World, deliver: Deliver) -> None:
    world.declare("Payments fail")
    deliver(Source.EVENTS, alerts(1, 14))
    storm = wait_for_storm(world, "14 new incidents")
    world.ada.press(storm, "List")
    page = world.ada.wait_for_message(world.cast.checkout, containing="#15 Host 14 is down")
    assert "#15 Host 14 is down" in page.markup and "#6 Host 5 is down" in page.markup
    world.ada.press(page, "Next")
    page.wait_for(lambda shown: "#2 Host 1 is down" in shown.markup)
    assert "Payments fail" not in page.markup
    number = int(re.search(r"storm:(\d+)", page.markup)[1])  # type: ignore[index]
    deliver(Source.EVENTS, alert(3, status="resolved"))
    assert "#4 Host 3 is down" in world.ask(world.ada, f"list closed storm:{number}").text
    assert "#4 Host 3 is down" not in world.ask(world.ada, f'list storm:{number} "host 3"').text
    # Cyn sees none of the project's incidents, and learns nothing of the storm.
    hidden = world.ask(world.cyn, f"list storm:{number}").text
    assert hidden == world.ask(world.cyn, "list storm:99999").text.replace("99999", str(number))
    assert "needs the number" in world.ask(world.ada, "list storm:big").text


def test_a_storm_ends_when_calm_returns_and_says_once_what_it_was(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    wait_for_storm(world, "8 new incidents")
    world.rest()
    let_time_pass(world, 61)
    storm = wait_for_storm(world, "The alert storm is over: 8 incidents")
    assert "further incidents are added here" not in storm.markup
    deliver(Source.EVENTS, alerts(1, 8, status="resolved"))
    wait_for_storm(world, "all resolved")
    deliver(Source.EVENTS, alerts(9, 20))
    world.slack.wait_until(lambda: len(storms(world)) == 2, what="the message of the next storm")
    world.rest()
    assert "The alert storm is over: 8 incidents" in storms(world)[0].markup
    assert len(cards(world)) == 10


def test_a_folded_incident_that_fires_again_after_its_storm_gets_a_card(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    wait_for_storm(world, "8 new incidents")
    deliver(Source.EVENTS, alert(8, status="resolved"))
    world.rest()
    let_time_pass(world, 61)
    wait_for_storm(world, "is over")
    deliver(Source.EVENTS, alert(8))
    world.slack.wait_until(lambda: "#8 Host 8 is down" in cards(world), what="the card")
    world.rest()


def test_a_deleted_message_of_a_storm_is_posted_again(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    storm = wait_for_storm(world, "8 new incidents")
    world.rest()
    world.slack.platform.workspace.delete(storm.record)
    deliver(Source.EVENTS, alert(9))
    again = wait_for_storm(world, "9 new incidents")
    assert again.ts != storm.ts
    world.rest()


@pytest.mark.parametrize("channels", ["[]", "[C0002]"])
def test_a_channel_that_a_project_no_longer_names_shows_nothing_new_of_its_storm(
    world: World, deliver: Deliver, channels: str
) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    wait_for_storm(world, "8 new incidents")
    world.rest()
    file = (world.folder / ORGANIZATION_FILE).read_text()
    world.apply(file.replace("channels: [C0001]", f"channels: {channels}"), prune=True)
    deliver(Source.EVENTS, alert(8, title="Host 8 is on fire"))
    wait_for_storm(world, "no longer shown in this channel")
    world.rest()


@pytest.mark.parametrize("batch", [storm_actions.BATCH, 2])
def test_take_all_takes_what_nobody_owns_and_says_how_many_others_have(
    world: World, deliver: Deliver, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(storm_actions, "BATCH", batch)
    deliver(Source.EVENTS, alerts(1, 12))
    storm = wait_for_storm(world, "12 new incidents")
    world.rest()
    world.ask(world.ben, "take 3")
    world.ask(world.ben, "resolve 12")
    world.ask(world.ada, "take 4")
    world.ada.press(storm, "Take all")
    world.ada.wait_for_message(world.cast.checkout, containing="You own 9 more incidents of this storm now.")
    storm = wait_for_storm(world, "Ada Obi owns 10, Ben Tal owns 1")
    world.rest()
    assert "Take all" not in storm.buttons
    assert "Owned by Ada Obi" in messages(world)[1].text
    assert "Ada Obi took this" in world.ask(world.ben, "activity 8").text
    assert len(cards(world)) == 5


def test_a_storm_whose_incidents_somebody_may_not_see_does_nothing_for_them(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    storm = wait_for_storm(world, "8 new incidents")
    for label in ("Take all", "Split"):
        world.cyn.press(storm, label)
        world.cyn.wait_for_message(world.cast.checkout, containing="no incident of this alert storm that you can see")
    world.cyn.press(storm, "List")
    world.cyn.wait_for_message(world.cast.checkout, containing="No incidents")
    world.rest()
    assert "Nobody owns any of the open incidents" in storms(world)[0].markup


@pytest.mark.parametrize("batch", [storm_actions.BATCH, 2])
def test_split_gives_the_open_incidents_their_cards_the_most_severe_first(
    world: World, deliver: Deliver, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(storm_actions, "BATCH", batch)
    deliver(Source.EVENTS, alerts(1, 5))
    world.rest()
    deliver(Source.EVENTS, [*alerts(6, 7, severity=None), *alerts(8, 9), *alerts(10, 21, severity="critical")])
    storm = wait_for_storm(world, "21 new incidents")
    deliver(Source.EVENTS, alert(9, status="resolved"))
    storm = wait_for_storm(world, "1 resolved")
    world.rest()
    assert len(cards(world)) == 15
    world.ben.press(storm, "Split")
    world.ben.wait_for_message(world.cast.checkout, containing="5 open incidents get their own cards")
    storm = wait_for_storm(world, "Split by Ben Tal")
    world.slack.wait_until(lambda: len(cards(world)) == 20, what="the cards")
    world.rest()
    assert cards(world)[15:] == [f"#{n} Host {n} is down" for n in (20, 21, 8, 6, 7)]
    assert "Split" not in storm.buttons
    deliver(Source.EVENTS, [alert(22), alert(9)])
    wait_for_storm(world, "22 new incidents")
    world.slack.wait_until(lambda: len(cards(world)) == 22, what="the cards of later ones")
    world.rest()


def test_what_a_storm_takes_in_between_the_batches_of_a_split_gets_its_card_too(
    world: World, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm_actions, "BATCH", 2)
    split_some = storm_actions.split_some

    def take_in_others_first(tx: Connection, access: Access, storm_id: int, now: datetime, before: Split) -> Split:
        if before.number == 4:  # all critical ones have their cards
            deliver(Source.EVENTS, alerts(22, 23, severity="critical"))
            wait_for_storm(world, "23 new incidents")
        return split_some(tx, access, storm_id, now, before)

    monkeypatch.setattr(storm_actions, "split_some", take_in_others_first)
    deliver(Source.EVENTS, alerts(1, 5))
    world.rest()
    deliver(Source.EVENTS, [*alerts(6, 7, severity=None), *alerts(8, 9), *alerts(10, 21, severity="critical")])
    world.ben.press(wait_for_storm(world, "21 new incidents"), "Split")
    world.ben.wait_for_message(world.cast.checkout, containing="8 open incidents get their own cards")
    world.slack.wait_until(lambda: len(cards(world)) == 23, what="the cards")
    world.rest()


@pytest.mark.parametrize(
    ("label", "rule", "error", "partly", "whole"),
    [
        (
            "Take all",
            "take_some",
            Contended(),
            "You own 4 incidents of this storm now, but I could not take the others. Press Take all again to go on.",
            "You own 8 more incidents of this storm now.",
        ),
        (
            "Split",
            "split_some",
            RuntimeError("a defect"),
            "4 open incidents get their own cards, but I could not give the others theirs. Press Split again to go on.",
            "3 open incidents get their own cards",
        ),
    ],
)
def test_after_a_batch_that_fails_the_answer_says_what_was_done_and_pressing_again_goes_on(
    world: World,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
    label: str,
    rule: str,
    error: Exception,
    partly: str,
    whole: str,
) -> None:
    monkeypatch.setattr(storm_actions, "BATCH", 2)
    deliver(Source.EVENTS, alerts(1, 12))
    storm = wait_for_storm(world, "12 new incidents")
    world.rest()
    do, calls = getattr(storm_actions, rule), iter(range(100))

    def fail(*given: Any, **more: Any) -> Any:
        done = do(*given, **more)
        if next(calls) == 2:
            raise error
        return done

    with monkeypatch.context() as failing, capture_logs() as logged:
        failing.setattr(storm_actions, rule, fail)
        world.ada.press(storm, label)
        answer = world.ada.wait_for_message(world.cast.checkout, containing="again to go on.")
        assert partly in answer.text
    # What nobody expected is in the log as an error, and the person gets its id, as for every other request.
    defects = [line["request_id"] for line in logged if line["event"] == "unexpected error"]
    assert re.findall(r"Error ID: (\w+)\.", answer.text) == defects
    assert len(defects) == isinstance(error, RuntimeError)
    world.rest()
    world.ada.press(wait_for_storm(world, "12 new incidents"), label)
    world.ada.wait_for_message(world.cast.checkout, containing=whole)


def test_silence_opens_its_form_with_the_labels_that_the_alerts_share(world: World, deliver: Deliver) -> None:
    labels = {"alertname": "HostDown", "zone": "eu-1"}
    deliver(Source.EVENTS, [alert(n, labels={**labels, "host": f"web-{n}"}) for n in range(1, 9)])
    storm = wait_for_storm(world, "8 new incidents")
    assert "*In common:* Host … is down · alertname HostDown · zone eu-1" in storm.markup
    world.ada.press(storm, "Silence")
    form = world.ada.wait_for_form("Silence #1")
    form.submit()
    world.ada.wait_for_message(world.cast.checkout, containing="It holds 8 open incidents")
    world.rest()
    deliver(Source.EVENTS, alert(9, labels={**labels, "host": "web-9"}))
    world.rest()
    wait_for_storm(world, "8 new incidents")


def test_silenced_incidents_of_a_storm_do_not_count_as_open(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, [alert(n, labels={"zone": "a" if n < 8 else "b"}) for n in range(1, 11)])
    wait_for_storm(world, "10 new incidents")
    world.rest()
    deliver(Source.EVENTS, alert(1, labels={"zone": "a"}, status="resolved"))
    wait_for_storm(world, "1 resolved, 9 open")
    world.ada.command("/incident", "silence 10", channel=world.cast.checkout)
    world.ada.wait_for_form("Silence #10").choose("Same labels", "zone = b").submit()
    storm = wait_for_storm(world, "1 resolved, 3 silenced, 6 open")
    world.ada.press(storm, "Take all")
    world.ada.wait_for_message(world.cast.checkout, containing="You own 6 incidents of this storm now.")
    left_out = "3 silenced incidents were left out. take N takes a silenced one."
    assert left_out in world.ada.wait_for_message(world.cast.checkout, containing="You own 6").text
    world.ada.press(storm, "Take all")  # the message may not show yet that she has them
    world.ada.wait_for_message(
        world.cast.checkout, containing="You took nothing: the open incidents without an owner are all silenced."
    )
    wait_for_storm(world, "Ada Obi owns 6")
    world.ben.press(storm, "Split")
    world.ben.wait_for_message(world.cast.checkout, containing="2 open incidents get their own cards")
    world.slack.wait_until(lambda: len(cards(world)) == 7, what="the cards of what is not silenced")
    world.rest()
    deliver(Source.EVENTS, [alert(n, labels={"zone": "a"}, status="resolved") for n in range(2, 8)])
    storm = wait_for_storm(world, "7 resolved, 3 silenced, 0 open")
    assert "All incidents are resolved or silenced" in storm.markup
    assert storm.buttons == ["List"]
    world.rest()
    assert len(cards(world)) == 7
    number = re.search(r"silence (\d+)", world.ask(world.ada, "silence list").text, re.IGNORECASE)
    assert number is not None
    world.ask(world.ada, f"silence end {number[1]}")
    storm = wait_for_storm(world, "7 resolved, 3 open")
    assert "Take all" in storm.buttons
    world.slack.wait_until(lambda: len(cards(world)) == 10, what="the cards of what was silenced")
    world.rest()


def test_a_storm_without_common_labels_offers_no_silence(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, [alert(n, labels={"host": f"web-{n}"}) for n in range(1, 9)])
    storm = wait_for_storm(world, "8 new incidents")
    assert storm.buttons == ["List", "Take all", "Split"]
    world.rest()


def test_a_link_to_a_folded_incident_leads_to_the_message_of_its_storm(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 8))
    storm = wait_for_storm(world, "8 new incidents")
    world.rest()
    world.ask(world.ada, "comment 8 @ben is it yours?")
    message = world.ben.wait_for_message(containing="is it yours?")
    assert storm.ts.replace(".", "") in message.markup
    world.rest()


def test_a_summary_of_one_change_counts_in_the_singular(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 1))
    world.ask(world.ben, "subscribe 1")
    for severity in ("critical", "warning", "critical", "warning", "critical"):
        world.ask(world.ada, f"severity 1 {severity}")
        world.rest()
    # All of them within a minute, however long they took.
    change(world.store, "UPDATE post SET date_added = %(now)s", now=world.store.clock.now())
    world.ask(world.ada, "resolve 1")
    world.ben.wait_for_message(containing="1 change to 1 incident that you follow")
    world.ask(world.ada, "reopen 1")
    world.ben.wait_for_message(containing="2 changes to 1 incident that you follow")
    world.rest()


def test_many_changes_to_somebody_who_follows_them_become_one_direct_message(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alerts(1, 20))
    storm = wait_for_storm(world, "20 new incidents")
    world.ben.press(storm, "Take all")
    world.ben.wait_for_message(world.cast.checkout, containing="You own 20 incidents of this storm now.")
    world.rest()
    world.ada.command("/incident", "comment 9 @ben the switch again", channel=world.cast.checkout)
    world.ben.wait_for_message(containing="the switch again")
    deliver(Source.EVENTS, alerts(1, 15, status="resolved"))
    world.ben.wait_for_message(containing="11 changes to 11 incidents that you follow")
    world.rest()
    direct = [one.notification for one in world.ben.direct_messages()]
    assert len(direct) == 1 + 4 + 1
    deliver(Source.EVENTS, alerts(16, 20, severity="critical"))
    summary = world.ben.wait_for_message(containing="16 changes to 16 incidents that you follow")
    assert "#20 Host 20 is down – Critical" in summary.text and "and 6 more" in summary.text
    world.ada.command("/incident", "comment 20 what about this one?", channel=world.cast.checkout)
    world.ben.wait_for_message(containing="what about this one?")
    world.rest()
    world.ben.press(summary, "List")
    world.ben.wait_for_message(containing="#20 Host 20 is down")
