"""The newest direct message about an incident shows its present state and has its buttons; older ones are a line."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from bot.delivery.service import KEPT_FOR
from sandbox import Person, SeenMessage
from tests.changes import change
from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, World

BEN_IN_SEARCH = ORGANIZATION.replace(
    "name: Ben Tal, role: member, teams: [payments]", "name: Ben Tal, role: member, teams: [search]"
)


def sent(person: Person) -> list[SeenMessage]:
    """The direct messages, without the answers that nobody else sees."""
    return [message for message in person.direct_messages() if not message.ephemeral]


def newest(person: Person) -> SeenMessage:
    return sent(person)[-1]


def mention(world: World, text: str = "look", *, by: Person | None = None) -> None:
    """Ben gets a direct message about incident 1."""
    world.ask(by or world.ada, f"comment 1 @ben {text}")
    world.rest()


@IN_BOTH_MODES
def test_the_message_follows_the_incident_in_place(world: World) -> None:
    world.declare("Payments fail", options="critical project:checkout")
    mention(world)
    message = newest(world.ben)
    assert "Ada Obi* mentioned you on *#1 Payments fail" in message.markup
    assert ":red_circle: Critical" in message.markup and "Seen by Ada Obi" in message.markup
    assert message.buttons[:3] == ["Acknowledge", "Take it", "Resolve"]
    world.ben.press(message, "Acknowledge")
    message.wait_for(lambda shown: "Seen by Ben Tal and Ada Obi" in shown.markup)
    assert "Acknowledge" not in message.buttons
    # What the reader does makes no message for them.
    world.ask(world.ben, "severity 1 warning")
    message.wait_for(lambda shown: ":large_yellow_circle: Warning" in shown.markup)
    world.ask(world.ben, "resolve 1 rolled back")
    message.wait_for(lambda shown: "Resolved by Ben Tal" in shown.markup)
    assert "Reopen" in message.buttons and "Resolve" not in message.buttons
    world.rest()
    assert len(sent(world.ben)) == 1


def test_changes_of_which_the_reader_wants_no_message_are_shown(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "notify mentions")
    mention(world)
    world.ask(world.ada, "severity 1 critical")
    world.rest()
    assert len(sent(world.ben)) == 1
    assert ":red_circle: Critical" in newest(world.ben).markup
    world.ask(world.ada, "comment 1 the replica is back")
    world.ben.press(newest(world.ben), "Comment")
    world.rest()
    assert "the replica is back" in newest(world.ben).text
    assert world.ben.wait_for_form("Comment #1").fill("Comment", "thank you").submit().closed
    newest(world.ben).wait_for(lambda shown: "thank you" in shown.text and "is back" not in shown.text)
    world.rest()
    assert len(sent(world.ben)) == 1


def test_a_message_that_is_no_longer_followed_stays_safe(world: World) -> None:
    """Its button shows the incident in its place, and the buttons there do not act on another state either."""
    world.declare("Payments fail")
    mention(world)
    message = newest(world.ben)
    with world.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM post WHERE kind = 'newest'")
    world.ben.press(message, "Acknowledge")
    message.wait_for(lambda shown: "You acknowledged #1 Payments fail" in shown.text)
    world.ask(world.ada, "resolve 1")
    world.ask(world.ada, "reopen 1")
    world.ben.press(message, "Resolve")
    assert "changed since this message" in world.ben.wait_for_form("Incident").text


def test_older_messages_shrink_to_a_line(world: World) -> None:
    world.declare("Payments fail")
    words = "the replica is lagging " * 20
    mention(world, words)
    world.ask(world.ada, "resolve 1 done")
    world.rest()
    older, message = sent(world.ben)
    assert message.buttons[0] == "Reopen" and "Ada Obi* resolved *#1 Payments fail" in message.markup
    assert not older.buttons and len(older.blocks) == 1
    assert "Ada Obi* mentioned you on *#1 Payments fail" in older.markup and "the replica is lagging" in older.markup
    assert older.markup.count("lagging") < 10
    # A later change touches the newest alone.
    line = older.markup
    world.ask(world.sue, "reopen 1")
    world.rest()
    assert sent(world.ben)[0].markup == line


def test_messages_about_other_incidents_stay(world: World) -> None:
    world.declare("Payments fail")
    world.declare("Search is slow")
    mention(world)
    world.ask(world.ada, "comment 2 @ben and this")
    world.rest()
    assert [("Acknowledge" in m.buttons) for m in sent(world.ben)] == [True, True]


def test_a_button_does_not_act_on_a_state_that_it_does_not_show(world: World) -> None:
    world.declare("Payments fail", options="critical project:checkout")
    mention(world)
    message = newest(world.ben)
    refused = world.slack.faults.refuse("chat.update", "ekm_access_denied", times=None)
    world.ask(world.ada, "resolve 1")
    world.ask(world.ada, "reopen 1")
    world.slack.wait_until(lambda: refused.hits > 0, what="an update that is refused")
    assert ":red_circle: Critical" in message.markup
    for label in ("Acknowledge", "Resolve"):
        world.ben.press(message, label)
        window = world.ben.wait_for_form("Incident")
        assert "#1 Payments fail changed since this message" in window.text and "Critical" in window.text
        window.close()
    assert "Ben Tal" not in world.seen_by(world.ada, 1)
    world.slack.faults.clear()
    change(world.store, "UPDATE destination SET due_at = now()", "UPDATE post SET due_at = now()")
    world.rest()
    world.ben.press(newest(world.ben), "Acknowledge")
    world.rest()
    assert "Ben Tal" in world.seen_by(world.ada, 1)


def test_the_link_to_the_card_is_there_as_soon_as_the_card_is(world: World) -> None:
    world.slack.archive(world.cast.checkout)
    world.slack.settle()
    world.ask(world.ada, "declare project:checkout Payments fail", channel=world.cast.random)
    world.ask(world.ada, "comment 1 @ben look", channel=world.cast.random)
    world.rest()
    message = newest(world.ben)
    assert "Open the card" not in message.text
    world.slack.unarchive(world.cast.checkout)
    message.wait_for(lambda shown: "Open the card" in shown.text)
    world.rest()
    assert "/archives/C0001/" in message.markup


def test_following_is_shown_where_it_is_changed(world: World) -> None:
    world.declare("Payments fail")
    mention(world)
    message = newest(world.ben)
    world.ben.press(message, "Unsubscribe")
    message.wait_for(lambda shown: "Subscribe" in shown.entries)
    world.ben.press(message, "Subscribe")
    message.wait_for(lambda shown: "Unsubscribe" in shown.entries)


def test_who_presses_does_not_wait_for_the_messages_of_others(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ada, "comment 1 @ben @sue look")
    world.rest()
    with world.store.write() as tx:  # as after a thousand updates
        later = world.store.clock.now() + timedelta(hours=1)
        tx.exec_driver_sql(
            "INSERT INTO method_pace VALUES ('T0001', 'chat.update of news', %(at)s)"
            " ON CONFLICT (workspace_id, method) DO UPDATE SET spoken_for_until = EXCLUDED.spoken_for_until",
            {"at": later},
        )
    world.ben.press(newest(world.ben), "Acknowledge")
    newest(world.ben).wait_for(lambda shown: "Seen by Ben Tal" in shown.text)
    assert "Seen by Ben Tal" not in newest(world.sue).text
    change(
        world.store,
        "UPDATE destination SET due_at = now()",
        "UPDATE post SET due_at = now(), slot_at = now() WHERE wanted_version > drawn_version",
        "DELETE FROM method_pace",
    )
    world.rest()
    assert "Seen by Ben Tal" in newest(world.sue).text


def test_a_comment_that_is_edited_or_deleted_is_so_in_every_message(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "subscribe 1")
    for words in ("the first password", "the second password"):
        world.ask(world.ada, f"comment 1 {words}")
        world.rest()
    for _ in range(2):
        world.ada.press(world.see(world.ada, "activity 1"), "Delete")
    world.rest()
    older, message = sent(world.ben)
    assert "password" not in older.text + message.text
    assert all("A comment on #1 Payments fail was deleted" in m.text for m in (older, message))
    assert "Acknowledge" in message.buttons and not older.buttons


def test_who_has_lost_access_is_shown_nothing_new(world: World) -> None:
    world.declare("Payments fail")
    mention(world, "an old word")
    mention(world, "a word")
    world.apply(BEN_IN_SEARCH, prune=True)
    older = sent(world.ben)[0].text
    world.ask(world.ada, "resolve 1 a secret")
    world.rest()
    assert [m.text for m in sent(world.ben)] == [older, "You can no longer see incident #1."]
    assert not newest(world.ben).buttons
    world.apply(ORGANIZATION, prune=True)
    world.ask(world.ada, "reopen 1")
    world.rest()
    assert "a word" in newest(world.ben).text and "Acknowledge" in newest(world.ben).buttons


def kinds(world: World) -> list[str]:
    with world.store.read() as connection:
        statement = "SELECT kind FROM post WHERE kind NOT IN ('card', 'mirror') ORDER BY id"
        return list(connection.exec_driver_sql(statement).scalars())


def test_what_an_earlier_version_sent_is_taken_along(world: World) -> None:
    """It sends the same posts, and leaves them as they are."""
    world.declare("Payments fail")
    mention(world, "before")
    change(world.store, "UPDATE post SET kind = 'notification', date_done = now() WHERE kind = 'newest'")
    mention(world, "after")
    older, message = sent(world.ben)
    assert not older.buttons and "before" in older.text and "Acknowledge" in message.buttons
    # One that it has sent while this version wanted it updated.
    change(
        world.store,
        "UPDATE destination SET due_at = now()",
        "UPDATE post SET kind = 'notification', date_done = now(), wanted_version = wanted_version + 1"
        " WHERE kind = 'newest'",
    )
    world.rest()
    assert kinds(world) == ["older", "newest"]
    world.ben.press(message, "Acknowledge")
    message.wait_for(lambda shown: "Acknowledge" not in shown.buttons)


def test_a_message_is_kept_current_until_two_weeks_after_the_end(world: World) -> None:
    world.declare("Payments fail")
    mention(world)
    mention(world)
    world.bot.delivery.clean_up(world.store.clock.now() + KEPT_FOR + timedelta(days=100))
    assert kinds(world) == ["newest"]  # the older one has its line
    world.ask(world.ada, "resolve 1")
    world.rest()
    world.bot.delivery.clean_up(world.store.clock.now() + KEPT_FOR - timedelta(minutes=1))
    assert "newest" in kinds(world)
    world.bot.delivery.clean_up(world.store.clock.now() + KEPT_FOR + timedelta(minutes=1))
    assert kinds(world) == []
    # It shows the end of the incident for good, and its button does not act on what came after it.
    message = newest(world.ben)
    world.ask(world.ada, "notify none")
    world.ask(world.ben, "notify none")
    world.ask(world.ada, "reopen 1")
    world.ask(world.ada, "resolve 1")
    world.rest()
    world.ben.press(message, "Reopen")
    assert "#1 Payments fail changed since this message" in world.ben.wait_for_form("Incident").text
    world.rest()
    assert "Resolved" in world.seen_by(world.ada, 1)


def has_seen(world: World, person: Person) -> bool:
    with world.store.read() as connection:
        return bool(
            connection.exec_driver_sql(
                "SELECT EXISTS (SELECT FROM incident_seen s JOIN slack_person p ON p.member_id = s.member_id"
                " WHERE p.user_id = %(user)s)",
                {"user": person.id},
            ).scalar_one()
        )


ORDERS = [
    (0, "severity 1 critical"),
    (1, "severity 1 warning"),
    (0, "resolve 1 done"),
    (1, "resolve 1"),
    (0, "reopen 1"),
    (1, "reopen 1"),
    (0, "ack 1"),
    (1, "ack 1"),
    (0, "comment 1 @ben look"),
    (0, "comment 1 a word"),
    (0, "delete the last comment"),
    (1, "comment 1 @ada look"),
    (1, "notify mentions"),
    (1, "notify all"),
    (1, "unsubscribe 1"),
    (1, "subscribe 1"),
]


@pytest.mark.parametrize("seed", range(3))
def test_only_the_newest_has_buttons_and_shows_the_present_state(world: World, seed: int) -> None:
    chance = random.Random(seed)
    world.declare("Payments fail")
    mention(world)
    people = (world.ada, world.ben)
    for _ in range(10):
        if chance.random() < 0.4:
            world.slack.faults.cut("chat.postMessage", performed=chance.random() < 0.5)
        if chance.random() < 0.3:
            world.slack.faults.fail("chat.update", status=500)
        who, order = chance.choice(ORDERS)
        if order.startswith("delete"):
            log = world.see(people[who], "activity 1")
            if "Delete" in log.buttons:
                people[who].press(log, "Delete")
        else:
            world.ask(people[who], order)
        if chance.random() < 0.3:
            world.rest()
    world.slack.faults.clear()
    world.rest()
    with world.store.read() as connection:
        status = connection.exec_driver_sql("SELECT status FROM incident").scalar_one()
    state = {1: "No severity", 2: "Resolved", 10: "Warning", 20: "Critical"}[status]
    for person in people:
        messages = sent(person)
        assert not [m.text for m in messages[:-1] if m.buttons]
        assert all(len(m.blocks) == 1 for m in messages[:-1])
        for message in messages[-1:]:
            assert f": {state}" in message.markup
            assert ("Reopen" in message.buttons, "Resolve" in message.buttons) == (status == 2, status != 2)
            assert ("Acknowledge" in message.buttons) == (status != 2 and not has_seen(world, person))
