"""What is answered to a button of a card: nothing that the card shows by itself, and once what it does not show."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox import Person, SeenMessage
from tests.changes import change
from tests.stories.conftest import IN_BOTH_MODES, ORGANIZATION, World
from tests.stories.test_cards import cards

pytestmark = IN_BOTH_MODES

SLOW = "Slack is busy"


def card(world: World) -> SeenMessage:
    """The card of the first incident, once the bot knows that Slack has it."""
    world.rest()
    return cards(world)[0]


def answers(world: World, person: Person) -> list[SeenMessage]:
    """What somebody has been answered in #checkout, seen by nobody else."""
    world.settle()
    return [message for message in person.sees(world.cast.checkout) if message.ephemeral]


def test_what_the_card_shows_by_itself_is_not_answered(world: World) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.ben.press(posted, "Acknowledge")
    posted.wait_for(lambda m: "Seen by Ben Tal" in m.text)
    world.ben.press(posted, "Resolve")
    assert world.ben.wait_for_form("Resolve #1").fill("Comment", "rolled back").submit().closed
    posted.wait_for(lambda m: "Reopen" in m.buttons and "rolled back" in m.text)
    world.ben.press(posted, "Reopen")
    posted.wait_for(lambda m: "Resolve" in m.buttons)
    assert not answers(world, world.ben)


def test_what_the_card_does_not_show_is_answered_once_and_briefly(world: World) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.ben.press(posted, "Acknowledge")
    posted.wait_for(lambda m: "Seen by Ben Tal" in m.text)
    world.ben.press(posted, "Acknowledge")
    (again,) = answers(world, world.ben)
    assert again.text == "You already acknowledged #1 Payments fail. The time is updated."
    assert not again.buttons
    world.ben.press(posted, "Subscribe")
    (_, follows) = answers(world, world.ben)
    assert follows.text == "You follow #1 Payments fail now. You get a direct message about each comment and change."
    assert follows.buttons == ["Unsubscribe"]
    world.ben.press(posted, "Resolve")
    form = world.ben.wait_for_form("Resolve #1")
    world.ask(world.dan, "resolve 1")
    assert "already resolved" in str(form.submit().errors)
    assert len(answers(world, world.ben)) == 2


@pytest.mark.parametrize(
    "trouble",
    [
        "UPDATE destination SET failed_reason = 'channel_not_found'",
        "UPDATE destination SET next_send_at = %(later)s, due_at = %(later)s",
        "INSERT INTO method_pace VALUES ('T0001', 'chat.update', %(later)s)",
    ],
    ids=["channel refused", "conversation paused", "updates used up"],
)
def test_a_card_that_cannot_change_soon_is_answered_for(world: World, trouble: str) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.rest()
    change(world.store, "DELETE FROM method_pace", trouble, later=world.store.clock.now() + timedelta(hours=1))
    world.ben.press(posted, "Acknowledge")
    (answer,) = answers(world, world.ben)
    assert "You acknowledged #1 Payments fail." in answer.text and SLOW in answer.text
    assert not answer.buttons
    change(world.store, "UPDATE destination SET failed_reason = NULL, next_send_at = now()", "DELETE FROM method_pace")


def test_a_card_that_nobody_delivers_is_answered_for(world: World) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.bot.delivery.begin_nothing()
    world.ask(world.dan, "ack 1")
    world.store.clock.offset += timedelta(minutes=1)
    world.ben.press(posted, "Acknowledge")
    (answer,) = answers(world, world.ben)
    assert "You acknowledged #1 Payments fail." in answer.text and SLOW in answer.text


def test_view_on_a_card_opens_a_form_in_which_everything_works(world: World) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.ben.press(posted, "View")
    window = world.ben.wait_for_form("Incident")
    assert "#1 Payments fail" in window.text and "Seen by Ada Obi" in window.text
    world.ben.press(window, "Acknowledge")
    window.wait_for(
        lambda m: "You acknowledged #1 Payments fail." in m.text and "Seen by Ben Tal and Ada Obi" in m.text
    )
    world.ben.press(window, "Subscribe")
    window.wait_for(lambda m: "Unsubscribe" in m.buttons and "You follow #1 Payments fail now." in m.text)
    world.ben.press(window, "Comment")
    assert world.ben.wait_for_form("Comment #1").fill("Comment", "a look at the gateway").submit().closed
    window.wait_for(lambda m: "You commented on #1 Payments fail." in m.text)
    world.ben.press(window, "Resolve")
    assert world.ben.wait_for_form("Resolve #1").submit().closed
    window.wait_for(lambda m: "You resolved #1 Payments fail." in m.text)
    world.ben.press(window, "Reopen")
    window.wait_for(lambda m: "You reopened #1 Payments fail." in m.text)
    assert world.ben.form == window
    assert not answers(world, world.ben)


