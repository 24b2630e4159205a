"""Digests, as the people who make and read them see them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from sandbox import Answer, Person, SeenMessage
from sandbox.records import Channel
from storage.engine import Store
from tests.stories.conftest import COMMAND, ORGANIZATION, World

# What a test takes, however busy the machine is.
SHORT = r"(less than a minute|\d min)"


def add(world: World, words: str, *, by: Person | None = None, channel: Channel | None = None) -> tuple[int, Answer]:
    """A digest made by Ada unless somebody else is named; gives its number."""
    answer = world.ask(by or world.ada, f"digest add {words}", channel=channel)
    assert "You created digest" in answer.text, answer.text
    return int(answer.text.split("digest ", 1)[1].split(".", 1)[0]), answer


def change(store: Store, digest_id: int, **values: Any) -> None:
    """Changes columns behind the bot's back."""
    sets = ", ".join(f"{name} = :{name}" for name in values)
    with store.write() as tx:
        tx.execute(text(f"UPDATE digest SET {sets} WHERE id = :id"), {**values, "id": digest_id})  # noqa: S608


def time_comes(world: World, digest_id: int, *, ago: timedelta = timedelta(0)) -> datetime:
    """The digest's time is now, or was so long ago; gives that time."""
    due = world.store.clock.now() - ago
    change(world.store, digest_id, next_fire_at=due)
    return due


def state(world: World, digest_id: int, what: str = "state") -> list[Any]:
    """A column of the digest's fires, oldest first."""
    with world.store.read() as connection:
        query = f"SELECT {what} FROM digest_fire WHERE digest_id = :id ORDER BY fire_at"  # noqa: S608
        return list(connection.execute(text(query), {"id": digest_id}).scalars())


def posted(world: World, channel: Channel, containing: str) -> list[SeenMessage]:
    """The messages of a channel that everybody sees, with these words."""
    return [one for one in world.slack.messages(channel) if containing in one.text and not one.ephemeral]


def wait_for_post(world: World, channel: Channel, containing: str) -> SeenMessage:
    world.slack.wait_until(lambda: bool(posted(world, channel, containing)), what=f"a post with {containing}")
    return posted(world, channel, containing)[-1]


def unseen(world: World, number: int) -> None:
    """As an alert leaves it: nobody has seen the incident yet."""
    with world.store.write() as tx:
        query = "DELETE FROM incident_seen s USING incident i WHERE i.id = s.incident_id AND i.identifier = :number"
        tx.execute(text(query), {"number": number})


def test_a_digest_is_confirmed_and_sent(world: World) -> None:
    unseen(world, world.declare("Payments fail with 502", options="critical project:checkout team:payments"))
    number = world.declare("Cards time out", options="warning project:checkout team:payments")
    world.ask(world.ben, f"ack {number}")
    world.ask(world.ben, f"comment {number} I am looking at the gateway")
    digest_id, answer = add(world, '"weekdays at 9" picture:no')
    assert "Weekdays at 9:00 AM (Europe/Berlin) in #checkout" in answer.text
    assert answer.message is not None
    assert str(answer.message.blocks).count("^{date_short_pretty} at {time}|") == 3
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "2 open incidents")
    assert "1 critical" in digest.text
    assert "1 warning" in digest.text
    assert "1 not acknowledged (1 critical) · :white_check_mark: 0 resolved since" in digest.text
    assert re.search(rf"Payments · open for {SHORT} · not acknowledged", digest.text)
    assert re.search(rf"Payments · open for {SHORT} · Seen by Ben Tal and Ada Obi", digest.text)
    assert "I am looking at the gateway" in digest.text
    assert "2 opened, 0 resolved" in digest.text
    assert digest.metadata
    world.ben.press(digest, "View", containing="#1")
    assert "Nobody has acknowledged this yet" in world.ben.wait_for_form("Incident").text


