"""Comments and the log: writing, mentioning, reading page by page, changing and deleting one's own."""

from __future__ import annotations

from sandbox import SeenMessage
from tests.stories.conftest import IN_BOTH_MODES, World

pytestmark = IN_BOTH_MODES


def test_a_comment_is_on_the_incident_with_its_author(world: World) -> None:
    world.declare("Payments fail")
    answer = world.ask(world.ben, "comment 1 The replica is lagging")
    assert "You commented on #1 Payments fail" in answer.text
    assert answer.buttons == ["View", "Activity"]
    log = world.ask(world.ada, "activity 1").text
    assert log.index("Ben Tal commented") < log.index("The replica is lagging") < log.index("Ada Obi opened this")


def test_a_comment_keeps_what_was_written(world: World) -> None:
    world.declare("Payments fail")
    for text in (
        "R&D says <nothing> && > 5",
        "two\nlines, *bold* and `code`",
        "🔥 支払い \u00a0 done",
        "see https://status.example.test/a?b=1&c=2",
        '"quoted" and “curly” and a lone "',
        "@nobody and # and &amp; as typed",
        "in #random please",
    ):
        world.ask(world.ben, f"comment 1 {text}")
        log = world.ask(world.ada, "activity 1").text
        assert text.replace("*bold* and `code`", "bold and code") in log, text


def test_a_closed_incident_takes_comments(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ada, "resolve 1")
    world.ask(world.ben, "comment 1 Post-mortem on Monday")
    assert "Post-mortem on Monday" in world.seen_by(world.ada, 1)
    assert "Resolved" in world.seen_by(world.ada, 1)


