"""What tired people type at three in the morning, and what no keyboard can: each gets an answer that helps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.stories.conftest import ORGANIZATION, World

MISTAKES = [
    ("lsit", "There is no command “lsit”. Did you mean /incident list?"),
    ("lsit critical", "Did you mean /incident list critical?"),
    ("Reslove 1 rolled back", "There is no command “Reslove”. Did you mean /incident resolve 1 rolled back?"),
    ("Acknowlege #1", "Did you mean /incident ack 1?"),
    ("close 1", "There is no command “close”. Did you mean /incident resolve 1?"),
    ("assign 1 @ben", "There is no command “assign”. Did you mean /incident handoff 1 @ben?"),
    ("assign 1 to @ben", "Did you mean /incident handoff 1 @ben?"),
    ("assign @ben 1", "Did you mean /incident handoff 1 @ben?"),
    ("Assign 1 to ben it still lags", "Did you mean /incident handoff 1 @ben it still lags?"),
    ("assign 1", "Did you mean /incident handoff 1 @person [note]?"),
    ("assign 1 to", "Did you mean /incident handoff 1 @person [note]?"),
    ("assign 1 to Tom", "Did you mean /incident handoff 1 @Tom?"),
    ("give me the list", "Did you mean /incident list?"),
    ("mute 1 1h", "There is no command “mute”. Did you mean /incident silence 1 1h?"),
    ("snooze 1 1h upgrade", "There is no command “snooze”. Did you mean /incident silence 1 1h upgrade?"),
    ("mute 1h #1", "Did you mean /incident silence 1 1h?"),
    ("mute 1 until tomorrow", "Did you mean /incident silence 1 until tomorrow?"),
    ("mute", "Did you mean /incident silence N DURATION|until:… [reason]?"),
    ("mute list", "No silences."),
    ("unsub 1", "There is no command “unsub”. Did you mean /incident unsubscribe 1?"),
    ("close #1", "Did you mean /incident resolve 1?"),
    ("close", "Did you mean /incident resolve N [comment]?"),
    ("follow 1", "Did you mean /incident subscribe 1?"),
    ("1 ack", "The command comes before the number. Did you mean /incident ack 1?"),
    ("#1 ack", "Did you mean /incident ack 1?"),
    ("1 resolve rolled back", "Did you mean /incident resolve 1 rolled back?"),
    ("1 looking into it", "Did you mean /incident comment 1 looking into it?"),
    ("reslove1", "There is no command “reslove1”"),
    ("1 critical", "Did you mean /incident severity 1 critical?"),
    ("critical 1", "Did you mean /incident severity 1 critical?"),
    ("status 1", "Did you mean /incident view 1?"),
    ("tell me about 1", "I did not understand that. Did you mean /incident view 1?"),
    ("who is on call", "No team of yours says who is on call. Name a team"),
    ("what happened", "There is no command “what”. /incident help"),
    ("diegst now 3", "Did you mean /incident digest now 3?"),
    ("new incident payments fail", "Did you mean /incident declare payments fail?"),
    ("can you close 1", "I did not understand that. Did you mean /incident resolve 1?"),
    ("create payments fail", "Did you mean /incident declare payments fail?"),
    ("payments are failing", "Like this: /incident declare payments are failing"),
    ("show me what's open", "Did you mean /incident list?"),
    ("help Show", "There is no command “Show”. Did you mean /incident help view?"),
    ("token revoke 1", "There is no command “token”. Managers and owners see teams, projects and tokens on Home."),
    ("tokens", "There is no command “tokens”. Managers and owners see teams, projects and tokens on Home."),
    ("teams", "Teams and projects are changed in the organization file; tokens are made on the command line."),
    ("tasked 1", "Did you mean /incident view 1?"),
    ("frobnicate", "There is no command “frobnicate”. /incident help shows what I can do."),
    ("severity critical 1", "“critical” is not the number of an incident. Did you mean /incident severity 1 critical?"),
    ("severity critical 1 it is back", "Did you mean /incident severity 1 critical it is back?"),
    ("resolve rolled back #1", "Did you mean /incident resolve 1 rolled back?"),
    ("comment @ben is on 1", "Did you mean /incident comment 1 @ben is on?"),
    ("ack the 1", "“the” is not the number of an incident. Did you mean /incident ack 1?"),
    ("severity 1 Critcal now", "works too). Did you mean /incident severity 1 critical now?"),
    ("I have it 1", "I did not understand that. Did you mean /incident take 1?"),
    ("sev 1 crit", "There is no command “sev”. Did you mean /incident severity 1 critical?"),
    ("priority 1 warn it lags", "Did you mean /incident severity 1 warning it lags?"),
    ("sev 1", "Did you mean /incident severity 1 warning|critical|none [comment]?"),
    ("silence 1h 1", "Did you mean /incident silence 1 1h?"),
    ("digest 3 pause", "The number comes after pause. Did you mean /incident digest pause 3?"),
    ("digest Puase 3", "There is no digest Puase. Did you mean /incident digest pause 3?"),
    ("view Twelve", "“Twelve” is not the number of an incident"),
    ("view twelve", "“twelve” is not the number of an incident"),
    ("ack 1.5", "“1.5” is not the number"),
    ("ack -1", "“-1” is not the number"),
    ("ack @ben", "“@ben” is not the number"),
    ("ack “twelve”", "“twelve” is not the number of an incident"),
    ("ack ١٢", "“١٢” is not the number"),
    ("view 0", "There is no incident #0"),
    ("view 999999999999999999999999999", "There is no incident #99999999999999999999"),
    ("severity", "number of the incident is missing"),
    ("reopen", "number of the incident is missing"),
    (
        "list sevrity:high",
        "There is no filter sevrity:. Filters are team:, project:, env:, since:, until:, owner:,",
    ),
    ("list sevrity:high", 'Like this: /incident list "sevrity:high"'),
    ("list severity:critical", "There is no filter severity:. Did you mean /incident list critical?"),
    ("list status:resolved", "Did you mean /incident list closed?"),
    (
        "list teem:payments",
        "There is no filter teem:. Did you mean /incident list team:payments?",
    ),
    ("list closed team:Paymnets since:7d", "Did you mean /incident list closed team:payments since:7d?"),
    ("list team:", "team: needs a value"),
    ("list project:x", "You can use catalogue, checkout."),
    ("list seen:yes", "can only be no"),
    ("list since:yesterday", "“yesterday” is not a time. Use 30m, 24h"),
    ("list since:yesterday", "Like this: /incident list since:24h"),
    ("list since:2026-13-01", "is not a time"),
    ("list since:2026-02-30", "is not a time"),
    ("list since:0", "is not a time"),
    ("list since:-1d", "is not a time"),
    ("list until:2026-11-01T25:00", "is not a time"),
    ("list since:1d until:2d", "since:1d is after until:2d. Swap them.\nLike this: /incident list since:2d until:1d"),
    ("list since:2026-02-01 until:2026-01-01", "is after"),
    ("list since:1d since:2d", "given twice"),
    ("list project:checkout project:checkout", "given twice"),
    ('list "payments fail', "This quote is opened and never closed"),
    ("list “payments fail", "This quote is opened and never closed"),
    ('list team:"payments', "This quote is opened and never closed"),
    ("list " + "word " * 11, "At most 10 words"),
    ("list " + "x" * 101, "at most 100 characters"),
    ("list team:" + ",".join(f"t{n}" for n in range(21)), "At most 20 teams"),
    ("help frobnicate", "There is no command “frobnicate”"),
    # The right form of what is wrong, whatever it is.
    ('list "payments fail', "Like this: /incident list [open|"),
    ("list project:x", "Like this: /incident list project:catalogue"),
    ("list team:x", "Like this: /incident list team:payments"),
    ("declare project:x Slow", "Like this: /incident declare project:catalogue title"),
    ("declare " + "x" * 256, "Like this: /incident declare [warning|critical]"),
]


def test_a_mistake_is_named_and_the_right_form_shown(world: World) -> None:
    for words, says in MISTAKES:
        text = world.ask(world.ada, words).text
        assert says in text, (words, text)
        assert "went wrong" not in text and len(text) < 1500


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("ack {} {}", "One incident at a time. Nothing was changed.\nLike this: /incident ack {}"),
        ("view #{}, #{}", "One incident at a time."),
        ("{} {}", "One incident at a time."),
        ("activity {} page 2", "Leave out “page 2”: only the number goes here."),
        ("subscribe {} and {}", "One incident at a time."),
    ],
)
def test_one_incident_at_a_time(world: World, words: str, says: str) -> None:
    first, second = world.declare("Payments fail"), world.declare("Refunds fail")
    typed = words.format(first, second)
    answer = world.ask(world.ben, typed).text
    assert says.format(first) in answer and f"You typed:\n/incident {typed}" in answer
    for number in (first, second):
        assert "Ben Tal" not in world.seen_by(world.ada, number)
        assert "Ben Tal" not in world.ask(world.ada, f"activity {number}").text


def test_a_button_does_what_was_meant(world: World) -> None:
    world.declare("Payments fail")
    meant = world.see(world.ben, "1 ack")
    assert meant.buttons == ["Acknowledge"]
    world.ben.press(meant, "Acknowledge")
    world.slack.wait_until(lambda: "Ben Tal" in world.seen_by(world.ada, 1), what="the acknowledgement")
    world.ben.press(world.see(world.ben, "close #1"), "Resolve")
    assert world.ben.wait_for_form("Resolve #1").submit().closed
    assert world.see(world.ben, "lsit").buttons == []


@pytest.mark.parametrize(
    ("word", "shown"),
    [("closed", [1]), ("all", [1, 2, 3]), ("critical", [2]), ("warning", []), ("Mine", [3]), ("mine!", [3])],
)
def test_a_word_of_list_alone_lists(world: World, word: str, shown: list[int]) -> None:
    for title, options in (("Payments fail", ""), ("Search is slow", "critical "), ("Mail is late", "")):
        world.declare(title, options=f"{options}project:checkout")
    world.ask(world.ada, "resolve 1")
    world.ask(world.ben, "take 3")
    answer = world.ask(world.ben, word).text
    assert [number for number in (1, 2, 3) if f"#{number} " in answer] == shown


@pytest.mark.parametrize(
    "words",
    ["ack1", "ack “1”", "ack #1 please", "please ack 1", "acknowledge incident 1", "tocsin ack 1!", "/incident ack 1,"],
)
def test_what_can_mean_only_one_thing_is_done(world: World, words: str) -> None:
    world.declare("Payments fail")
    assert "cknowledged #1 Payments fail" in world.ask(world.ben, words).text


def test_news_without_a_number_offers_the_incidents(world: World) -> None:
    world.declare("Payments fail")
    assert world.see(world.ben, "I'm on it").buttons == ["Acknowledge"]
    assert world.see(world.ben, "it's fixed").buttons == ["Resolve"]


def test_a_question_mark_asks_for_help(world: World) -> None:
    assert world.ask(world.ben, "???").text == world.ask(world.ben, "help").text
    for words in ("ack ?", "ack --help", "ack -h"):
        assert world.ask(world.ben, words).text == world.ask(world.ben, "help ack").text


def test_a_question_about_what_is_open_is_answered_with_the_list(world: World) -> None:
    world.declare("Payments fail")
    wanted = world.ask(world.ben, "list").text
    for words in ("what's open?", "What’s open", "open", "list incidents", "status?", "/incident list", "list!"):
        assert world.ask(world.ben, words).text == wanted, words


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("thanks", "You're welcome."),
        ("Thank you so much, Tocsin!", "You're welcome."),
        ("ok, thx :+1:", "You're welcome."),
        ("hi", "Hi. list shows what is open"),
        ("Good morning", "Hi. list shows what is open"),
        ("ok", "All right."),
        (":thumbsup::skin-tone-3:", "All right."),
        ("👍", "All right."),
        (":fire:", "Is something wrong?"),
        ("🔥🔥", "Is something wrong?"),
        ("sorry!", "No problem."),
        ("good night", "Take care."),
    ],
)
def test_a_kind_word_gets_one_line(world: World, words: str, says: str) -> None:
    world.ben.tell_bot(words)
    answer = world.ben.wait_for_message(containing=says)
    assert len(answer.text.splitlines()) == 1
    assert answer.buttons == []


def test_words_about_an_incident_are_no_kind_words(world: World) -> None:
    for words in ("no payments go through", "ok 12", "thanks but checkout is down", "yes resolve 12"):
        assert "/incident help shows what I can do" in world.ask(world.ben, words).text.replace("`", "") or (
            "Did you mean" in world.ask(world.ben, words).text
        ), words


def test_mistakes_give_back_what_was_typed(world: World) -> None:
    for words in (
        "commnet 1 The replica is lagging",
        "frobnicate replica",
        "view twelve",
        "list since:yesterday",
        "list project:nope",
        'list "payments',
        "digest frobnicate",
        'list "payments fail since:7d',
        "comment twelve The replica is lagging",
        "comment 77 The replica is lagging",
        "resolve 77 rolled back, see https://x.test/a?b=1&c=2",
        "severity 77 critical R&D <b>",
        "declare project:nope *Payments* _fail_ `now`",
        "comment 77 @ada and @payments in #random @here",
        "comment 77 two\nlines\tand a tab \u00a0 and blanks",
    ):
        assert f"/incident {words}" in world.ask(world.ada, words).text, words


@pytest.mark.parametrize("unit", ["x", "&", "<", "🔥", "é", "a ", "a\n"])
def test_forty_thousand_characters_come_back_whole(world: World, unit: str) -> None:
    world.declare("Payments fail")
    text = f"begin {(unit * 40_000)[:39_900]} end"
    world.ask(world.ben, f"comment 1 {text}")
    shown = world.ben.wait_for_message(world.cast.checkout, "at most 8,000 characters")
    given = "".join(
        element["text"]
        for block in shown.blocks
        if block["type"] == "rich_text"
        for part in block["elements"]
        for element in part["elements"]
    )
    assert given == f"/incident comment 1 {text}"


def test_forty_thousand_characters_in_every_other_place(world: World) -> None:
    long = "y" * 39_000
    for words in (
        *(long, f"{long} {long}"[:39_900], f"view {long}", f"list {long}", f"list team:{long}", f"list {long}:x"),
        *(f"list since:{long}", f"declare {long}", f"declare env:{long} x", f"declare project:{long} x"),
        *(f"help {long}", f"severity 1 {long}", f"1 {long}", "7" * 39_000, f"list since:{'9' * 39_000}"),
        *("(" * 39_000, "[" * 39_000, '"' * 39_000, '""' * 19_000, "“" * 39_000, "'" * 39_000, ":" * 39_000),
        *(f"list {'“' * 39_000}", f"list {'a:' * 19_000}", f"declare {'“x ' * 13_000}", f"list {'x,' * 19_000}"),
        *(f"list team:{',' * 39_000}", "list " + "a" * 30_000 + ":b", "list " + "\u00a0" * 39_000),
    ):
        answer = world.ask(world.ada, words)  # raises unless it is answered in time
        world.settle()
        text = answer.text or world.ada.sees(world.cast.checkout)[-1].text
        assert text and "went wrong" not in text and "longer than Slack" not in text, words[:20]


@pytest.mark.parametrize("hidden", ["\x00", "\ud800", "\udfff"])
def test_what_cannot_be_stored_is_refused_and_its_place_told(world: World, hidden: str) -> None:
    world.declare("Payments fail")
    for words in (f"comment 1 the{hidden} end", f"resolve 1 the{hidden} end", f"declare the{hidden} end"):
        answer = world.ask(world.ben, words)
        assert "cannot be stored" in answer.text and "end" in answer.text, answer.text
    for words in (
        f"list the{hidden}",
        f"list team:the{hidden}",
        f"list project:{hidden}",
        f"list env:x{hidden}",
        f"view 1{hidden}",
        f"{hidden}",
        f"declare project:{hidden} x",
        f"declare team:{hidden} x",
        f"declare env:{hidden} x",
        f"list since:1d{hidden}",
        f"help {hidden}",
        f"severity 1 {hidden}",
    ):
        answer = world.ask(world.ben, words)
        assert answer.text and "went wrong" not in answer.text, words
    assert "commented" not in world.ask(world.ada, "activity 1").text


def test_control_characters_and_directions_do_no_harm(world: World) -> None:
    for number, title in enumerate(("a\u202eb", "bell \x07", "zero\u200bwidth", "\ufeffbom", "tab\tline\u2028end"), 1):
        assert f"#{number}" in world.ask(world.ada, f"declare {title}").text
    assert "went wrong" not in world.ask(world.ada, "list").text


# --- forms that are late -----------------------------------------------------------------------------------


def test_a_resolve_form_on_what_somebody_else_has_resolved_keeps_the_comment(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Resolve")
    form = world.ben.wait_for_form("Resolve #1").fill("Comment", "Rolled back the deploy")
    world.ask(world.ada, "resolve 1")
    outcome = form.submit()
    assert "already resolved" in outcome.errors["Comment"]
    assert form.open and form.value("Comment") == "Rolled back the deploy"
    assert world.ask(world.ada, "activity 1").text.count("resolved this") == 1


def test_a_comment_form_on_what_one_may_no_longer_see_keeps_the_text(world: World) -> None:
    world.declare("Payments fail")
    world.ben.press(world.view(world.ben, 1), "Comment")
    form = world.ben.wait_for_form("Comment #1").fill("Comment", "The replica is lagging")
    world.apply(ORGANIZATION.replace("Ben Tal, role: member, teams: [payments]", "Ben Tal"), prune=True)
    assert "There is no incident #1 that you can see" in form.submit().errors["Comment"]
    assert form.value("Comment") == "The replica is lagging"
    world.apply(ORGANIZATION)
    assert form.submit().closed


def test_an_edit_form_on_a_deleted_comment_keeps_the_text(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 First")
    log = world.shown(world.ask(world.ben, "activity 1"))
    world.ben.press(log, "Edit")
    form = world.ben.wait_for_form("Edit #1").fill("Comment", "Better")
    world.sue.press(world.ask(world.sue, "activity 1").message, "Delete")
    world.settle()
    assert "This comment was deleted" in form.submit().errors["Comment"]
    assert form.value("Comment") == "Better"


def test_an_edit_form_on_a_comment_that_changed_meanwhile_says_so_and_overwrites_nothing(world: World) -> None:
    world.declare("Payments fail")
    world.ask(world.ben, "comment 1 First")
    world.ben.press(world.ask(world.ben, "activity 1").message, "Edit")
    form = world.ben.wait_for_form("Edit #1").fill("Comment", "By Ben")
    world.sue.press(world.ask(world.sue, "activity 1").message, "Edit")
    assert world.sue.wait_for_form("Edit #1").fill("Comment", "By Sue").submit().closed
    assert "Somebody changed this comment" in form.submit().errors["Comment"]
    assert form.value("Comment") == "By Ben"
    assert "By Sue" in world.ask(world.ada, "activity 1").text


def test_buttons_of_old_messages_do_what_they_still_can(world: World) -> None:
    world.declare("Payments fail")
    old = world.view(world.ben, 1)
    world.ask(world.ada, "resolve 1")
    world.ben.press(old, "Resolve")
    world.ben.wait_for_message(world.cast.checkout, "already resolved")
    assert world.ben.form is None
    stale = world.view(world.ben, 1)
    world.ask(world.ada, "reopen 1")
    world.ben.press(stale, "Reopen")
    world.ben.wait_for_message(world.cast.checkout, "is not resolved")
    world.ask(world.ada, "resolve 1")
    world.ben.press(old, "Acknowledge")
    old.wait_for(lambda old: "Reopen" in old.buttons)  # redrawn as it is


def test_a_button_of_an_incident_that_is_gone_is_answered(world: World) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.rest()  # delivery holds what is deleted here
    with world.store.write() as tx:
        tx.exec_driver_sql("DELETE FROM incident")
    for label in ("Acknowledge", "Resolve", "Comment", "Activity", "Subscribe"):
        world.ben.press(shown, label)
        world.settle()
        assert "There is no incident #1" in world.ben.sees(world.cast.checkout)[-1].text, label
    assert world.ben.form is None


def test_a_trigger_that_is_too_late_is_told(world: World) -> None:
    world.declare("Payments fail")
    shown = world.view(world.ben, 1)
    world.ben.press(shown, "Comment")
    world.ben.wait_for_form("Comment #1").close()
    payload = next(e.sent for e in reversed(world.slack.sent) if e.sent.get("type") == "block_actions")
    # Delivered a second time, with the trigger that has been used.
    world.slack.platform.deliveries.send("interactive", "block_actions", payload)
    world.ben.wait_for_message(world.cast.checkout, "Try again")
    world.slack.problems.take("exchanged_trigger_id")
    assert world.ben.form is None


def test_dates_in_the_future_and_in_other_zones_are_read(world: World) -> None:
    world.declare("Payments fail")
    tomorrow = (world.store.clock.now() + timedelta(days=2)).date()
    assert "#1" in world.ask(world.ada, f"list until:{tomorrow}").text
    assert "#1" in world.ask(world.ada, "list since:2025-01-01T00:00+23:00").text
    assert "#1" in world.ask(world.ada, "list since:2025-01-01T00:00-23:59 until:2030-01-01").text
    assert "#1" in world.ask(world.ada, "list since:1970-01-01 until:2099-12-31").text
    assert "#1" in world.ask(world.ada, "list since:2098-01-01").text  # it has not closed before
    assert "#1" not in world.ask(world.ada, "list until:1970-01-01").text


# --- texts from outside that look like formatting -----------------------------------------------------------

FORMATTED = "*Checkout* _fails_ ~often~ for `shop-7` > 5 %"


def test_a_title_is_seen_as_it_was_typed_wherever_it_is_shown(world: World) -> None:
    world.ask(world.ada, f"declare {FORMATTED}")
    world.ask(world.ben, "subscribe 1")
    world.ask(world.ada, "comment 1 Looking")
    world.rest()
    for words in ("list", "view 1", "activity 1", "ack 1", "resolve", "resolve 1", "resolve 1"):
        assert f"#1 {FORMATTED}" in world.ask(world.ben, words).text, words
    for message in (
        world.ben.wait_for_message(world.cast.checkout, containing="#1"),
        world.ben.wait_for_message(containing="#1"),
    ):
        assert FORMATTED in message.text


@pytest.mark.parametrize("title", ["\u200b", "\u3164\u2060", "\u2800"])
def test_a_title_of_nothing_visible_is_refused_from_a_person(world: World, title: str) -> None:
    assert "A title needs at least one visible character." in world.ask(world.ada, f"declare {title}").text
    assert "No open incidents" in world.ask(world.ada, "list").text
