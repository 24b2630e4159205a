"""A card in a channel: one for each incident, true at every moment, and nobody else's business."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from slack_sdk import WebClient

from bot.intake.tokens import Source
from bot.messages.blocks import actions, button
from sandbox import SeenMessage
from sandbox.blocks import controls
from sandbox.records import Channel
from storage.queries import outbox
from tests.stories.conftest import ORGANIZATION, Deliver, World


def cards(world: World, channel: Channel | None = None) -> list[SeenMessage]:
    """The messages of the bot that everybody in a channel sees, outside of threads."""
    found = world.slack.messages(channel or world.cast.checkout)
    return [message for message in found if message.from_app and "joined" not in message.text]


def card(world: World, channel: Channel | None = None, containing: str = "#1") -> SeenMessage:
    return world.dan.wait_for_message(channel or world.cast.checkout, containing=containing)


def test_an_incident_gets_one_card_in_the_channel_of_its_project(world: World) -> None:
    world.declare("Payments fail with 502", options="critical project:checkout")
    posted = card(world)
    assert posted.from_app and not posted.ephemeral
    title, place, seen = posted.text.splitlines()
    assert title == ":red_circle: #1 Payments fail with 502"
    assert re.fullmatch(r"Critical · Checkout · Payments · started (now|\d+ (second|minute)s? ago)", place)
    assert seen == ":eyes: Seen by Ada Obi"
    assert "attachments" not in posted.raw
    assert posted.buttons == ["Acknowledge", "Take it", "Resolve"]
    assert posted.entries == ["View", "Comment", "Activity", "Subscribe"]
    world.rest()
    assert len(cards(world)) == 1
    assert not cards(world, world.cast.catalogue) and not cards(world, world.cast.random)


def test_a_card_follows_every_change_in_place(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    world.ask(world.ben, "ack 1")
    posted.wait_for(lambda m: "Seen by Ben Tal and Ada Obi" in m.text)
    world.ask(world.ben, "severity 1 warning")
    posted.wait_for(lambda m: ":large_yellow_circle: #1" in m.text and "Warning · Checkout" in m.text)
    world.ask(world.ben, "comment 1 rolling *back* <now>")
    posted.wait_for(lambda m: "rolling back <now>" in m.text)
    world.ask(world.ben, "resolve 1")
    posted.wait_for(lambda m: "Resolved by" in m.text and m.buttons == ["Reopen"])
    world.ask(world.ben, "reopen 1")
    posted.wait_for(lambda m: "Warning · Checkout" in m.text and "Resolve" in m.buttons)
    world.rest()
    assert len(cards(world)) == 1


def test_the_menu_of_a_card_does_what_its_entries_say(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    world.ben.press(posted, "Comment")
    world.ben.wait_for_form("Comment #1").fill("Comment", "rolling back").submit()
    posted.wait_for(lambda m: "Ben Tal, today at" in m.text and "rolling back" in m.text)
    world.dan.press(posted, "Subscribe")
    world.dan.wait_for_message(world.cast.checkout, containing="follow")
    world.ask(world.ada, "comment 1 it is back")
    world.dan.wait_for_message(containing="it is back")


def test_the_first_to_acknowledge_takes_the_color_from_the_button(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, {"dedup_key": "x", "title": "Payments fail"})
    posted = card(world)
    assert "Nobody has acknowledged this yet" in posted.text

    def styles() -> list[str | None]:
        return [control.element.get("style") for control in controls(posted.blocks)]

    assert styles() == ["primary", None, None, None]
    world.ben.press(posted, "Acknowledge")
    posted.wait_for(lambda m: "Seen by Ben Tal" in m.text)
    assert styles() == [None, None, None, None]


def test_a_resolved_card_says_in_one_line_who_resolved_it_and_how(world: World) -> None:
    world.declare("Payments fail with 502", options="critical project:checkout")
    posted = card(world)
    world.store.clock.offset += timedelta(minutes=14)
    world.ask(world.ben, "resolve 1 rolled back\n4271 " + "and more " * 40)
    posted.wait_for(lambda m: m.buttons == ["Reopen"])
    title, closing = posted.text.splitlines()
    assert title == ":white_check_mark: #1 Payments fail with 502"
    assert re.match(r"Resolved by Ben Tal at \d+:\d\d [AP]M after 1[4-6] min: rolled back 4271 and more", closing)
    assert closing.endswith("…") and not posted.entries
    world.ben.press(posted, "Reopen")
    posted.wait_for(lambda m: "Critical · Checkout" in m.text and "Resolved" not in m.text)
    world.ask(world.ada, "severity 1 warning not so bad")
    world.ask(world.ada, "resolve 1")
    posted.wait_for(lambda m: "Resolved by Ada Obi" in m.text)
    assert re.search(r"after 1[4-6] min$", posted.text), "what was said of another change is not the last word"


def test_an_alert_that_ends_resolves_its_card(world: World, deliver: Deliver) -> None:
    began = world.store.clock.now() - timedelta(days=2)
    alert = {"dedup_key": "x", "title": "Payments fail", "started_at": began.isoformat()}
    deliver(Source.EVENTS, alert)
    posted = card(world)
    world.ask(world.ada, "comment 1 it will end by itself")
    deliver(Source.EVENTS, {**alert, "status": "resolved"})
    posted.wait_for(lambda m: "Resolved by its alert" in m.text)
    assert re.search(r"Resolved by its alert today at \d+:\d\d [AP]M after 2 d$", posted.text)


def test_what_an_alert_tells_stands_on_its_card(world: World, deliver: Deliver) -> None:
    alert = {
        "dedup_key": "x",
        "title": "Payments fail",
        "severity": "warning",
        "environment": "production",
        "url": "https://grafana.test/alerting/1",
        "description": "More than 5 % of payments fail. " * 40,
        "links": {"Runbook": "https://runbooks.test/payments", "Dashboard": "https://grafana.test/d/1"},
        "labels": {"instance": "db1", **{f"label{number}": "x" * 90 for number in range(9)}},
    }
    deliver(Source.EVENTS, alert)
    posted = card(world)
    _, place, description, facts, links, _ = posted.text.splitlines()
    assert "Warning · Checkout · Payments · production · started" in place
    assert description.startswith("More than 5 %") and description.endswith("…") and len(description) <= 250
    assert facts.startswith("instance db1 · label0 ") and re.search(r"· and \d more$", facts)
    assert links == "Runbook Dashboard Source"
    assert "<https://grafana.test/alerting/1|Source>" in posted.markup
    assert posted.text.count("Warning") == 1


def test_ten_changes_at_once_are_one_update(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.declare("Payments fail with 502")
    card(world)
    world.rest()
    before = len(world.slack.calls("chat.update"))
    monkeypatch.setattr(outbox, "CARD_DEBOUNCE_S", 600)
    for number in range(10):
        world.ask(world.ada, f"comment 1 line {number}")
    world.store.clock.offset += timedelta(seconds=600)
    card(world).wait_for(lambda m: "line 9" in m.text)
    world.rest()
    assert len(world.slack.calls("chat.update")) - before == 1


def test_the_buttons_of_a_card_work_for_who_may_and_not_for_others(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    world.ben.press(posted, "Acknowledge")
    posted.wait_for(lambda m: "Seen by Ben Tal" in m.text)
    world.rest()  # an answer names an incident only while its card shows what is stored
    world.cyn.press(posted, "Acknowledge")
    world.cyn.wait_for_message(world.cast.checkout, containing="You cannot open or change #1 Payments fail with 502")
    world.ben.press(posted, "Resolve")
    world.ben.wait_for_form("Resolve #1").submit()
    posted.wait_for(lambda m: "Resolved by" in m.text)
    world.rest()
    assert "Cyn" not in posted.text


def test_a_card_names_only_the_projects_of_its_channel(world: World) -> None:
    world.apply(
        ORGANIZATION.replace(
            "- {slug: catalogue",
            "- {slug: both, name: Both, teams: [payments, search], channels: [C0001]}\n  - {slug: catalogue",
        )
    )
    number = world.declare("Everything", options="project:checkout")
    with world.store.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO incident_project (incident_id, project_id, started, status)"
            " SELECT i.id, p.id, i.date_started, i.status FROM incident i, project p WHERE p.slug = 'catalogue'"
        )
    world.ask(world.ada, f"ack {number}")
    here = card(world)
    there = card(world, world.cast.catalogue)
    here.wait_for(lambda m: "Seen by Ada Obi" in m.text)
    world.rest()
    assert "Checkout" in here.text and "Catalogue" not in here.text
    assert "Catalogue" in there.text and "Checkout" not in there.text


def test_a_card_names_the_only_team_of_its_projects_where_the_incident_has_none(world: World) -> None:
    both = "- {slug: both, name: Both, teams: [payments, search], channels: [C0001]}"
    world.apply(ORGANIZATION.replace("- {slug: catalogue", f"{both}\n  - {{slug: catalogue"))
    world.declare("Of one team", options="project:checkout")
    world.declare("Of two", options="project:both")
    world.declare("Of Search alone", options="project:both team:search")
    places = [card(world, containing=f"#{number}").text.splitlines()[1] for number in (1, 2, 3)]
    assert [place.partition(" · started")[0] for place in places] == [
        "No severity · Checkout · Payments",
        "No severity · Both",
        "No severity · Both · Search",
    ]


def test_a_card_of_an_earlier_version_works_and_is_replaced(world: World) -> None:
    """Its buttons stand in an attachment."""
    world.joined_long_ago()
    world.declare("Payments fail with 502")
    posted = card(world)
    world.rest()
    buttons = [button(label, label.lower(), "1") for label in ("Acknowledge", "Resolve", "Comment", "Subscribe")]
    attachment = {"color": "#d7263d", "fallback": "#1", "blocks": [actions(buttons)]}
    WebClient(world.slack.bot_token, world.slack.api_url).chat_update(
        channel=posted.channel_id, ts=posted.ts, text="#1 Payments fail with 502", blocks=[], attachments=[attachment]
    )
    assert "Comment" in posted.buttons
    world.ben.press(posted, "Comment")
    world.ben.wait_for_form("Comment #1").fill("Comment", "rolling back").submit()
    posted.wait_for(lambda m: "rolling back" in m.text and m.buttons == ["Acknowledge", "Take it", "Resolve"])


def test_a_deleted_card_is_posted_anew_with_the_next_change_and_only_then(world: World) -> None:
    world.declare("Payments fail with 502")
    first = card(world)
    world.rest()
    world.slack.platform.workspace.delete(first.record)
    world.rest()
    assert not cards(world)
    world.ask(world.ben, "ack 1")
    card(world, containing="Seen by Ben Tal")
    world.ask(world.ben, "resolve 1")
    card(world, containing="Resolved")
    world.rest()
    assert len(cards(world)) == 1


def test_the_bot_joins_a_public_channel_to_hear_what_is_said_there(world: World) -> None:
    world.slack.remove_bot(world.cast.checkout)
    world.declare("Payments fail with 502")
    card(world)
    assert world.slack.bot_user_id in world.cast.checkout.members


def test_it_asks_to_be_invited_to_a_private_channel_and_posts_when_it_is(world: World) -> None:
    den = world.slack.channel("G0001", "den", private=True, bot_in=False)
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: [C0001, G0001]"))
    world.declare("Payments fail with 502")
    asked = world.ada.wait_for_message(containing="Invite me")
    assert "G0001" in asked.markup
    world.ask(world.ada, "ack 1")
    world.slack.invite_bot(den)
    card(world, den)
    world.rest()
    assert len(cards(world, den)) == 1
    assert len([m for m in world.ada.direct_messages() if "Invite me" in m.text]) == 1


def test_a_card_in_an_archived_channel_is_brought_up_to_date_when_it_comes_back(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    world.rest()
    world.slack.archive(world.cast.checkout)
    world.slack.settle()
    world.ask(world.ada, "resolve 1", channel=world.cast.random)
    world.rest()
    assert "Resolved" not in posted.text
    world.slack.unarchive(world.cast.checkout)
    posted.wait_for(lambda m: "Resolved by" in m.text)
    world.rest()
    assert len(cards(world)) == 1


def test_a_project_that_moves_takes_its_incidents_out_of_the_old_channel(world: World) -> None:
    world.declare("Payments fail with 502")
    posted = card(world)
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: [C0003]"), prune=True)
    posted.wait_for(lambda m: "no longer shown in this channel" in m.text and not m.buttons)
    world.ask(world.ada, "comment 1 secret of the new channel")
    card(world, world.cast.random, containing="secret of the new channel")
    world.apply(ORGANIZATION, prune=True)
    world.ask(world.ada, "ack 1")
    posted.wait_for(lambda m: "#1 Payments fail with 502" in m.text)
    world.rest()
    assert len(cards(world)) == 1


def test_a_channel_shared_with_another_company_gets_a_card_only_when_that_is_allowed(world: World) -> None:
    shared = world.slack.channel("C0009", "with-globex", shared_with="T0009")
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: [C0001, C0009]"))
    world.declare("Payments fail with 502")
    card(world)
    world.rest()
    assert not cards(world, shared)
    allowed = ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], shared_channels: true")
    world.apply(allowed.replace("channels: [C0001]", "channels: [C0001, C0009]"))
    world.declare("Again")
    card(world, shared, containing="#2 Again")


def test_the_bot_removed_and_invited_again_brings_its_card_up_to_date(world: World) -> None:
    den = world.slack.channel("G0001", "den", private=True)
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: [G0001]"))
    world.declare("Payments fail with 502")
    posted = card(world, den)
    world.rest()
    world.slack.remove_bot(den)
    world.slack.settle()
    world.ask(world.ada, "resolve 1")
    world.declare("Refunds fail too")
    world.rest()
    assert "Resolved" not in posted.text
    world.slack.invite_bot(den)
    posted.wait_for(lambda m: "Resolved by" in m.text)
    card(world, den, containing="#2 Refunds")
    world.rest()
    assert len(cards(world, den)) == 2
