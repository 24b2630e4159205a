"""Silences: alerts that make no cards for a while, are recorded all the same, and are caught up with at the end."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.digests.silence_ends import end_blind, end_due
from bot.incidents.alerts import Alert, take
from bot.incidents.silence_times import LONGEST
from bot.incidents.silences import end_followed, hold_matching
from bot.intake.tokens import Source
from sandbox import Form, Person
from storage.queries.outbox import redraw_cards
from storage.rows import AlertKey
from storage.values import Status
from tests.patience import PATIENCE_S
from tests.storage.test_at_once import at_once
from tests.stories.conftest import Deliver, World
from tests.stories.test_cards import card, cards


def alert(key: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    return {"dedup_key": key, "title": f"{key} is slow", "status": status, "labels": labels}


def open_form(world: World, person: Person | None = None) -> Form:
    """What `Silence` on the card of #1 opens; for Ada where nobody is named."""
    person = person or world.ada
    person.press(card(world), "Silence")
    return person.wait_for_form("Silence #1")


def silence(world: World, person: Person, words: str) -> int:
    """The id of the silence that `silence` with these words makes."""
    found = re.search(r"\(silence (\d+)\)", world.ask(person, f"silence {words}").text)
    assert found is not None
    return int(found[1])


def pass_ends(world: World, only: int | None = None) -> None:
    """Lets the time of all silences come, or of one, and ends them as the tick does. The bot may be at it already."""
    with world.store.write() as tx:
        tx.exec_driver_sql(
            "UPDATE silence SET ends = starts + interval '1 microsecond' WHERE id = coalesce(%(only)s, id)",
            {"only": only},
        )
    now = world.store.clock.now()
    end_due(world.store, now)

    def have_ended() -> bool:
        with world.store.read() as connection:
            query = "SELECT NOT EXISTS (SELECT FROM silence WHERE ends <= %(now)s AND date_ended IS NULL)"
            return bool(connection.exec_driver_sql(query, {"now": now}).scalar_one())

    world.slack.wait_until(have_ended, what="the end of the silences")


