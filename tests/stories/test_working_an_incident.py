"""The main job: looking at an incident, acknowledging, resolving and reopening it, setting how bad it is."""

from __future__ import annotations

import re

from tests.stories.conftest import IN_BOTH_MODES, World
from tests.stories.test_digests import SHORT

pytestmark = IN_BOTH_MODES


def test_help_has_what_is_needed_first_in_ten_lines(world: World) -> None:
    text = world.ask(world.eve, "").text
    assert len(text.splitlines()) <= 10
    for verb in ("list", "view 12", "ack 12", "resolve 12", "comment 12", "declare", "subscribe 12"):
        assert f"/incident {verb}" in text
    for words in ("HELP", "help!", "help me please"):
        assert world.ask(world.ada, words).text == text


def test_all_commands_are_in_a_form(world: World) -> None:
    world.ada.press(world.see(world.ada, "help"), "All commands")
    text = world.ada.wait_for_form("All commands").text
    for verb in (
        *("list", "view N", "ack N", "resolve N", "reopen N", "severity N", "comment N", "activity N"),
        *("subscribe N", "unsubscribe N", "declare", "digest", "notify", "whoami"),
    ):
        assert f"/incident {verb}" in text
    assert "Example: /incident ack 12" in text


def test_help_tells_more_of_one_command(world: World) -> None:
    assert "until:" in world.ask(world.ada, "help list").text
    assert "/incident ack 12" in world.ask(world.ada, "help Acknowledge").text
    assert "Did you mean /incident help resolve?" in world.ask(world.ada, "help reslove").text


def test_view_tells_everything_about_an_incident(world: World) -> None:
    world.declare("Payments fail", options="critical project:checkout team:payments env:prod")
    world.ask(world.ben, "ack 1")
    world.ask(world.ben, "comment 1 The replica is lagging")
    answer = world.ask(world.ada, "view 1")
    for fact in ("#1 Payments fail", "Critical", "Checkout", "Payments", "prod", "today at"):
        assert fact in answer.text
    assert re.search(SHORT, answer.text)
    assert "Seen by Ben Tal and Ada Obi" in answer.text  # most recent first
    assert "Ben Tal commented" in answer.text and "The replica is lagging" in answer.text
    assert answer.buttons == ["Acknowledge", "Take it", "Resolve", "Comment", "Activity", "Unsubscribe"]
    assert world.ask(world.dan, "view 1").buttons[-1] == "Subscribe"
    world.ask(world.ben, "resolve 1")
    assert "Status\nResolved\nSeverity\nCritical" in world.seen_by(world.ada, 1)


def test_a_number_alone_is_a_view(world: World) -> None:
    world.declare("Payments fail")
    for words in ("view 1", "VIEW #1", "1", "#1", "  #1  ", "\u00a01", "view\u00a0#1"):
        assert "#1 Payments fail" in world.ask(world.ada, words).text, words


def test_a_number_is_read_even_where_slack_takes_it_for_a_channel(world: World) -> None:
    world.slack.channel("C0099", "1")
    world.declare("Payments fail")
    assert "#1 Payments fail" in world.ask(world.ada, "view #1").text
    assert "#1 Payments fail" in world.ask(world.ada, "#1").text
    assert any(sent.sent.get("text") == "<#C0099|1>" for sent in world.slack.sent)


def test_acknowledging_shows_on_the_incident_and_again_refreshes_the_time(world: World) -> None:
    world.declare("Payments fail", by=world.ada)
    assert "You acknowledged #1 Payments fail" in world.ask(world.ben, "ack 1").text
    assert "Ben Tal" in world.seen_by(world.ada, 1)
    for word in ("ack", "Acknowledge", "SEEN"):
        again = world.ask(world.ben, f"{word} #1").text
        assert "already acknowledged" in again and "#1 Payments fail" in again
    seen, _, latest = world.seen_by(world.ada, 1).partition("Latest: ")
    assert seen.count("Ben Tal") == 1 and latest.startswith("Ben Tal acknowledged this")


def test_the_button_acknowledges_in_place(world: World) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Acknowledge")
    shown.wait_for(lambda shown: "Seen by Ben Tal and Ada Obi" in shown.text)
    assert "You acknowledged #1 Payments fail" in shown.text
    world.ben.press(shown, "Acknowledge")
    shown.wait_for(lambda shown: "already acknowledged" in shown.text)