def test_the_next_digest_tells_what_was_resolved_since(world: World) -> None:
    for title in ("Slow search", "Disk full", "Still broken"):
        world.declare(title)
    digest_id, _ = add(world, '"hourly" picture:no')
    time_comes(world, digest_id)
    wait_for_post(world, world.cast.checkout, "3 open incidents")
    world.ask(world.ada, "resolve 1")
    world.ask(world.ada, "resolve 2")
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "1 open incident\n")
    assert ":white_check_mark: 2 resolved since" in digest.text
    assert re.search(rf"0 opened, 2 resolved · median {SHORT} to resolve", digest.text)
    assert "Resolved: #2 Disk full, #1 Slow search" in digest.text


def test_a_picture_comes_with_it_once_slack_has_looked_at_it(world: World) -> None:
    world.declare("Payments fail with 502", options="critical project:checkout")
    digest_id, _ = add(world, '"hourly"')
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "1 open incident\n")
    image = next(block for block in digest.blocks if block["type"] == "image")
    assert image["slack_file"]["id"] == state(world, digest_id, "file_id")[0]
    assert image["alt_text"].endswith(": 1 critical; 1 open now.")


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal", "files.info"])
def test_the_digest_goes_without_its_picture_when_that_fails(world: World, method: str) -> None:
    world.declare("Payments fail with 502")
    world.slack.faults.refuse(method, "internal_error", times=None)
    digest_id, _ = add(world, '"hourly"')
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "1 open incident\n")
    assert not [block for block in digest.blocks if block["type"] == "image"]


def test_nothing_open_is_one_line(world: World) -> None:
    world.declare("Disk full", options="warning")
    digest_id, _ = add(world, '"weekdays at 9" critical team:payments')
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "No critical incidents open for team:payments.")
    assert "Next digest" in digest.text
    world.ask(world.ada, "resolve 1")
    digest_id, _ = add(world, '"weekdays at 9"')
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "No incidents open.")
    assert "Resolved: #1 Disk full" in digest.text


def test_nothing_open_is_silence_when_asked_for(world: World) -> None:
    digest_id, _ = add(world, '"weekdays at 9" empty:skip')
    time_comes(world, digest_id)
    world.slack.wait_until(lambda: state(world, digest_id) == ["silent"], what="a silent digest")
    assert not posted(world, world.cast.checkout, "No incidents open")
    assert "not sent yet (nothing was open the last time)" in world.ask(world.ada, "digest list").text


def test_long_ones_page_in_place_for_everybody(world: World) -> None:
    for number in range(1, 24):
        world.declare(f"Trouble {number:02}", options="project:checkout team:payments")
    # In a channel without cards, which come first.
    digest_id, _ = add(world, '"hourly"', channel=world.cast.random)
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.random, "23 open incidents")
    assert "Page 1 of 3" in digest.text
    assert digest.buttons.count("View") == 10
    world.ben.press(digest, "Next")
    digest.wait_for(lambda m: "Page 2 of 3" in m.text and "#13 Trouble 13" in m.text)
    world.ben.press(digest, "Next")
    digest.wait_for(lambda m: "Page 3 of 3" in m.text and "#1 Trouble 01" in m.text)
    assert "Next" not in digest.buttons
    world.ben.press(digest, "Previous")
    digest.wait_for(lambda m: "Page 2 of 3" in m.text)
    world.ben.press(digest, "Previous")
    digest.wait_for(lambda m: "Page 1 of 3" in m.text)
    assert [block for block in digest.blocks if block["type"] == "image"]
    assert not digest.ephemeral


