"""Requests that come to any app and are of no use to this one: answered quietly, or with a sentence of ours."""

from __future__ import annotations

import copy

import pytest
import structlog

from bot.slack.background import Background
from tests.stories.conftest import IN_BOTH_MODES, World

COMMON = {"token": "t", "team": {"id": "T0001", "domain": "acme"}, "channel": {"id": "C0001", "name": "checkout"}}


@IN_BOTH_MODES
@pytest.mark.parametrize(
    "payload",
    [
        {"type": "interactive_message", "callback_id": "x", "actions": [{"name": "go", "type": "button"}]},
        {"type": "dialog_submission", "callback_id": "x", "submission": {"a": "b"}, "state": ""},
        {"type": "dialog_cancellation", "callback_id": "x", "state": ""},
        {"type": "dialog_suggestion", "callback_id": "x", "name": "field", "value": "a"},
        {"type": "workflow_step_edit", "callback_id": "x", "workflow_step": {}},
        {"type": "view_closed", "view": {"id": "V1", "type": "modal", "callback_id": "x"}},
        {"type": "something_new"},
        {"type": "event_callback", "event_id": "Ev1", "event": {"type": "something_new"}, "team_id": "T0001"},
    ],
    ids=lambda payload: payload["type"],
)
def test_a_request_of_no_use_to_the_bot_is_acknowledged_quietly(world: World, payload: dict[str, object]) -> None:
    with structlog.testing.capture_logs() as logged:
        assert not world.ada.replay({**COMMON, "user": {}, "response_url": "", **payload}).answer
        world.ada.replay({**COMMON, "user": {}, "response_url": "", **payload})
        world.settle()
    assert not [line for line in logged if line["log_level"] not in ("debug", "info")]
    assert len(logged) <= 1  # once for each kind


def test_a_request_without_a_trigger_is_answered_that_no_form_can_be_opened(world: World) -> None:
    world.ask(world.ada, "declare")
    sent = next(e.sent for e in world.slack.sent if e.sent.get("text") == "declare")
    with structlog.testing.capture_logs() as logged:
        answer = world.ada.replay({key: value for key, value in sent.items() if key != "trigger_id"}).answer
    assert "A form cannot be opened from here." in answer["text"]
    assert not [line for line in logged if line["log_level"] not in ("debug", "info")]


@IN_BOTH_MODES
@pytest.mark.parametrize("workspace", ["T0404", "T0002"], ids=["of no organization", "where the bot is not"])
def test_another_workspace_gets_our_own_answer(world: World, workspace: str) -> None:
    world.apply(
        "organization: {slug: globex, name: Globex, workspaces: [T0002]}\n"
        "members: [{email: ada@globex.test, name: Ada Obi, slack: U0001, role: owner}]\n"
    )
    world.declare("Payments fail with 502")
    shown = world.view(world.ada, 1)
    world.ada.press(shown, "Comment")
    world.ada.wait_for_form("Comment #1").fill("Comment", "hello").submit()
    world.ada.mention_bot(world.cast.checkout, "list")
    world.settle()
    sent = {str(e.sent.get("type") or "command"): copy.deepcopy(e.sent) for e in world.slack.sent}
    with structlog.testing.capture_logs() as logged:
        answer = world.ada.replay({**sent["command"], "team_id": workspace, "text": "comment 1 it took thought"}).answer
        assert "not connected to an organization" in answer["text"] and "it took thought" in str(answer)
        world.ada.replay({**sent["block_actions"], "team": {"id": workspace}})
        world.ada.wait_for_message(world.cast.checkout, containing="not connected to an organization")
        view = {**sent["view_submission"]["view"], "id": "V404", "app_installed_team_id": workspace}
        submitted = world.ada.replay({**sent["view_submission"], "view": view}).answer
        assert "not connected to an organization" in str(submitted)
        told = {"team_id": workspace, "authorizations": [{"team_id": workspace}]}
        world.ada.replay({**sent["event_callback"], **told})
        world.settle()
    assert not [line for line in logged if line["log_level"] not in ("debug", "info")]
    assert "hello" in world.seen_by(world.ada, 1) and "it took thought" not in world.seen_by(world.ada, 1)
    told_so = [m for m in world.ada.sees(world.cast.checkout) if "not connected" in m.text]
    assert len(told_so) == 1  # the press; the event is left


@pytest.mark.parametrize(
    ("url", "believed"),
    [
        ("https://hooks.slack.com/actions/T1/1/x", True),
        ("https://hooks.slack-gov.com/commands/T1/1/x", True),
        ("https://hooks.slack-gov.com.example.test/x", False),
        ("https://hooks.slack.example.test/x", False),
        ("https://user@hooks.slack.com/x", False),
        ("http://hooks.slack.com/x", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_answer_goes_only_where_slack_hands_response_urls_out(url: str, believed: bool) -> None:
    background = Background("https://slack.com/api/")
    assert background.is_response_url(url) is believed
    background.drain(5)
