"""What a person reads in Slack's texts and blocks: markup gone, names and dates put in, nothing else
changed.
"""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.mrkdwn import seen_text

NAMES = {"U1": "Ada Obi", "S1": "payments", "C1": "incidents"}
MOMENT = 1720710212  # Thursday, 11 July 2024, 15:03:32 UTC


def seen(shown: object) -> str:
    return seen_text(shown, NAMES)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("*late* and _slow_ and ~gone~", "late and slow and gone"),
        ("*_both_* ~*all*~", "both all"),
        ('(*late*), "_slow_"', '(late), "slow"'),
        ("2 * 3 * 4, a_b_c, ~5 or ~6", "2 * 3 * 4, a_b_c, ~5 or ~6"),
        ("snake_case_name and *not closed", "snake_case_name and *not closed"),
        ("* not bold * nor *this\nnext*", "* not bold * nor *this\nnext*"),
        ("** __ *** ~~", "** __ *** ~~"),
        ("`*code*` and ```\n_pre_ `x`\n```", "*code* and _pre_ `x`"),
        ("*see `a_b` now*", "see a_b now"),
        ("&lt;b&gt; &amp; &amp;lt;", "<b> & &lt;"),
        ("&lt;@U1&gt; is no mention", "<@U1> is no mention"),
        ("`&lt;b&gt;`", "<b>"),
        ("&gt; quoted\n> too\n>>> all", "quoted\ntoo\nall"),
        ("a &gt; b", "a > b"),
        (":fire: stays", ":fire: stays"),
    ],
)
def test_markup_is_taken_away_and_nothing_else(written: str, read: str) -> None:
    assert seen(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<@U1> asks <!subteam^S1>", "@Ada Obi asks @payments"),
        ("<@U9> <@U9|bob> <!subteam^S9> <!subteam^S9|@sre>", "@U9 @bob @S9 @sre"),
        ("<#C1> <#C9|ops> <#C9>", "#incidents #ops #C9"),
        ("<!here> <!channel> <!everyone|everyone>", "@here @channel @everyone"),
        ("<https://a.b/c?d=1&amp;e=2>", "https://a.b/c?d=1&e=2"),
        ("<https://a.b|the *board* &amp; more>", "the *board* & more"),
        ("<mailto:ada@acme.test|Ada> <mailto:ada@acme.test>", "Ada ada@acme.test"),
        ("<!unknown|label> <!unknown>", "label <unknown>"),
        ("*<https://a.b|#7>* for <@U1>", "#7 for @Ada Obi"),
        ("`<@U1>`", "@Ada Obi"),
    ],
)
def test_mentions_and_links_show_their_names(written: str, read: str) -> None:
    assert seen(written) == read


def test_a_name_with_markers_stays_as_it_is() -> None:
    assert seen_text("_hello_ <@U1>, *<@U1>*", {"U1": "_ada_*<x>&amp;"}) == "hello @_ada_*<x>&amp;, @_ada_*<x>&amp;"


def test_private_use_characters_of_a_text_come_back_in_their_places() -> None:
    assert seen("\ue000<@U1>\ue001`\ue000`") == "\ue000@Ada Obi\ue001\ue000"


@pytest.mark.parametrize(
    ("template", "read"),
    [
        ("{date_num}", "2024-07-11"),
        ("{date_slash}", "11/07/2024"),
        ("{date}", "July 11th, 2024"),
        ("{date_pretty}", "July 11th, 2024"),
        ("{date_short} at {time}", "Jul 11, 2024 at 5:03 PM"),
        ("{date_long}, {time_secs}", "Thursday, July 11th, 2024, 5:03:32 PM"),
        ("{date_long_full}", "July 11, 2024"),
        ("{day_divider_pretty}", "Thursday, July 11th, 2024"),
        ("{ago}", "then"),
        ("{century}", "{century}"),
    ],
)
def test_a_date_is_drawn_in_the_readers_zone(template: str, read: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert seen_text(f"<!date^{MOMENT}^{template}|then>", {}, zone=berlin) == read
    assert seen_text(f"<!date^{MOMENT}^{template}^https://a.b|then>", {}, zone=berlin) == read
    rich = {"type": "date", "timestamp": MOMENT, "format": template, "fallback": "then"}
    assert seen_text(rich, {}, zone=berlin) == read


@pytest.mark.parametrize(
    ("now", "read"),
    [
        (datetime(2024, 7, 11, 20, tzinfo=UTC), "today 4 hours ago Jul 11"),
        (datetime(2024, 7, 12, 0, 5, tzinfo=UTC), "yesterday 9 hours ago Jul 11"),
        (datetime(2024, 7, 10, 15, tzinfo=UTC), "tomorrow in 1 day Jul 11"),
        (datetime(2024, 7, 11, 15, 3, 32, tzinfo=UTC), "today now Jul 11"),
        (datetime(2025, 7, 11, tzinfo=UTC), "July 11th, 2024 364 days ago Jul 11, 2024"),
    ],
)
def test_a_date_near_to_now_is_said_so(now: datetime, read: str) -> None:
    written = f"<!date^{MOMENT}^{{date_pretty}} {{ago}} {{date_short}}|then>"
    assert seen_text(written, {}, now=now) == read


@pytest.mark.parametrize("timestamp", ["soon", "", "9" * 30, "1.5"])
def test_a_date_that_is_none_shows_its_fallback(timestamp: str) -> None:
    assert seen(f"<!date^{timestamp}^{{date}}|then &amp; there>") == "then & there"


def test_plain_text_has_no_markup() -> None:
    assert seen({"type": "plain_text", "text": "*7* &lt;@U1&gt; <@U1>"}) == "*7* <@U1> <@U1>"


def test_rich_text_reads_as_it_is_laid_out() -> None:
    def words(*parts: dict[str, Any]) -> dict[str, Any]:
        return {"type": "rich_text_section", "elements": list(parts)}

    block = {
        "type": "rich_text",
        "elements": [
            words(
                {"type": "user", "user_id": "U1"},
                {"type": "text", "text": " saw *it* &amp; told "},
                {"type": "usergroup", "usergroup_id": "S1"},
                {"type": "text", "text": " in "},
                {"type": "channel", "channel_id": "C1"},
                {"type": "text", "text": " "},
                {"type": "broadcast", "range": "here"},
                {"type": "emoji", "name": "fire"},
                {"type": "text", "text": "\n"},
            ),
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [
                    words({"type": "link", "url": "https://a.b"}),
                    words({"type": "color", "value": "#FFFFFF"}),
                ],
            },
            {
                "type": "rich_text_list",
                "style": "ordered",
                "indent": 1,
                "offset": 2,
                "elements": [words({"type": "link", "url": "https://a.b", "text": "the board"})],
            },
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "slow", "style": {"bold": True}}]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a\nb"}]},
        ],
    }
    assert seen(block) == (
        "@Ada Obi saw *it* &amp; told @payments in #incidents @here:fire:\n"
        "• https://a.b\n• #FFFFFF\n    3. the board\nslow\na\nb"
    )