def test_a_page_is_turned_only_in_its_channel(world: World) -> None:
    for number in range(1, 18):
        world.declare(f"Trouble {number:02}")
    digest_id, _ = add(world, '"hourly" picture:no', channel=world.cast.random)
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.random, "17 open incidents")
    pressed = world.cyn.press(digest, "Next")
    digest.wait_for(lambda m: "Page 2 of 2" in m.text)
    forged = dict(pressed.payload)
    forged["channel"] = {"id": world.cast.catalogue.id, "name": "catalogue"}
    world.cyn.press(digest, "Previous")
    digest.wait_for(lambda m: "Page 1 of 2" in m.text)
    world.cyn.replay(forged)
    world.slack.wait_until(
        lambda: any("There is no digest" in str(one.sent) for one in world.slack.traffic), what="a refusal"
    )
    world.slack.settle()
    assert "Page 1 of 2" in digest.text
    assert not any("Page 2 of 2" in one.text for one in world.cyn.sees(world.cast.catalogue))


def test_now_sends_at_once_and_leaves_the_schedule(world: World) -> None:
    world.declare("Payments fail with 502")
    digest_id, _ = add(world, '"weekdays at 9" picture:no')
    with world.store.read() as connection:
        before = connection.execute(text("SELECT next_fire_at, last_fire_at FROM digest")).one()
    answer = world.ask(world.ada, f"digest now {digest_id}")
    assert "Tocsin is sending digest" in answer.text
    wait_for_post(world, world.cast.checkout, "1 open incident\n")
    with world.store.read() as connection:
        assert connection.execute(text("SELECT next_fire_at, last_fire_at FROM digest")).one() == before


def test_a_little_late_is_sent_and_what_was_missed_is_named_in_the_next(world: World) -> None:
    world.declare("Payments fail with 502")
    late, _ = add(world, '"0 0 1 1 *" picture:no')
    too_late, _ = add(world, '"0 0 1 1 *" picture:no', channel=world.cast.random)
    due = time_comes(world, late, ago=timedelta(minutes=110))
    time_comes(world, too_late, ago=timedelta(minutes=121))
    wait_for_post(world, world.cast.checkout, "1 open incident\n")
    assert state(world, late, "fire_at") == [due]
    world.slack.wait_until(lambda: state(world, too_late) == ["missed"], what="a missed digest")
    assert not posted(world, world.cast.random, "open incident")
    listed = world.ask(world.ada, "digest list", channel=world.cast.random).text
    assert "not sent yet" in listed
    assert re.search(r"Last missed .+: Tocsin was not running\.", listed)

    time_comes(world, too_late)
    digest = wait_for_post(world, world.cast.random, "1 open incident\n")
    assert re.search(r"The digest of .+ was missed: Tocsin was not running\.", digest.text)
    world.slack.wait_until(lambda: state(world, too_late) == ["missed", "sent"], what="that it was sent")
    assert "last sent" in world.ask(world.ada, "digest list", channel=world.cast.random).text
    world.ask(world.ada, f"digest now {too_late}")
    world.slack.wait_until(lambda: len(posted(world, world.cast.random, "1 open incident\n")) == 2, what="another")
    assert "was missed" not in posted(world, world.cast.random, "1 open incident\n")[-1].text


def test_what_a_missed_digest_would_have_reported_is_in_the_next(world: World) -> None:
    for title in ("Slow search", "Disk full"):
        world.declare(title)
    digest_id, _ = add(world, '"hourly" picture:no')
    time_comes(world, digest_id)
    wait_for_post(world, world.cast.checkout, "2 open incidents")
    world.slack.wait_until(lambda: state(world, digest_id) == ["sent"], what="that it was sent")
    world.ask(world.ada, "resolve 1")
    with world.store.write() as tx:  # recorded in time, and then too late
        tx.execute(
            text(
                "INSERT INTO digest_fire (digest_id, fire_at, since, state, reason)"
                " VALUES (:id, :now, :now, 'missed', 'Slack could not be reached.')"
            ),
            {"id": digest_id, "now": world.store.clock.now()},
        )
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "1 open incident\n")
    assert "was missed: Slack could not be reached." in digest.text
    assert "Resolved: #1 Slow search" in digest.text