def test_mentions_in_a_line_are_drawn_as_mentions(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 @dan and @payments please look")
    log = world.ask(world.ada, "activity 1")
    assert "@Dan Wu and @payments please look" in log.text
    assert log.message is not None
    assert "<@U0004> and <!subteam^S0001> please look" in log.message.markup


def test_who_is_mentioned_follows_and_so_does_a_mentioned_team(world: World) -> None:
    world.declare("Payments fail", by=world.dan)
    world.ask(world.dan, "comment 1 @sue please look")
    assert world.ask(world.sue, "1").buttons[-1] == "Unsubscribe"
    assert world.ask(world.ben, "1").buttons[-1] == "Subscribe"
    world.ask(world.dan, "comment 1 @payments please look")
    assert world.ask(world.ben, "1").buttons[-1] == "Unsubscribe"


def test_whoever_cannot_see_the_incident_cannot_be_mentioned_and_is_named(world: World) -> None:
    world.declare("Payments fail")
    for text, named in (
        ("@cyn please look", "Cyn Roe"),
        ("@search please look", "the team Search"),
        ("@cyn and @search look", "Cyn Roe and the team Search"),
        ("@eve please look", "Eve Out"),
    ):
        answer = world.ask(world.ada, f"comment 1 {text}").text
        assert f"{named} cannot" in answer, answer
        assert f"/incident comment 1 {text}" in answer
    assert "commented" not in world.ask(world.ada, "activity 1").text


def test_the_same_in_a_form_is_said_below_its_field_and_the_text_stays(world: World) -> None:
    world.declare("Payments fail")
    world.ada.press(world.view(world.ada, 1), "Comment")
    form = world.ada.wait_for_form("Comment #1")
    outcome = form.fill("Comment", [world.cyn, " please look"]).submit()
    assert "Cyn Roe cannot see #1" in outcome.errors["Comment"]
    assert form.open and form.value("Comment") == "@Cyn Roe please look"
    assert form.fill("Comment", [world.ben, " please look"]).submit().closed


def test_a_comment_never_calls_a_whole_channel(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 @here and @channel wake up")
    log = world.ask(world.ada, "activity 1").message
    assert log is not None
    assert "@here and @channel wake up" in log.markup and "<!" not in log.markup.replace("<!date", "")


def test_the_comment_form_takes_formatting_mentions_and_lists(world: World) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Comment")
    form = world.ben.wait_for_form("Comment #1")
    assert "#1 Payments fail" in form.text
    form.fill("Comment", ["Ask ", world.dan, " or ", world.cast.payments, " in ", world.cast.random])
    assert form.submit().closed
    shown.wait_for(lambda shown: "You commented on #1" in shown.text)
    assert "Ask @Dan Wu or @payments in #random" in shown.text
    assert "Ben Tal commented" in shown.text


def test_an_empty_comment_form_is_not_taken(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    form = world.ben.wait_for_form("Comment #1")
    assert form.submit().errors == {"Comment": "Please complete this required field."}
    assert form.fill("Comment", "   ").submit().errors
    assert "commented" not in world.ask(world.ada, "activity 1").text


def test_a_comment_without_text_is_refused(world: World) -> None:
    world.declare("Payments fail")
    for words in ("comment 1 \u00a0", "comment #1   "):
        assert "needs some text" in world.ask(world.ben, words).text
    assert "commented" not in world.ask(world.ada, "activity 1").text


def test_a_comment_of_eight_thousand_characters_is_taken_and_shown_whole(world: World) -> None:
    world.declare("Payments fail")
    text = "word " * 1599 + "final"
    world.ask(world.ben, f"comment 1 {text}")
    log = world.ask(world.ada, "activity 1").text
    assert "final" in log and log.count("word") == 1599


# --- the log -----------------------------------------------------------------------------------------------


def test_the_log_tells_what_happened_newest_first(world: World) -> None:
    world.declare("Payments fail", options="warning project:checkout")
    world.ask(world.ben, "severity 1 critical it got worse")
    world.ask(world.ben, "resolve 1")
    world.ask(world.dan, "reopen 1")
    log = world.ask(world.ada, "activity 1").text
    places = [
        log.index(words)
        for words in (
            "Dan Wu reopened this as Critical",
            "Ben Tal resolved this",
            "Ben Tal changed the severity from Warning to Critical",
            "it got worse",
            "Ada Obi opened this",
            "Detected",
        )
    ]
    assert places == sorted(places)


def test_the_log_has_each_acknowledgement_once_and_nobody_is_notified_of_it(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.dan, "subscribe 1")
    world.ask(world.ben, "ack 1")
    world.ask(world.ben, "ack 1")
    log = world.ask(world.ada, "activity 1").text
    assert log.index("Ben Tal acknowledged this") < log.index("Ada Obi opened this")
    assert log.count("acknowledged this") == 1
    assert world.seen_by(world.ada, 1).count("acknowledged this") == 1  # the latest activity
    world.ask(world.ben, "comment 1 looking")
    told = world.dan.wait_for_message(containing="looking")
    world.rest()
    assert "acknowledged" not in told.text and len(world.dan.direct_messages()) == 1
    assert not [m for m in world.slack.messages(world.cast.checkout) if "acknowledged this" in m.text]


def test_the_log_turns_pages_in_place(world: World) -> None:
    world.declare("Payments fail")
    for number in range(1, 20):
        world.ask(world.ben, f"comment 1 Remark {number:02}")
    log = world.shown(world.ask(world.ada, "activity 1"))
    assert remarks(log) == list(range(19, 11, -1))
    world.ada.press(log, "Next")
    log.wait_for(lambda log: remarks(log) == list(range(11, 3, -1)))
    world.ada.press(log, "Next")
    log.wait_for(lambda log: remarks(log) == [3, 2, 1])
    assert "Ada Obi opened this" in log.text and "Next" not in log.buttons
    world.ada.press(log, "Previous")
    log.wait_for(lambda log: remarks(log) == list(range(11, 3, -1)))
    world.ada.press(log, "Previous")
    log.wait_for(lambda log: remarks(log) == list(range(19, 11, -1)))
    assert "Previous" not in log.buttons


def remarks(log: SeenMessage) -> list[int]:
    return [int(line.split()[1]) for line in log.text.splitlines() if line.startswith("Remark ")]


def test_from_incident_to_log_and_back(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Activity")
    window = world.ben.wait_for_form("Incident")
    assert "Activity of #1 Payments fail" in window.text
    world.ben.press(window, "View")
    window.wait_for(lambda shown: "Acknowledge" in shown.buttons)
    world.ben.press(window, "Activity")
    window.wait_for(lambda shown: "Activity of #1 Payments fail" in shown.text)


def test_only_ones_own_comments_have_edit_and_delete_and_a_superuser_any(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 From Ben")
    world.ask(world.ada, "comment 1 From Ada")
    world.ask(world.ada, "severity 1 warning no comment of the log but of a change")
    for person, buttons in ((world.ben, 1), (world.ada, 1), (world.dan, 0), (world.sue, 2)):
        log = world.ask(person, "activity 1")
        assert log.buttons.count("Edit") == log.buttons.count("Delete") == buttons, person


def test_editing_ones_comment_brings_it_back_with_its_mentions(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 @dan the <replica> is lagging, see https://x.test/a?b=1&c=2")
    log = world.shown(world.ask(world.ben, "activity 1"))
    world.ben.press(log, "Edit")
    form = world.ben.wait_for_form("Edit #1")
    assert form.value("Comment") == "@Dan Wu the <replica> is lagging, see https://x.test/a?b=1&c=2"
    assert form.fill("Comment", [world.sue, " the primary is lagging"]).submit().closed
    log.wait_for(lambda log: "@Sue Perm the primary is lagging" in log.text)
    assert "(edited)" in log.text and "You edited a comment on #1 Payments fail." in log.text
    assert "<replica>" not in log.text
    assert world.ask(world.sue, "1").buttons[-1] == "Unsubscribe"


def test_an_edit_that_changes_nothing_leaves_no_trace(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    world.ben.wait_for_form("Comment #1").fill("Comment", ["Ask ", world.dan]).submit()
    log = world.shown(world.ask(world.ben, "activity 1"))
    world.ben.press(log, "Edit")
    assert world.ben.wait_for_form("Edit #1").submit().closed
    assert "(edited)" not in world.ask(world.ada, "activity 1").text


def test_an_edit_cannot_mention_whoever_cannot_see(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 First")
    world.ben.press(world.ask(world.ben, "activity 1").message, "Edit")
    form = world.ben.wait_for_form("Edit #1")
    assert "Cyn Roe cannot see #1" in form.fill("Comment", [world.cyn]).submit().errors["Comment"]
    assert "First" in world.ask(world.ada, "activity 1").text


def test_deleting_ones_comment_takes_it_from_the_log(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 Keep me")
    world.ask(world.ben, "comment 1 Drop me")
    log = world.shown(world.ask(world.ben, "activity 1"))
    world.ben.press(log, "Delete", row=0)
    log.wait_for(lambda log: "Drop me" not in log.text)
    assert "You deleted a comment on #1 Payments fail." in log.text and "Keep me" in log.text
    assert "Drop me" not in world.ask(world.ada, "activity 1").text + world.seen_by(world.ada, 1)


def test_a_superuser_edits_and_deletes_the_comments_of_others(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 The password is hunter2")
    log = world.shown(world.ask(world.sue, "activity 1"))
    world.sue.press(log, "Edit")
    assert world.sue.wait_for_form("Edit #1").fill("Comment", "The password is gone").submit().closed
    log.wait_for(lambda log: "is gone" in log.text)
    assert "Ben Tal commented" in world.ask(world.ada, "activity 1").text  # it is still his
    world.sue.press(world.ask(world.sue, "activity 1").message, "Delete")
    log = world.shown(world.ask(world.ada, "activity 1"))
    assert "password" not in log.text


def test_a_second_delete_of_the_same_comment_is_no_error(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 Drop me")
    old = world.shown(world.ask(world.ben, "activity 1"))
    world.ben.press(world.ask(world.ben, "activity 1").message, "Delete")
    world.ben.press(old, "Delete")
    world.ben.wait_for_message(world.cast.checkout, "This comment was deleted")
    world.ben.press(old, "Edit")
    assert world.ben.form is None