def test_resolving_and_reopening_brings_back_the_status_that_it_had(world: World) -> None:
    world.declare("Payments fail", options="critical project:checkout")
    resolved = world.ask(world.ben, "resolve 1 rolled back the deploy").text
    assert "You resolved #1 Payments fail" in resolved
    seen = world.seen_by(world.ada, 1)
    assert "Resolved" in seen and "rolled back the deploy" in seen
    assert "Reopen" in world.ask(world.ada, "1").buttons and "Resolve" not in world.ask(world.ada, "1").buttons
    reopened = world.ask(world.dan, "reopen 1 it is back").text
    assert "You reopened #1 Payments fail. Its severity is Critical." in reopened
    seen = world.seen_by(world.ada, 1)
    assert "Critical" in seen and "it is back" in seen and "so far" in seen


def test_resolving_twice_changes_nothing_and_says_so(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ada, "resolve 1")
    before = world.ask(world.ada, "activity 1").text
    assert "#1 Payments fail is already resolved" in world.ask(world.ben, "resolve 1").text
    lost = world.ask(world.ben, "resolve 1 with a comment that took thought").text
    assert "already resolved" in lost and "with a comment that took thought" in lost
    assert world.ask(world.ada, "activity 1").text == before


def test_reopening_what_is_open_changes_nothing_and_says_so(world: World) -> None:
    world.declare("Payments fail")
    before = world.ask(world.ada, "activity 1").text
    assert "#1 Payments fail is not resolved" in world.ask(world.ben, "reopen 1").text
    assert world.ask(world.ada, "activity 1").text == before


def test_the_resolve_form_takes_a_comment_and_closes(world: World) -> None:
    world.declare("Payments fail & more")
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Resolve")
    form = world.ben.wait_for_form("Resolve #1")
    assert "#1 Payments fail & more" in form.text
    assert form.fill("Comment", ["Rolled back, thanks ", world.ada]).submit().closed
    shown.wait_for(lambda shown: "Reopen" in shown.buttons)
    assert "You resolved #1" in shown.text and "Rolled back, thanks @Ada Obi" in shown.text


def test_the_resolve_form_needs_no_comment(world: World) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Resolve")
    assert world.ben.wait_for_form("Resolve #1").submit().closed
    shown.wait_for(lambda shown: "Reopen" in shown.buttons)
    world.ben.press(shown, "Reopen")
    shown.wait_for(lambda shown: "Resolve" in shown.buttons)
    assert "You reopened #1 Payments fail." in shown.text