def test_criticals_come_first_whatever_their_team(world: World) -> None:
    world.declare("Search is slow", options="critical project:catalogue team:search")
    world.declare("Payments fail with 502", options="warning project:checkout team:payments")
    world.declare("Typo on the page")
    world.declare("Search is down", options="critical project:catalogue team:search")
    digest_id, _ = add(world, '"hourly" picture:no')
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.checkout, "4 open incidents")
    lines = ("Critical · 2", "#4 Search is down", "#1 Search is slow", "Warning · 1", "#2 Pay", "No severity · 1", "#3")
    places = [digest.text.index(one) for one in lines]
    assert places == sorted(places)
    assert "Search · open for" in digest.text


def test_who_may_no_longer_manage_digests_can_stop_their_own(world: World) -> None:
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    digest_id, made = add(world, '"hourly" picture:no', by=world.ben)
    world.apply(ORGANIZATION)
    assert made.message is not None
    world.ben.press(made.message, "Edit")
    refusal = world.ben.wait_for_message(world.cast.checkout, containing="can change or send digests")
    assert "You own this one, so you can pause or remove it." in refusal.text
    assert not world.ben.form
    assert "can change or send digests" in world.ask(world.ben, f"digest now {digest_id}").text
    listed = world.ask(world.ben, "digest list").message
    assert listed is not None
    assert listed.buttons == ["Preview", "Pause", "Remove"]
    world.ben.press(listed, "Pause")
    paused = world.ben.wait_for_message(world.cast.checkout, containing=f"You paused digest {digest_id}.")
    assert paused.buttons == ["Preview", "Remove"]
    assert "can change or send digests" in world.ask(world.ben, f"digest resume {digest_id}").text
    assert f"You removed digest {digest_id}." in world.ask(world.ben, f"digest remove {digest_id}").text


def test_an_owner_without_access_ends_it_and_is_told_once(world: World) -> None:
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    world.declare("Payments fail with 502")
    digest_id, _ = add(world, '"hourly" picture:no', by=world.ben)
    world.apply(
        ORGANIZATION.replace("Ben Tal, role: member, teams: [payments]", "Ben Tal, role: admin, teams: []"),
        prune=True,
    )
    time_comes(world, digest_id)
    note = world.ben.wait_for_message(containing="Tocsin paused digest")
    assert "no longer sees any project" in note.text
    assert not posted(world, world.cast.checkout, "open incident")
    world.slack.settle()
    assert len([one for one in world.ben.direct_messages() if "Tocsin paused digest" in one.text]) == 1
    # A manager takes it over.
    answer = world.ask(world.dan, f"digest resume {digest_id}")
    assert f"You resumed digest {digest_id}. You own it now" in answer.text
    world.ben.wait_for_message(containing=f"Dan Wu owns your digest {digest_id} now.")
    time_comes(world, digest_id)
    wait_for_post(world, world.cast.checkout, "1 open incident\n")


def test_when_the_owner_has_left_the_managers_are_told(world: World) -> None:
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    world.declare("Payments fail with 502")
    digest_id, _ = add(world, '"hourly" picture:no', by=world.ben)
    without = "\n".join(line for line in ORGANIZATION.splitlines() if "Ben Tal" not in line)
    world.apply(without, prune=True)
    time_comes(world, digest_id)
    for person in (world.ada, world.dan):
        note = person.wait_for_message(containing="Tocsin paused digest")
        assert "Its owner Ben Tal is no longer a member of Acme" in note.text
    assert not world.sue.direct_messages()
    assert not posted(world, world.cast.checkout, "open incident")


def test_a_digest_shows_what_its_owner_sees_when_it_fires(world: World) -> None:
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    world.declare("Payments fail with 502")
    world.declare("Search is slow", options="project:catalogue")
    digest_id, _ = add(world, '"hourly" picture:no', by=world.ben, channel=world.cast.random)
    time_comes(world, digest_id)
    digest = wait_for_post(world, world.cast.random, "1 open incident\n")
    assert "Search is slow" not in digest.text