def test_the_activity_of_a_card_opens_a_form_with_pages_edit_delete_and_the_way_back(world: World) -> None:
    world.declare("Payments fail")
    for number in range(1, 10):
        world.ask(world.dan, f"comment 1 Remark {number}")
    world.ask(world.ben, "comment 1 Mine")
    before = len(answers(world, world.ben))
    posted = card(world)
    world.ben.press(posted, "Activity")
    window = world.ben.wait_for_form("Incident")
    assert "Mine" in window.text and "Remark 1" not in window.text
    world.ben.press(window, "Next")
    window.wait_for(lambda m: "Remark 1" in m.text)
    world.ben.press(window, "Previous")
    window.wait_for(lambda m: "Mine" in m.text)
    world.ben.press(window, "Edit")
    assert world.ben.wait_for_form("Edit #1").fill("Comment", "Still mine").submit().closed
    window.wait_for(lambda m: "You edited a comment on #1 Payments fail." in m.text and "Still mine" in m.text)
    world.ben.press(window, "Delete")
    window.wait_for(lambda m: "You deleted a comment on #1 Payments fail." in m.text and "Still mine" not in m.text)
    world.ben.press(window, "View")
    window.wait_for(lambda m: "Acknowledge" in m.buttons)
    assert world.ben.form == window and len(answers(world, world.ben)) == before


def test_deleting_a_comment_is_confirmed_in_red(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 Mine")
    log = world.see(world.ben, "activity 1")
    (delete,) = [
        element
        for block in log.blocks
        for element in block.get("elements", ())
        if element.get("action_id") == "comment_delete"
    ]
    assert delete["style"] == delete["confirm"]["style"] == "danger"


def test_a_list_in_a_direct_message_turns_its_pages_in_place(world: World) -> None:
    for number in range(1, 13):
        world.declare(f"Outage {number}")
    world.ben.tell_bot("list")
    listed = world.ben.wait_for_message(containing="Open incidents")
    world.ben.press(listed, "Next")
    listed.wait_for(lambda m: "#1 Outage 1" in m.text and "#12" not in m.text)
    world.ben.press(listed, "View", containing="#1 ")
    assert "#1 Outage 1" in world.ben.wait_for_form("Incident").text
    world.ben.tell_bot("view 2")
    shown = world.ben.wait_for_message(containing="Duration")
    world.ben.press(shown, "Acknowledge")
    shown.wait_for(lambda m: "You acknowledged #2 Outage 2." in m.text and "Seen by Ben Tal and Ada Obi" in m.text)
    world.rest()
    assert len([m for m in world.ben.direct_messages() if m.from_app]) == 2


# --- who may not act ---------------------------------------------------------------------------------------


def test_who_sees_a_card_but_may_not_act_is_told_so(world: World) -> None:
    world.declare("Payments fail")
    posted = card(world)
    world.rest()  # an answer names an incident only while its card shows what is stored
    for label in ("Acknowledge", "Resolve", "View"):
        world.cyn.press(posted, label)
        told = answers(world, world.cyn)[-1]
        assert (
            "You cannot open or change #1 Payments fail. Only members of its project's teams and managers can."
            in told.text
        )
        assert not told.buttons
    assert world.cyn.form is None


def test_away_from_its_card_a_hidden_incident_is_answered_like_a_missing_one(world: World) -> None:
    world.declare("Payments fail")
    world.declare("Refunds fail")
    posted = card(world)
    world.rest()
    world.cyn.press(posted, "Acknowledge")
    payload = next(e.sent for e in reversed(world.slack.sent) if e.sent.get("type") == "block_actions")

    def said(**container: str) -> str:
        forged = {**payload, "trigger_id": "1.1", "container": {**payload["container"], **container}}
        world.cyn.replay(forged)
        return answers(world, world.cyn)[-1].text

    hidden = ":warning: There is no incident #1 that you can see."
    assert said(message_ts="1.000001") == hidden
    # On the card of another incident, and in a channel that shows the incident no longer.
    other = {**payload, "trigger_id": "1.1", "actions": [{**payload["actions"][0], "value": "2"}]}
    world.cyn.replay(other)
    assert answers(world, world.cyn)[-1].text == hidden.replace("#1", "#2")
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: [C0003]"), prune=True)
    assert said() == hidden


# --- a message becomes a comment ---------------------------------------------------------------------------


def test_a_message_that_becomes_a_comment_is_confirmed_where_it_stands(world: World) -> None:
    world.declare("Checkout is down")
    first = world.dan.say(world.cast.random, "is it only me?")
    reply = world.dan.reply(first, "the replica lags")
    for message, thread_ts in ((first, None), (reply, first.ts)):
        world.ben.message_shortcut(message, "add_to_incident")
        form = world.ben.wait_for_form("Add to incident")
        form.choose("Incident", "#1 Checkout is down")
        assert form.submit().closed
        world.settle()
        told = [m for m in world.ben.sees(world.cast.random) if m.ephemeral][-1]
        assert told.text == "You added this message to #1 Checkout is down."
        assert told.buttons == ["View"] and told.record.thread_ts == thread_ts