def test_a_silenced_alert_posts_no_card_until_the_silence_ends(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    card(world)
    made = silence(world, world.ben, "1 2h upgrade <b>")
    card(world).wait_for(lambda m: "Silenced until" in m.text and "by Ben Tal: upgrade <b>" in m.text)
    deliver(Source.EVENTS, alert("db", "resolved"))
    world.ask(world.ada, "reopen 1")
    world.ask(world.ada, "resolve 1")
    deliver(Source.EVENTS, alert("db"))
    world.rest()
    assert len(cards(world)) == 1
    assert "#2 db is slow" in world.ask(world.ada, "list silenced:yes").text
    assert "silenced until" in world.ask(world.ada, "list").text
    assert "Silenced until" in world.seen_by(world.ada, 2)
    assert "Ben Tal silenced its alert" in world.ask(world.ada, "activity 2").text

    pass_ends(world)
    card(world, containing="#2").wait_for(lambda m: "Silenced" not in m.text)
    note = world.ben.wait_for_message(containing=f"Your silence {made} of #1 db is slow ended")
    assert "It held back 1 incident, which is still open. Its card is posted now." in note.text
    assert "No open incidents" in world.ask(world.ada, "list silenced:yes").text
    assert "The silence ended" in world.ask(world.ada, "activity 2").text
    pass_ends(world)
    world.rest()
    assert len(cards(world)) == 2
    assert sum(f"Your silence {made}" in message.text for message in world.ben.direct_messages()) == 1


def test_the_form_silences_what_has_the_same_labels(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db1", service="db", zone="a"))
    form = open_form(world).choose("Same labels", "service = db").choose("For", "30 minutes")
    assert form.fill("Reason", "known").submit().closed
    deliver(Source.EVENTS, [alert("db2", service="db", zone="b"), alert("web", service="web")])
    card(world, containing="#3 web")
    world.rest()
    assert [("#2" in one.text) for one in cards(world)] == [False, False]
    listed = world.ask(world.ada, "silence list")
    assert "Alerts with service = db" in listed.text and "holds 2 open incidents" in listed.text


def test_what_a_silence_held_is_resolved_when_it_ends_and_gets_no_card(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db1", service="db"))
    assert open_form(world).choose("Same labels", "service = db").submit().closed
    deliver(Source.EVENTS, alert("db2", service="db"))
    deliver(Source.EVENTS, alert("db2", "resolved", service="db"))
    pass_ends(world)
    world.rest()
    assert len(cards(world)) == 1


def test_whoever_sees_the_incident_ends_anothers_silence_and_its_maker_is_told(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    made = silence(world, world.ada, "1 1d")
    assert f"There is no silence {made} that you can see." in world.ask(world.cyn, f"silence end {made}").text
    assert "No silences." in world.ask(world.cyn, "silence list").text
    assert "There is no incident #1 that you can see." in world.ask(world.cyn, "silence 1 2h").text
    assert f"You ended silence {made}." in world.ask(world.ben, f"silence end {made}").text
    assert world.ada.wait_for_message(containing=f"Ben Tal ended your silence {made}")
    assert "Ben Tal ended the silence" in world.ask(world.ada, "activity 1").text
    assert f"There is no silence {made}" in world.ask(world.ben, f"silence end {made}").text


def log(world: World) -> list[str]:
    """The entries of #1 about its silence, the first one first."""
    shown = world.ask(world.ada, "activity 1").text
    return re.findall(r"\S+ \S+ (?:silenced its|changed how long|ended the silence)|The silence ended", shown)[::-1]


def test_of_two_silences_the_longer_one_holds(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    longer = silence(world, world.ada, "1 3h")
    made = world.ask(world.ben, "silence 1 1h").text
    found = re.search(rf"\(silence (\d+)\)\. Silence {longer} keeps the alert silenced until ", made)
    assert found, made
    shorter = int(found[1])
    pass_ends(world, shorter)
    assert "Silenced until" in world.seen_by(world.ada, 1)
    note = world.ben.wait_for_message(containing=f"Your silence {shorter} of #1 db is slow ended")
    assert re.search(rf"It held back no cards\. Silence {longer} keeps the alert silenced until ", note.text)
    pass_ends(world, longer)
    assert "Silenced until" not in world.seen_by(world.ada, 1)
    assert log(world) == ["Ada Obi silenced its", "The silence ended"]


def test_a_longer_silence_is_in_the_log_and_its_early_end_leaves_the_shorter_one(
    world: World, deliver: Deliver
) -> None:
    deliver(Source.EVENTS, alert("db"))
    shorter = silence(world, world.ada, "1 1h")
    made = world.ask(world.ben, "silence 1 3h").text
    assert "keeps" not in made
    (longer,) = re.findall(r"\(silence (\d+)\)", made)
    assert f"Silence {shorter} keeps the alert silenced" in world.ask(world.ben, f"silence end {longer}").text
    assert "Silenced until" in world.seen_by(world.ada, 1)
    pass_ends(world, shorter)
    assert "Silenced until" not in world.seen_by(world.ada, 1)
    changes = ["Ben Tal changed how long"] * 2
    assert log(world) == ["Ada Obi silenced its", *changes, "The silence ended"]


def test_a_shorter_silence_that_is_made_while_the_longer_one_ends_holds(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    longer = silence(world, world.ada, "1 3h")
    world.rest()
    with ThreadPoolExecutor(1) as threads:
        with world.store.write() as ending:
            (organization_id,) = ending.exec_driver_sql("SELECT organization_id FROM silence").one()
            assert end_followed(ending, organization_id, longer, world.store.clock.now()) is not None
            made = threads.submit(world.ask, world.ben, "silence 1 1h")
            world.wait_for_blocked()
        assert "keeps" not in made.result().text
    assert "Silenced until" in world.seen_by(world.ada, 1)


def test_a_silence_and_delivery_do_not_wait_for_each_other(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    card(world)
    world.rest()
    with world.store.write() as delivery:  # a posted card has the direct messages about its incident link to it
        (incident_id,) = delivery.exec_driver_sql("SELECT id FROM incident").one()
        delivery.exec_driver_sql(
            "INSERT INTO outbox (incident_id, date_added) VALUES (%(id)s, %(now)s)",
            {"id": incident_id, "now": world.store.clock.now()},
        )
        assert "You silenced" in world.ask(world.ada, "silence 1 1h").text
    card(world).wait_for(lambda m: "Silenced until" in m.text)


def test_a_card_that_is_posted_while_a_silence_is_being_made_shows_it(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    silence(world, world.ada, "1 1h")
    pass_ends(world)
    card(world).wait_for(lambda m: "Silenced" not in m.text)
    world.rest()
    with world.store.write() as tx:
        (incident_id,) = tx.exec_driver_sql("DELETE FROM post WHERE kind = 'card' RETURNING incident_id").one()
    now = world.store.clock.now()
    with world.store.write() as silencing:
        organization_id, again = silencing.exec_driver_sql(
            "INSERT INTO silence (organization_id, workspace_id, project_id, member_id, matchers, starts, ends)"
            " SELECT organization_id, workspace_id, project_id, member_id, matchers, %(now)s, %(ends)s FROM silence"
            " RETURNING organization_id, id",
            {"now": now, "ends": now + timedelta(hours=1)},
        ).one()
        assert hold_matching(silencing, organization_id, again, now).incidents == 1
        with world.store.write() as tx:
            redraw_cards(tx, organization_id, [incident_id], now)
        world.rest()
        assert "Silenced" not in cards(world)[-1].text
    world.rest()
    assert len(cards(world)) == 2
    cards(world)[-1].wait_for(lambda m: "Silenced until" in m.text)


def test_ending_one_of_several_silences_says_which_still_hold(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db", zone="a"))
    assert open_form(world).choose("Same labels", "zone = a").choose("For", "30 minutes").submit().closed
    (first,) = re.findall(r"Silence (\d+)", world.ask(world.ada, "silence list").text)
    second, third = silence(world, world.ada, "1 3h"), silence(world, world.ben, "1 2h")
    ended = world.ask(world.ben, f"silence end {second}").text
    assert f"Silences {third} and {first} keep the alert silenced until " in ended
    ended = world.ask(world.ben, f"silence end {first}").text
    assert f"Silence {third} keeps some of these alerts silenced until " in ended
    deliver(Source.EVENTS, alert("db", "resolved", zone="a"))  # it would be silenced when it fires again
    fourth = silence(world, world.ada, "1 1h")
    assert f"Silence {third} keeps the alert silenced" in world.ask(world.ada, f"silence end {fourth}").text
    assert "keeps" not in world.ask(world.ada, f"silence end {third}").text


def test_a_silence_holds_only_for_who_still_sees_the_project(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    card(world)
    world.ask(world.ben, "silence 1 2h")
    with world.store.write() as tx:
        tx.exec_driver_sql(
            "DELETE FROM member_team WHERE member_id = (SELECT id FROM member WHERE name = %s)", ("Ben Tal",)
        )
    deliver(Source.EVENTS, alert("db", "resolved"))
    deliver(Source.EVENTS, alert("db"))
    deliver(Source.EVENTS, alert("other"))
    card(world, containing="other")
    assert "Silenced" not in world.seen_by(world.ada, 1)


def test_a_silence_ends_when_its_maker_no_longer_sees_the_project(world: World, deliver: Deliver) -> None:
    world.bot.digests.stop(PATIENCE_S)  # it would end the silence itself
    deliver(Source.EVENTS, alert("db1", service="db"))
    form = open_form(world, world.ben).choose("Same labels", "service = db")
    assert form.submit().closed
    deliver(Source.EVENTS, alert("db2", service="db"))
    world.rest()
    assert end_blind(world.store, world.store.clock.now()) == 0
    with world.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM member_team")
    assert end_blind(world.store, world.store.clock.now()) == 1
    card(world, containing="db2")
    assert "No silences." in world.ask(world.ada, "silence list").text
    assert not [one for one in world.ben.direct_messages() if "silence" in one.text.lower()]


def test_other_ways_to_say_it_do_the_same(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    card(world)
    for words in (
        "for 2h upgrade",
        "until 18:00 upgrade",
        "until tomorrow upgrade",
        "until 6pm upgrade",
        "1h30m upgrade",
    ):
        assert "silenced" in world.ask(world.ada, f"silence 1 {words}").text
        for asked in ("unsilence 1", "silences", "maintenance list"):
            listed = world.ask(world.ada, asked).text
            assert "upgrade" in listed
        found = re.search(r"silence (\d+)", listed, re.IGNORECASE)
        assert found
        assert "ended" in world.ask(world.ada, f"end silence {found[1]}").text
    assert "No silences." in world.ask(world.ada, "silence list").text


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("1 90", "“90” has no unit. Use s, m, h or d"),
        ("1 soon please", "“soon” is not a duration."),
        ("1 0h", "A silence lasts at least one second."),
        ("1 366d", "A silence lasts at most a year"),
        ("1 999999999d", "A silence lasts at most a year"),
        ("1 until:2020-01-01", "That time has passed."),
        ("1 until:25:00", "“25:00” is not a time."),
        ("1 until:2999-01-01", "A silence lasts at most a year"),
        ("9 2h", "There is no incident #9 that you can see."),
        ("2 2h", "has no alert to silence"),
        ("end x", "“x” is not the id of a silence."),
        ("end", "The id of the silence is missing."),
        ("1 2h " + "x" * 301, "A reason can have at most 300 characters"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_silenced(world: World, deliver: Deliver, words: str, answer: str) -> None:
    deliver(Source.EVENTS, alert("db"))
    world.declare("Made by hand")
    said = world.ask(world.ada, f"silence {words}").text
    assert answer in said
    assert "No silences." in world.ask(world.ada, "silence list").text


def test_until_is_in_the_zone_of_the_caller(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    now = world.store.clock.now()

    def ends(person: Person, until: str) -> int:
        world.ask(person, f"silence 1 until:{until}")
        with world.store.read() as connection:
            seconds = connection.exec_driver_sql(
                "SELECT EXTRACT(epoch FROM ends)::bigint FROM silence ORDER BY id DESC LIMIT 1"
            ).scalar_one()
        return int(seconds)

    day = f"{now + timedelta(days=3):%Y-%m-%d}T18:00"
    for person, zone in ((world.ada, "Europe/Berlin"), (world.ben, "America/New_York")):
        assert ends(person, day) == datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp()
    for until in ("18:00", "6pm"):
        # A day may have 25 hours, and the person asks a moment later.
        assert now.timestamp() < ends(world.ada, until) <= (now + timedelta(hours=26)).timestamp()
    for person, zone in ((world.ada, "Europe/Berlin"), (world.ben, "America/New_York")):
        end = datetime.fromtimestamp(ends(person, "tomorrow"), ZoneInfo(zone))
        assert (end.date() - now.astimezone(ZoneInfo(zone)).date(), end.hour) == (timedelta(days=1), 9)
        assert "tomorrow at 9:00 AM" in world.ask(person, "silence list").text
    assert timedelta(days=365) == LONGEST


def test_digests_leave_silenced_incidents_out_and_say_what_ends(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, [alert("db"), alert("web")])
    world.ask(world.ada, "silence 1 10m")
    hour = world.store.clock.now().hour
    first_hour = f"Etc/GMT+{hour}" if hour <= 12 else f"Etc/GMT-{24 - hour}"  # where the day has just begun
    made = re.search(r"digest (\d+)", world.ask(world.ada, f'digest add "0 9 * * *" tz:{first_hour}').text)
    assert made is not None
    shown = world.ask(world.ada, f"digest preview {made[1]}").text
    assert "1 open incident" in shown and "1 not acknowledged" in shown and "1 silenced" in shown
    assert "1 silence ends today" in shown
    world.ask(world.ada, "resolve 2")
    shown = world.ask(world.ada, f"digest preview {made[1]}").text
    assert "No incidents open." in shown and "1 open incident is silenced." in shown


def test_replicas_that_end_a_silence_together_end_it_once(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db"))
    made = silence(world, world.ada, "1 1h")
    with world.store.write() as tx:
        tx.exec_driver_sql("UPDATE silence SET ends = starts + interval '1 microsecond'")
    now = world.store.clock.now()
    at_once(lambda _: end_due(world.store, now), 4)
    world.ada.wait_for_message(containing=f"Your silence {made}")
    world.rest()
    assert world.ask(world.ada, "activity 1").text.count("The silence ended") == 1
    assert sum(f"Your silence {made}" in message.text for message in world.ada.direct_messages()) == 1


def test_an_alert_that_is_taken_in_while_its_silence_is_made_is_held(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db1", service="db"))
    form = open_form(world).choose("Same labels", "service = db")
    with world.store.read() as connection:
        organization, project = connection.exec_driver_sql(
            "SELECT organization_id, alert_project_id FROM incident WHERE identifier = 1"
        ).one()
    now = world.store.clock.now()
    second = Alert(AlertKey("events", project, "db2"), "db2", firing=True, status=Status.OPEN, labels={"service": "db"})
    with ThreadPoolExecutor(1) as threads:
        with world.store.write() as tx:
            take(tx, organization, [second], {}, now)
            submitted = threads.submit(form.submit)
            world.wait_for_blocked()
        assert submitted.result().closed
    world.rest()
    # The second may have got its card before the silence was made.
    assert all("Silenced until" in one.text for one in cards(world))
    assert "Silenced until" in world.seen_by(world.ada, 2)


@pytest.mark.parametrize(
    ("away", "error"), [(timedelta(days=-1), "That time has passed."), (timedelta(days=400), "at most a year")]
)
def test_the_form_names_an_end_that_cannot_be(world: World, deliver: Deliver, away: timedelta, error: str) -> None:
    deliver(Source.EVENTS, alert("db"))
    form = open_form(world).fill("Reason", "known").pick("Or until", world.store.clock.now() + away)
    assert error in form.submit().errors["Or until"]
    assert "No silences." in world.ask(world.ada, "silence list").text
    assert form.pick("Or until", world.store.clock.now() + timedelta(hours=3)).submit().closed
    assert "known" in world.ask(world.ada, "silence list").text


def test_followers_hear_what_people_do_and_not_what_a_held_alert_does(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, {**alert("db"), "severity": "warning"})
    card(world)
    world.ask(world.ben, "subscribe 1")
    world.ask(world.ada, "silence 1 2h")
    deliver(Source.EVENTS, alert("db", "resolved"))
    world.ask(world.ada, "comment 1 The upgrade is done")
    world.ben.wait_for_message(containing="The upgrade is done")
    world.rest()
    assert "Resolved" in card(world).text
    assert len([one for one in world.ben.direct_messages() if "#1" in one.text]) == 1
    assert [one.text for one in card(world).thread if "upgrade" not in one.text] == []


def test_a_label_that_the_alert_no_longer_has_is_named(world: World, deliver: Deliver) -> None:
    deliver(Source.EVENTS, alert("db", service="db"))
    form = open_form(world).choose("Same labels", "service = db")
    deliver(Source.EVENTS, alert("db", zone="a"))
    assert "The alert no longer has the label “service”." in form.submit().errors["Same labels"]
    assert "No silences." in world.ask(world.ada, "silence list").text