def test_a_line_without_a_team_names_the_team_of_its_projects_or_the_projects(world: World) -> None:
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    world.declare("Cards time out")
    number = world.declare("Everything is slow")
    with world.store.write() as tx:
        query = """INSERT INTO incident_project (incident_id, project_id, started, status)
                   SELECT i.id, p.id, i.date_started, i.status FROM incident i, project p
                   WHERE i.identifier = :number AND p.slug = 'catalogue'"""
        tx.execute(text(query), {"number": number})

    def shown(by: Person, channel: Channel) -> str:
        digest_id, _ = add(world, '"hourly" picture:no', by=by, channel=channel)
        time_comes(world, digest_id)
        return wait_for_post(world, channel, "2 open incidents").text

    everything = shown(world.ada, world.cast.checkout)
    assert re.search(r"Cards time out\W+Payments · open for", everything)
    assert re.search(r"Everything is slow\W+Catalogue, Checkout · open for", everything)
    # Ben does not see Catalogue: neither its name nor its team reaches his digest.
    of_ben = shown(world.ben, world.cast.random)
    assert re.search(r"Everything is slow\W+Payments · open for", of_ben)
    assert "catalogue" not in of_ben and "Search" not in of_ben


def test_a_channel_that_is_gone_pauses_it(world: World) -> None:
    world.declare("Payments fail with 502")
    digest_id, _ = add(world, '"hourly" picture:no', channel=world.cast.random)
    world.slack.archive(world.cast.random)
    time_comes(world, digest_id)
    note = world.ada.wait_for_message(containing="Tocsin paused digest")
    assert "The channel is archived" in note.text
    assert state(world, digest_id) == ["failed"]


def test_who_may_make_one_and_where_it_is_read(world: World) -> None:
    refused = world.ask(world.ben, 'digest add "weekdays at 9"')
    assert "admins, managers and owners" in refused.text
    _, answer = add(world, '"weekdays at 9" project:checkout', channel=world.cast.random)
    assert "Everyone in the workspace can" in answer.text
    assert "Checkout" in answer.text
    world.apply(ORGANIZATION.replace("[T0001]}", "[T0001], open_membership: true}"))
    _, answer = add(world, '"weekdays at 9" project:checkout', channel=world.cast.random)
    assert "not only the teams of" not in answer.text


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ('"0 9 30 2 *"', "there is no 30 February"),
        ('"61 * * * *"', "“61” is not a valid minute"),
        ("every blursday at 9", "“thursday”"),
        ('"weekdays at 9" tz:Berlin', "tz:Europe/Berlin?"),
        ('"weekdays at 9" project:chekout', "project:checkout?"),
        ('"weekdays at 9" tema:payments', "team:payments?"),
        ('"weekdays at 9" closed', "closed would leave it empty"),
        ('"weekdays at 9" empty:maybe', "skip or send"),
        ('"weekdays at 9" since:yesterday', "“yesterday” is not a time"),
        ("", "When should the digest be sent?"),
    ],
)
def test_a_mistake_is_named_with_the_right_form(world: World, words: str, named: str) -> None:
    answer = world.ask(world.ada, f"digest add {words}")
    assert named in answer.text
    assert "digest add" in answer.text


def test_channels_that_cannot_have_one_are_named(world: World) -> None:
    away = world.slack.channel("C0008", "elsewhere", bot_in=False)
    shared = world.slack.channel("C0009", "partners", shared_with="T0999")
    assert "I am not in #elsewhere" in world.ask(world.ada, "digest add hourly", channel=away).text
    assert "shared with another company" in world.ask(world.ada, "digest add hourly", channel=shared).text
    in_direct_messages = world.ada.command(COMMAND, "digest add hourly").text
    assert "Digests are posted in channels, not in direct messages." in in_direct_messages


