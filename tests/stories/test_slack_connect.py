"""Channels that reach beyond the workspace: shared with another company, or across an Enterprise organization.

In a channel that another workspace hosts, an event names that workspace first and ours only in its authorization.
"""

from __future__ import annotations

import pytest

from bot.slack.requests import find_workspace
from sandbox import Person, SeenMessage
from sandbox.records import Channel, Json
from tests.stories.conftest import IN_AN_ENTERPRISE, IN_BOTH_MODES, ORGANIZATION, World
from tests.stories.test_cards import card

WIM = "  - {email: wim@acme.test, name: Wim Wide, role: member, teams: [payments]}\n"
SHARED = ORGANIZATION.replace("workspaces: [T0001]", "workspaces: [T0001], shared_channels: true").replace(
    "channels: [C0001]", "channels: [C0077]"
)


def hosted(world: World) -> tuple[Channel, SeenMessage]:
    """A channel of another company with a card of ours in it."""
    channel = world.slack.channel("C0077", "with-globex", shared_with="T9999", hosted_by="T9999")
    world.apply(SHARED)
    world.declare("Payments fail with 502")
    return channel, card(world, channel)


def stranger(world: World) -> Person:
    return world.slack.person("U0092", "Sam Far", "ben@acme.test", home_team="T9999")


@IN_BOTH_MODES
def test_our_own_people_work_in_a_channel_that_another_company_hosts(world: World) -> None:
    channel, posted = hosted(world)
    said = world.ben.reply(posted, "the replica lags")
    posted.wait_for(lambda m: "the replica lags" in m.text)
    world.ben.edit(said, "the replica lags far behind")
    posted.wait_for(lambda m: "far behind" in m.text)
    world.ben.react(posted, "eyes")
    posted.wait_for(lambda m: "Seen by Ben Tal" in m.text)
    world.ben.mention_bot(channel, "list")
    answer = world.ben.wait_for_message(channel, containing="Open incidents")
    assert answer.ephemeral and "#1 Payments fail" in answer.text
    world.ben.delete(said)
    posted.wait_for(lambda m: "far behind" not in m.text)
    outer = {e.sent["team_id"] for e in world.slack.sent if (e.sent.get("event") or {}).get("channel") == channel.id}
    assert outer == {"T9999"}


def test_buttons_forms_and_shortcuts_work_there_too(world: World) -> None:
    _, posted = hosted(world)
    world.ben.press(posted, "Acknowledge")
    posted.wait_for(lambda m: "Seen by Ben Tal" in m.text)
    world.ben.press(posted, "Comment")
    assert world.ben.wait_for_form("Comment #1").fill("Comment", "from the form").submit().closed
    said = world.ben.say("C0077", "the database of Globex is slow")
    world.ben.message_shortcut(said, "add_to_incident")
    form = world.ben.wait_for_form("Add to incident")
    form.choose("Incident", "#1 Payments fail with 502")
    assert form.submit().closed
    log = world.ask(world.ada, "activity 1").text
    assert "from the form" in log and "the database of Globex is slow" in log


def test_strangers_in_a_channel_that_they_host_are_refused(world: World) -> None:
    channel, posted = hosted(world)
    sam = stranger(world)
    sam.reply(posted, "let me in")
    sam.react(posted, "white_check_mark")
    sam.mention_bot(channel, "list")
    answer = sam.wait_for_message(channel, containing="Only members of this workspace")
    assert "Payments" not in answer.text
    sam.press(posted, "Resolve")
    world.settle()
    world.rest()
    assert "let me in" not in world.ask(world.ada, "activity 1").text
    assert "Resolved" not in posted.text and sam.form is None


# --- an Enterprise organization ----------------------------------------------------------------------------


@IN_AN_ENTERPRISE
def test_a_channel_of_the_whole_enterprise_organization_works_like_one_of_the_workspace(world: World) -> None:
    channel = world.slack.channel("C0077", "everybody", org_shared=True, hosted_by="T0002")
    world.apply(ORGANIZATION.replace("channels: [C0001]", "channels: [C0077]") + WIM)
    wim = world.slack.person("W0007", "Wim Wide", "wim@acme.test")
    world.declare("Payments fail with 502")
    posted = card(world, channel)
    wim.reply(posted, "the replica lags")
    posted.wait_for(lambda m: "the replica lags" in m.text)
    wim.react(posted, "eyes")
    posted.wait_for(lambda m: "Seen by Wim Wide" in m.text)
    world.ada.reply(posted, "@wim look again")
    wim.wait_for_message(containing="Ada Obi mentioned you")
    wim.mention_bot(channel, "list")
    assert "#1" in wim.wait_for_message(channel, containing="Open incidents").text
    world.ask(wim, "comment 1 typed")
    wim.press(world.view(wim, 1), "Comment")
    assert wim.wait_for_form("Comment #1").fill("Comment", "from the form").submit().closed
    log = world.ask(world.ada, "activity 1").text
    assert "typed" in log and "from the form" in log


@IN_AN_ENTERPRISE
def test_who_is_of_another_workspace_of_the_enterprise_organization_is_told_the_truth(world: World) -> None:
    """Slack names an Enterprise organization as the home of whoever speaks from elsewhere in it; it is no company."""
    world.ada.mention_bot(world.cast.checkout, "list")
    world.slack.settle()
    sent = next(e.sent for e in reversed(world.slack.sent) if (e.sent.get("event") or {}).get("type") == "app_mention")
    nell = world.slack.person("W0008", "Nell New", "nell@acme.test")
    nell.replay({**sent, "event": {**sent["event"], "user_team": "E0001", "source_team": "E0001", "ts": "1.000001"}})
    nell.wait_for_message(world.cast.checkout, containing="You are not a member")


# --- what Slack has been seen to send ----------------------------------------------------------------------

OURS = [{"enterprise_id": None, "team_id": "T0001", "user_id": "U0BOT", "is_bot": True}]


@pytest.mark.parametrize(
    "payload",
    [
        {"team_id": "T9999", "context_team_id": "T0001", "authorizations": OURS},
        # The context is the other side's as often as it is ours.
        {"team_id": "T0001", "context_team_id": "T9999", "authorizations": OURS},
        {"team_id": "T9999", "context_team_id": "T9999", "enterprise_id": "E9", "authorizations": OURS},
        {"team_id": "T9999", "event": {"team": "T9999", "user_team": "T0001"}, "authorizations": OURS},
        {"team_id": "T0001"},  # older than authorizations are
        {"team_id": "T0001", "authorizations": []},
        # An app that is installed for a whole organization is authorized for no workspace in particular.
        {"team_id": "T0001", "authorizations": [{"enterprise_id": "E1", "team_id": None}]},
        {"team": None, "user": {"id": "W1", "team_id": "T0001"}, "enterprise": {"id": "E1"}},
        {"team": {"id": "T9999"}, "view": {"id": "V1", "app_installed_team_id": "T0001"}},
        {"team": {"id": "T0001"}, "user": {"id": "U1", "team_id": "T9999"}},
        {"team_id": "T0001", "command": "/incident", "user_id": "U1"},
    ],
)
def test_our_workspace_is_found_wherever_slack_writes_it(payload: Json) -> None:
    assert find_workspace(payload) == "T0001"
