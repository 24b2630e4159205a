"""Texts from outside are seen as they were typed, whatever formatting characters they have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.incidents.markup import escape, unescape
from bot.incidents.plain_text import disable_formatting, has_visible
from bot.messages.blocks import bold, link_urls
from sandbox.mrkdwn import seen_text


@pytest.mark.parametrize(
    "text",
    [
        "*x*",
        "a *b c* d",
        "_x_ and ~y~ and `z`",
        "**x**",
        "*_x_*",
        "(*x*), “_y_”",
        "```three```",
        "> quoted\n>>> more",
        "*https://a.test/_b_*",
        "<!here> <@U1> <https://a.test|b> &amp;",
    ],
)
def test_formatting_characters_are_seen_as_typed(text: str) -> None:
    assert seen_text(escape(text), {}) == text
    assert seen_text(bold(f"#1 {escape(text)}"), {}).removeprefix("#1 ") in (text, f"*#1 {text}*")


@given(st.text(alphabet="ab*_~`> \n<&.,(", max_size=30))
def test_any_mixture_is_seen_as_typed(text: str) -> None:
    assert seen_text(escape(text), {}) == text


@pytest.mark.parametrize(
    "text",
    [
        "disk_full on db_1_a",
        "2 * 3 * 4",
        "~ 5 % and ~10 %",
        "a > b",
        "snake_case_name",
        "5* hotel",
        "https://a.test/b_c",
        "plain words",
    ],
)
def test_a_text_that_slack_would_not_format_stays_the_same_characters(text: str) -> None:
    assert disable_formatting(text) == text


def test_a_text_does_not_turn_around_what_stands_behind_it() -> None:
    assert escape("disk \u202e7\u2067 is full") == "disk 7 is full"
    assert escape("\u05d3\u05d9\u05e1\u05e7\u200f") == "\u05d3\u05d9\u05e1\u05e7\u200f"


def test_a_url_in_a_text_is_a_link_to_the_same_address() -> None:
    assert "<https://a.test/_b_/*c*/d>" in link_urls(escape("see *https://a.test/_b_/*c*/d* now"))


def test_entities_are_those_of_the_text() -> None:
    assert unescape(escape("a < b & c")) == "a < b & c"


@pytest.mark.parametrize(
    "text", ["", " ", "\u200b", "\u2060\ufeff", "\u3164", "\u2800 \u00ad", "\u202e", "\u115f\u1160"]
)
def test_a_text_of_nothing_visible(text: str) -> None:
    assert not has_visible(text)


@pytest.mark.parametrize("text", ["a", "🔥", "é", "\u202eb", ".", "障害", "\u200b1"])
def test_a_text_with_something_visible(text: str) -> None:
    assert has_visible(text)