def test_one_that_fires_every_minute_is_made_with_a_warning(world: World) -> None:
    _, answer = add(world, "* * * * *")
    assert "a message to the channel every minute" in answer.text
    _, answer = add(world, "weekdays at 9")
    assert "a message to the channel" not in answer.text


def test_words_without_quotes_and_filters_behind_them(world: World) -> None:
    _, answer = add(world, "every monday at 8 tz:america/new_york critical team:payments")
    assert "Every Monday at 8:00 AM (America/New_York)" in answer.text
    assert "critical team:payments" in answer.text
    _, answer = add(world, "0 9 * * 1-5 latency")
    assert "Weekdays at 9:00 AM" in answer.text
    assert "latency" in answer.text


def test_the_list_has_the_buttons(world: World) -> None:
    digest_id, _ = add(world, '"weekdays at 9"')
    add(world, '"hourly"', channel=world.cast.random)
    listed = world.ask(world.ada, "digest list")
    assert listed.text.index(f"Digest {digest_id}") < listed.text.index(f"Digest {digest_id + 1}")
    assert "owned by Ada Obi" in listed.text
    assert "not sent yet" in listed.text
    assert "in #random" in listed.text
    message = listed.message
    assert message is not None
    assert {"Preview", "Pause", "Edit", "Remove"} <= set(message.buttons)
    world.ada.press(message, "Pause", containing=f"Digest {digest_id}")
    paused = world.ada.wait_for_message(world.cast.checkout, containing=f"You paused digest {digest_id}.")
    assert "Resume" in paused.buttons
    world.ada.press(paused, "Resume")
    world.ada.wait_for_message(world.cast.checkout, containing=f"You resumed digest {digest_id}.")
    world.ada.press(message, "Remove", containing=f"Digest {digest_id}")
    world.ada.wait_for_message(world.cast.checkout, containing=f"You removed digest {digest_id}.")
    assert "There is no digest" in world.ask(world.ada, f"digest now {digest_id}").text
    # Who may not change them sees those of the channel, without buttons.
    seen = world.ask(world.cyn, "digest list", channel=world.cast.random)
    assert "Every hour" in seen.text
    assert seen.message is not None
    assert "Pause" not in seen.message.buttons
    assert "belongs to Ada Obi" in world.ask(world.cyn, f"digest pause {digest_id + 1}", channel=world.cast.random).text


def test_a_preview_is_for_the_caller_alone(world: World) -> None:
    world.declare("Payments fail with 502")
    digest_id, _ = add(world, '"weekdays at 9"')
    answer = world.ask(world.ada, f"digest preview {digest_id}")
    assert "1 open incident" in answer.text
    assert answer.message is not None
    assert answer.message.ephemeral
    assert state(world, digest_id) == []


def test_the_form_with_its_preview(world: World) -> None:
    world.declare("Payments fail with 502", options="critical project:checkout")
    world.ask(world.ada, "digest")
    form = world.ada.wait_for_form("New digest")
    assert form.value("Time zone") == "Europe/Berlin"
    form.fill("When", "every blursday at 9")
    form.fill("Time zone", "Berlin")
    outcome = form.submit()
    assert "thursday" in outcome.errors["When"]
    assert "Europe/Berlin" in outcome.errors["Time zone"]
    form.fill("When", "every day at 17:30")
    form.fill("Time zone", "Europe/Berlin")
    form.choose("Severity", "Only critical")
    form.choose("When nothing is open", "Send nothing")
    world.ada.press(form, "Preview")
    preview = world.ada.wait_for_form("Preview")
    assert "Every day at 5:30 PM" in preview.text
    assert "#1 Payments fail with 502" in preview.text
    preview.close()
    form = world.ada.wait_for_form("New digest")
    assert form.submit().closed
    made = world.ada.wait_for_message(world.cast.checkout, containing="You created digest")
    assert "Every day at 5:30 PM (Europe/Berlin)" in made.text
    assert "critical" in made.text
    digest_id = int(made.text.split("digest ", 1)[1].split(".", 1)[0])
    world.ada.press(made, "Edit")
    form = world.ada.wait_for_form(f"Digest {digest_id}")
    assert form.value("When") == "every day at 5:30 PM"
    assert form.value("Severity") == "Only critical"
    form.fill("When", "0 8 * * 1")
    assert form.submit().closed
    changed = world.ada.wait_for_message(world.cast.checkout, containing=f"You changed digest {digest_id}.")
    assert "Every Monday at 8:00 AM" in changed.text