def test_a_message_shows_its_blocks_else_its_text() -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Open incidents"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "*#7* Checkout"},
            "fields": [{"type": "mrkdwn", "text": "*Team*\npayments"}, {"type": "plain_text", "text": "prod"}],
            "accessory": {"type": "button", "text": {"type": "plain_text", "text": "View"}},
        },
        {"type": "divider"},
        {
            "type": "context",
            "elements": [{"type": "image", "alt_text": "graph"}, {"type": "mrkdwn", "text": "seen by <@U1>"}],
        },
        {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Next"}}]},
    ]
    read = "Open incidents\n#7 Checkout\nTeam\npayments\nprod\ngraph seen by @Ada Obi"
    assert seen({"text": "*fallback*", "blocks": blocks}) == read
    assert seen({"type": "message", "text": "*words*", "attachments": [{"blocks": blocks}]}) == f"words\n{read}"
    assert seen(blocks) == read
    label = {"type": "plain_text", "text": "Comment"}
    form = {"type": "input", "label": label, "hint": label, "element": {"type": "plain_text_input"}}
    assert seen({"type": "modal", "title": label, "submit": label, "blocks": [form]}) == "Comment\nComment\nComment"
    assert seen({"type": "home", "blocks": blocks}) == read


@pytest.mark.parametrize(
    ("block", "read"),
    [
        ({"type": "markdown", "text": "**a**"}, "**a**"),
        ({"type": "image", "alt_text": "a", "title": {"type": "plain_text", "text": "b"}}, "b"),
        (
            {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}, {"type": "raw_number", "text": "7"}]]},
            "a\t7",
        ),
        (
            {
                "type": "card",
                "title": {"type": "mrkdwn", "text": "*a*"},
                "body": {"type": "plain_text", "text": "b"},
            },
            "a\nb",
        ),
        ({"type": "plan", "title": "a", "tasks": [{"title": "b"}, {"title": "c"}]}, "a\nb\nc"),
        ({"type": "data_visualization", "title": "a", "chart": {}}, "a"),
        (
            {
                "type": "container",
                "title": {"type": "plain_text", "text": "a"},
                "child_blocks": [{"type": "alert", "text": {"type": "mrkdwn", "text": "_b_"}}],
            },
            "a\nb",
        ),
    ],
)
def test_other_blocks_read_as_well(block: dict[str, Any], read: str) -> None:
    assert seen(block) == read


def test_what_is_no_text_reads_as_nothing() -> None:
    nothings: list[object] = [None, 7, [], {}, {"type": "button", "text": "a"}, {"type": []}, {"blocks": 5}, b""]
    for nothing in nothings:
        assert seen(nothing) == ""


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="*_~`<>@#!|^&;lgt amp\n{}date1\ue000\ue001x", max_size=60))
def test_no_text_makes_it_raise(written: str) -> None:
    assert isinstance(seen(written), str)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab *_~`>\n", max_size=40))
def test_escaped_angle_brackets_are_read_as_written(written: str) -> None:
    """A sender who escapes is read to the letter where there is no marker to take away."""
    words = written.translate(str.maketrans("", "", "*_~`>"))
    escaped = f"{words}<@U1>".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert seen(escaped) == f"{words}<@U1>"