def test_a_resolve_form_of_blanks_is_one_without_a_comment(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Resolve")
    assert world.ben.wait_for_form("Resolve #1").fill("Comment", " \u00a0 ").submit().closed
    assert "Resolved" in world.seen_by(world.ada, 1)


def test_a_form_can_be_left(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Resolve")
    world.ben.wait_for_form("Resolve #1").close()
    assert world.ben.form is None
    assert "Open" in world.seen_by(world.ada, 1)


def test_severity_is_set_by_hand_with_a_comment(world: World) -> None:
    world.declare("Payments fail")
    assert (
        "You changed the severity of #1 Payments fail to Critical"
        in world.ask(world.ben, "severity 1 CRITICAL half the shop is down").text
    )
    seen = world.seen_by(world.ada, 1)
    assert "Critical" in seen and "half the shop is down" in seen
    assert "changed the severity from None to Critical" in seen
    assert "to Warning" in world.ask(world.ben, "severity #1 warning").text
    assert "to None" in world.ask(world.ben, "severity 1 open").text


def test_the_same_severity_again_changes_nothing(world: World) -> None:
    world.declare("Payments fail", options="warning project:checkout")
    before = world.ask(world.ada, "activity 1").text
    assert "is already Warning" in world.ask(world.ben, "severity 1 warning").text
    kept = world.ask(world.ben, "severity 1 warning because of the backlog").text
    assert "was not added" in kept and "because of the backlog" in kept
    assert world.ask(world.ada, "activity 1").text == before


def test_the_severity_of_a_closed_incident_cannot_be_set(world: World) -> None:
    world.declare("Payments fail", options="warning project:checkout")
    world.ask(world.ada, "resolve 1")
    refused = world.ask(world.ben, "severity 1 critical oh no").text
    assert "already resolved" in refused and "reopen 1" in refused and "oh no" in refused
    assert "reopened #1 Payments fail. Its severity is Warning" in world.ask(world.ben, "reopen 1").text


def test_an_unknown_severity_gets_the_valid_ones(world: World) -> None:
    world.declare("Payments fail")
    for words in ("severity 1 fatal", "severity 1 critcal", "severity 1", "severity 1 closed because"):
        answer = world.ask(world.ada, words).text
        assert "Use critical, warning or none (open works too)." in answer, words
        if "critcal" not in words:
            assert "Like this: /incident severity N warning|critical|none [comment]" in answer
    assert "Did you mean /incident severity 1 critical?" in world.ask(world.ada, "severity 1 critcal").text
    assert "“fatal” is not a severity." in world.ask(world.ada, "severity 1 fatal").text
    assert "to Critical" in world.ask(world.ada, "severity 1 “critical”").text
    assert "Saved." in world.ask(world.ada, "notify “all”").text


def test_no_severity_is_called_none_and_open_too(world: World) -> None:
    world.declare("Payments fail", options="critical project:checkout")
    for word in ("none", "OPEN"):
        assert "#1 Payments fail" in world.ask(world.ada, "severity 1 critical").text
        assert "#1 Payments fail" in world.ask(world.ada, f"severity 1 {word}").text
        assert "#1 Payments fail" not in world.ask(world.ada, "list critical").text
        assert "#1 Payments fail" in world.ask(world.ada, "list").text


def test_an_incident_is_declared_without_a_severity(world: World) -> None:
    assert "#1 Payments fail" in world.ask(world.ada, "declare none project:checkout Payments fail").text
    assert (
        "#2 None of the replicas answers"
        in world.ask(world.ada, "declare project:checkout None of the replicas answers").text
    )
    assert "#3 Open orders fail" in world.ask(world.ada, "declare project:checkout Open orders fail").text
    assert "#4 Critical path fails" in world.ask(world.ada, "declare project:checkout warning Critical path fails").text


def test_following_and_no_longer_following(world: World) -> None:
    world.declare("Payments fail")
    assert "You follow #1 Payments fail now" in world.ask(world.ben, "subscribe 1").text
    assert "You already follow #1 Payments fail" in world.ask(world.ben, "Subscribe #1").text
    assert "You no longer follow #1 Payments fail" in world.ask(world.ben, "unsubscribe 1").text
    assert "You do not follow #1 Payments fail" in world.ask(world.ben, "unsubscribe 1").text
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Subscribe")
    shown.wait_for(lambda shown: "Unsubscribe" in shown.buttons)
    world.ben.press(shown, "Unsubscribe")
    shown.wait_for(lambda shown: "Subscribe" in shown.buttons)


def test_who_follows_without_direct_messages_is_told_how_to_get_them(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "notify mentions")
    for sentence in ("You follow #1 Payments fail now.", "You already follow #1 Payments fail."):
        answer = world.ask(world.ben, "subscribe 1").text
        assert answer == f"{sentence} /incident notify all turns on direct messages about it."


def test_changing_the_status_or_commenting_is_following(world: World) -> None:
    for title in ("One", "Two", "Three"):
        world.declare(title)
    world.ask(world.ben, "severity 1 warning")
    world.ask(world.ben, "comment 2 Looking")
    world.ask(world.ben, "ack 3")
    assert [world.ask(world.ben, str(n)).buttons[-1] for n in (1, 2, 3)] == [
        "Unsubscribe",
        "Unsubscribe",
        "Subscribe",
    ]


def test_whoami_tells_whom_the_bot_takes_somebody_for(world: World) -> None:
    ben = world.ask(world.ben, "whoami").text
    for fact in ("Ben Tal", "ben@acme.test", "Acme", "member", "Payments", "Checkout", "America/New_York"):
        assert fact in ben
    assert "Catalogue" not in ben
    dan = world.ask(world.dan, "WhoAmI").text
    assert "manager" in dan and "Catalogue, Checkout" in dan and "None" in dan
    assert "superuser" in world.ask(world.sue, "whoami").text


def test_everything_that_is_shown_names_number_and_title(world: World) -> None:
    world.declare("Payments fail")
    for words in (
        *(
            "view 1",
            "ack 1",
            "comment 1 x",
            "severity 1 warning",
            "resolve 1",
            "resolve 1",
            "reopen 1",
            "reopen 1",
        ),
        *("activity 1", "subscribe 1", "unsubscribe 1", "list"),
    ):
        assert "#1 Payments fail" in world.ask(world.ada, words).text, words