def test_the_form_shows_every_filter_of_a_digest(world: World) -> None:
    filters = 'critical "status:500" "card payments" project:checkout team:payments,unassigned env:prod-eu owner:none'
    digest_id, made = add(world, f'"hourly" {filters} until:7d seen:no picture:no')
    world.ask(world.ada, f"digest edit {digest_id}")
    form = world.ada.wait_for_form(f"Digest {digest_id}")
    shown = {
        "Severity": "Only critical",
        "Words in the title": 'status:500 "card payments"',
        "Project": "Checkout",
        "Teams": ["Payments", "Unassigned"],
        "Environment": "prod-eu",
        "Owner": "Nobody",
        "Until": "7 days ago",
        "Only": ["Not acknowledged by anybody"],
        "Chart": [],
    }
    assert {label: form.value(label) for label in shown} == shown
    assert form.submit().closed
    changed = world.ada.wait_for_message(world.cast.checkout, containing=f"You changed digest {digest_id}.")
    same = changed.text.split("#checkout", 1)[1].split("Next", 1)[0]
    assert same == made.text.split("#checkout", 1)[1].split("Next", 1)[0]


def test_a_filter_that_means_nothing_any_more_is_refused_at_its_field(world: World) -> None:
    digest_id, _ = add(world, '"hourly" project:checkout')
    world.ask(world.ada, f"digest edit {digest_id}")
    form = world.ada.wait_for_form(f"Digest {digest_id}")
    world.apply(ORGANIZATION.replace("slug: checkout,", "slug: till,"), prune=True)
    assert "There is no project “checkout”" in form.submit().errors["Project"]
    form.close()
    world.ask(world.ada, f"digest edit {digest_id}")
    form = world.ada.wait_for_form(f"Digest {digest_id}")
    assert form.value("Project") == "checkout"
    world.ada.press(form, "Preview")
    assert "There is no project “checkout”" in world.ada.wait_for_form("Tocsin").text


def test_who_edits_an_older_version_overwrites_nothing(world: World) -> None:
    made, _ = add(world, '"hourly" picture:no')
    forms: list[Any] = []
    for person in (world.ada, world.dan):
        world.ask(person, f"digest edit {made}")
        forms.append(person.wait_for_form(f"Digest {made}").fill("When", f"every day at {len(forms) + 1} pm"))
    world.ask(world.ada, f"digest pause {made}")  # changes nothing that stands in the form
    assert forms[1].submit().closed
    world.dan.wait_for_message(world.cast.checkout, containing=f"You changed digest {made}.")
    world.ask(world.ada, f"digest resume {made}")  # as does this
    refused = forms[0].submit()
    assert f"Dan Wu changed digest {made} while you were editing it" in refused.errors["Channel"]
    assert forms[0].value("When") == "every day at 1 pm"
    assert "Every day at 2:00 PM" in world.ask(world.ada, "digest list").text
    forms[0].close()
    world.ask(world.ada, f"digest edit {made}")
    again = world.ada.wait_for_form(f"Digest {made}")
    assert again.value("When") == "every day at 2:00 PM"
    assert again.fill("When", "every day at 1 pm").submit().closed


def test_what_the_file_changed_while_somebody_edited_it_is_not_overwritten(world: World) -> None:
    file = f"{ORGANIZATION}digests:\n  - {{name: morning, channel: C0001, owner: ada@acme.test, schedule: hourly}}\n"
    world.apply(file)
    (made,) = re.findall(r"Digest (\d+)", world.ask(world.ada, "digest list").text)
    world.ask(world.ada, f"digest edit {made}")
    form = world.ada.wait_for_form(f"Digest {made}")
    world.apply(file.replace("hourly", "weekdays at 9"))
    assert f"The organization file changed digest {made} while" in form.submit().errors["Channel"]


def test_filters_find_an_owner_who_has_never_used_the_bot(world: World) -> None:
    digest_id, _ = add(world, f'"hourly" owner:{world.ben.mention}')
    world.ask(world.ada, f"digest edit {digest_id}")
    assert world.ada.wait_for_form(f"Digest {digest_id}").value("Owner") == "Ben Tal"
    assert 'owner:"@Cyn Roe"' in world.ask(world.ada, f"list owner:{world.cyn.mention}").text
    for words in ('digest add "hourly"', "list"):
        answer = world.ask(world.ada, f"{words} owner:{world.eve.mention}").text
        assert "Eve Out is not a member of your organization." in answer and f"/incident {words} " in answer


def test_another_time_or_look_leaves_the_owner(world: World) -> None:
    made, _ = add(world, '"hourly" project:checkout team:payments,unassigned owner:ada@acme.test')
    world.ask(world.dan, f"digest edit {made}")
    form = world.dan.wait_for_form(f"Digest {made}")
    assert form.fill("When", "weekdays at 7").choose("When nothing is open", "Send nothing").submit().closed
    world.dan.wait_for_message(world.cast.checkout, containing=f"You changed digest {made}.")
    for words in (f"digest pause {made}", f"digest resume {made}"):
        assert "You own it now" not in world.ask(world.dan, words).text
    listed = world.ask(world.dan, "digest list").text
    assert "Weekdays at 7:00 AM" in listed and "owned by Ada Obi" in listed
    world.rest()
    assert not [one for one in world.ada.direct_messages() if "owns your digest" in one.text]


def test_whose_digest_it_was_reads_nothing_of_what_they_may_not_see(world: World) -> None:
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    made, _ = add(world, '"hourly" project:checkout', by=world.ben)
    world.ask(world.dan, f"digest edit {made}")
    form = world.dan.wait_for_form(f"Digest {made}")
    assert form.choose("Project", "Catalogue").submit().closed
    note = world.ben.wait_for_message(containing=f"Dan Wu owns your digest {made} now.").text
    assert "project:checkout" in note and "catalogue" not in note


def test_whoever_changes_a_digest_answers_for_what_it_shows(world: World) -> None:
    world.apply(ORGANIZATION.replace("Ben Tal, role: member", "Ben Tal, role: admin"))
    world.declare("Payments fail with 502")
    world.declare("Search is slow", options="project:catalogue")
    narrow, _ = add(world, '"hourly" project:checkout picture:no')
    wide, _ = add(world, '"hourly" picture:no')
    assert "belongs to Ada Obi" in world.ask(world.ben, f"digest edit {wide}").text
    world.ask(world.ben, f"digest edit {narrow}")
    form = world.ben.wait_for_form(f"Digest {narrow}")
    assert form.value("Project") == "Checkout"
    assert "Ada Obi owns this digest" in form.text
    form.choose("Project")
    assert form.submit().closed
    answer = world.ben.wait_for_message(world.cast.checkout, containing=f"You changed digest {narrow}.")
    assert "You own it now, so it shows what you can see." in answer.text
    note = world.ada.wait_for_message(containing=f"Ben Tal owns your digest {narrow} now.")
    assert "It shows what Ben Tal can see." in note.text
    time_comes(world, narrow)
    digest = wait_for_post(world, world.cast.checkout, "1 open incident\n")
    assert "Search is slow" not in digest.text
