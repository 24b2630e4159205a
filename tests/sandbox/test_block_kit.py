"""Block Kit as the sandbox judges it: what Slack documents passes, each limit holds, and nothing raises.

A limit is tested from both sides: a payload that reaches it has no problem, one step further it has exactly
the one, at the right pointer.
"""

import copy
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models import blocks as sdk
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks.basic_components import (
    FeedbackButtonObject,
    SlackFile,
    Workflow,
    WorkflowTrigger,
)
from slack_sdk.models.blocks.block_elements import FileInputElement, WorkflowButtonElement
from slack_sdk.models.metadata import Metadata
from slack_sdk.models.views import View

from sandbox.block_kit import (
    Problem,
    check_message,
    check_options,
    check_view,
    check_view_submission_response,
)

Json = dict[str, Any]
Place = Literal["message", "modal", "home"]


def plain(words: str = "words") -> Json:
    return {"type": "plain_text", "text": words}


def mrkdwn(words: str = "words") -> Json:
    return {"type": "mrkdwn", "text": words}


def rich(*parts: Json) -> Json:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(parts)}]}


def option(value: str = "one", **more: Any) -> Json:
    return {"text": plain(value), "value": value, **more}


def options(count: int) -> list[Json]:
    return [option(f"value-{index}") for index in range(count)]


def button(**more: Any) -> Json:
    return {"type": "button", "text": plain("Acknowledge"), **more}


def confirm(**more: Any) -> Json:
    return {"title": plain(), "text": plain(), "confirm": plain(), "deny": plain(), **more}


def picture(**more: Any) -> Json:
    return {"type": "image", "image_url": "https://example.com/graph.png", "alt_text": "A graph", **more}


def section(**more: Any) -> Json:
    return {"type": "section", "text": mrkdwn("*Checkout* is slow"), **more}


def actions(*elements: Json, **more: Any) -> Json:
    return {"type": "actions", "elements": list(elements), **more}


def typed(element: Json, **more: Any) -> Json:
    """An input block."""
    return {"type": "input", "label": plain("Comment"), "element": element, **more}


def modal(*blocks: Json, **more: Any) -> Json:
    view = {"type": "modal", "title": plain("Comment"), "submit": plain("Send"), "blocks": list(blocks)}
    return {**view, **more}


def home(*blocks: Json, **more: Any) -> Json:
    return {"type": "home", "blocks": list(blocks), **more}


def check(place: Place, *blocks: Json) -> list[Problem]:
    if place == "message":
        return check_message({"text": "words", "blocks": list(blocks)})
    return check_view(modal(*blocks) if place == "modal" else home(*blocks), at="")


def found(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.message) for problem in problems]


def pointers(problems: list[Problem]) -> list[str]:
    return [problem.pointer for problem in problems]


# ---- the words


def test_a_problem_reads_as_in_slacks_response_metadata() -> None:
    [problem] = check("message", section(text=mrkdwn("x" * 3001)))
    assert str(problem) == "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "header"}, ("/blocks/0", "missing required field: text")),
        ({}, ("/blocks/0", "missing required field: type")),
        ({"type": "paragraph"}, ("/blocks/0/type", "unsupported type: paragraph")),
        ({"type": "divider", "disabled": True}, ("/blocks/0", "invalid additional property: disabled")),
        (section(text="words"), ("/blocks/0/text", "must provide an object")),
        (section(text=mrkdwn("")), ("/blocks/0/text/text", "must be more than 0 characters")),
        (section(text={"type": "mrkdwn"}), ("/blocks/0/text", "missing required field: text")),
        (section(text={"type": "mrkdwn", "text": 5}), ("/blocks/0/text/text", "must provide a string")),
        (section(text={"type": "html", "text": "x"}), ("/blocks/0/text/type", "unsupported type: html")),
        (section(text={"text": "x"}), ("/blocks/0/text", "missing required field: type")),
        ({"type": "section"}, ("/blocks/0", "must define either `text` or `fields`")),
        (section(expand="yes"), ("/blocks/0/expand", "must provide a boolean")),
        (section(fields=mrkdwn()), ("/blocks/0/fields", "must provide an array")),
        (section(accessory=[]), ("/blocks/0/accessory", "must provide an object")),
        (
            actions(button(style="loud")),
            ("/blocks/0/elements/0/style", "must be a valid enum value"),
        ),
    ],
)
def test_each_kind_of_fault_is_told_in_slacks_words(block: Json, expected: tuple[str, str]) -> None:
    assert found(check("message", block)) == [expected]


def test_emoji_is_for_plain_text_and_verbatim_for_mrkdwn() -> None:
    assert not check("message", section(text={**plain(), "emoji": True}))
    assert not check("message", section(text={**mrkdwn(), "verbatim": False}))
    assert found(check("message", section(text={**mrkdwn(), "emoji": True}))) == [
        ("/blocks/0/text", "invalid additional property: emoji")
    ]
    assert found(check("message", section(text={**plain(), "verbatim": True}))) == [
        ("/blocks/0/text", "invalid additional property: verbatim")
    ]


# ---- limits: (where, how to make a block of this size, the most, pointer one over)

Sized = Callable[[int], Json]


def _filled(kind: str, words: Json) -> Json:
    """A menu with a placeholder."""
    more = {"options": options(1)} if kind.endswith("static_select") else {}
    return {"type": kind, "placeholder": words, **more}


def _with_placeholder(kind: str) -> Sized:
    return lambda n: section(accessory=_filled(kind, plain("x" * n)))


MENUS = [
    f"{many}{source}_select"
    for many in ("", "multi_")
    for source in ("static", "external", "users", "conversations", "channels")
]

LIMITS: dict[str, tuple[Place, Sized, int, str]] = {
    "section text": ("message", lambda n: section(text=mrkdwn("x" * n)), 3000, "/text/text"),
    "section fields": (
        "message",
        lambda n: {"type": "section", "fields": [mrkdwn()] * n},
        10,
        "/fields",
    ),
    "section field": ("message", lambda n: section(fields=[plain("x" * n)]), 2000, "/fields/0/text"),
    "block_id": ("message", lambda n: {"type": "divider", "block_id": "x" * n}, 255, "/block_id"),
    "header": ("message", lambda n: {"type": "header", "text": plain("x" * n)}, 150, "/text/text"),
    "header level": ("message", lambda n: {"type": "header", "text": plain(), "level": n}, 4, "/level"),
    "context elements": (
        "message",
        lambda n: {"type": "context", "elements": [mrkdwn()] * n},
        10,
        "/elements",
    ),
    "context text": (
        "message",
        lambda n: {"type": "context", "elements": [mrkdwn("x" * n)]},
        3000,
        "/elements/0/text",
    ),
    "actions elements": ("message", lambda n: actions(*[button()] * n), 25, "/elements"),
    "action_id": ("message", lambda n: actions(button(action_id="x" * n)), 255, "/elements/0/action_id"),
    "button text": ("message", lambda n: actions(button(text=plain("x" * n))), 75, "/elements/0/text/text"),
    "button value": ("message", lambda n: actions(button(value="x" * n)), 2000, "/elements/0/value"),
    "button url": (
        "message",
        lambda n: actions(button(url="https://example.com/".ljust(n, "x"))),
        3000,
        "/elements/0/url",
    ),
    "button accessibility_label": (
        "message",
        lambda n: actions(button(accessibility_label="x" * n)),
        75,
        "/elements/0/accessibility_label",
    ),
    "confirm title": (
        "message",
        lambda n: actions(button(confirm=confirm(title=plain("x" * n)))),
        100,
        "/elements/0/confirm/title/text",
    ),
    "confirm text": (
        "message",
        lambda n: actions(button(confirm=confirm(text=mrkdwn("x" * n)))),
        300,
        "/elements/0/confirm/text/text",
    ),
    "confirm confirm": (
        "message",
        lambda n: actions(button(confirm=confirm(confirm=plain("x" * n)))),
        30,
        "/elements/0/confirm/confirm/text",
    ),
    "confirm deny": (
        "message",
        lambda n: actions(button(confirm=confirm(deny=plain("x" * n)))),
        30,
        "/elements/0/confirm/deny/text",
    ),
    "image url": (
        "message",
        lambda n: picture(image_url="https://example.com/".ljust(n, "x")),
        3000,
        "/image_url",
    ),
    "image alt_text": ("message", lambda n: picture(alt_text="x" * n), 2000, "/alt_text"),
    "image title": ("message", lambda n: picture(title=plain("x" * n)), 2000, "/title/text"),
    "input label": (
        "modal",
        lambda n: typed(_filled("users_select", plain()), label=plain("x" * n)),
        2000,
        "/label/text",
    ),
    "input hint": (
        "modal",
        lambda n: typed(_filled("users_select", plain()), hint=plain("x" * n)),
        2000,
        "/hint/text",
    ),
    "static_select options": (
        "message",
        lambda n: section(accessory={"type": "static_select", "options": options(n)}),
        100,
        "/accessory/options",
    ),
    "static_select option_groups": (
        "message",
        lambda n: section(
            accessory={
                "type": "static_select",
                "option_groups": [{"label": plain(), "options": options(1)}] * n,
            }
        ),
        100,
        "/accessory/option_groups",
    ),
    "option group options": (
        "message",
        lambda n: section(
            accessory={
                "type": "static_select",
                "option_groups": [{"label": plain(), "options": options(n)}],
            }
        ),
        100,
        "/accessory/option_groups/0/options",
    ),
    "option group label": (
        "message",
        lambda n: section(
            accessory={
                "type": "multi_static_select",
                "option_groups": [{"label": plain("x" * n), "options": options(1)}],
            }
        ),
        75,
        "/accessory/option_groups/0/label/text",
    ),
    "option text": (
        "message",
        lambda n: section(accessory={"type": "static_select", "options": [option(text=plain("x" * n))]}),
        75,
        "/accessory/options/0/text/text",
    ),
    "option value": (
        "message",
        lambda n: section(accessory={"type": "static_select", "options": [option(value="x" * n, text=plain())]}),
        150,
        "/accessory/options/0/value",
    ),
    "option description": (
        "message",
        lambda n: section(accessory={"type": "static_select", "options": [option(description=plain("x" * n))]}),
        75,
        "/accessory/options/0/description/text",
    ),
    "overflow options": (
        "message",
        lambda n: section(accessory={"type": "overflow", "options": options(n)}),
        5,
        "/accessory/options",
    ),
    "overflow option url": (
        "message",
        lambda n: section(
            accessory={"type": "overflow", "options": [option(url="https://example.com/".ljust(n, "x"))]}
        ),
        3000,
        "/accessory/options/0/url",
    ),
    "checkboxes options": (
        "message",
        lambda n: section(accessory={"type": "checkboxes", "options": options(n)}),
        10,
        "/accessory/options",
    ),
    "radio_buttons options": (
        "message",
        lambda n: section(accessory={"type": "radio_buttons", "options": options(n)}),
        10,
        "/accessory/options",
    ),
    **{
        f"{kind} placeholder": ("message", _with_placeholder(kind), 150, "/accessory/placeholder/text")
        for kind in (*MENUS, "datepicker", "timepicker")
    },
    "plain_text_input initial_value": (
        "modal",
        lambda n: typed({"type": "plain_text_input", "initial_value": "x" * n}),
        3000,
        "/element/initial_value",
    ),
    "plain_text_input min_length": (
        "modal",
        lambda n: typed({"type": "plain_text_input", "min_length": n}),
        3000,
        "/element/min_length",
    ),
    "plain_text_input max_length": (
        "modal",
        lambda n: typed({"type": "plain_text_input", "max_length": n}),
        3000,
        "/element/max_length",
    ),
    "plain_text_input placeholder": (
        "modal",
        lambda n: typed({"type": "plain_text_input", "placeholder": plain("x" * n)}),
        150,
        "/element/placeholder/text",
    ),
    "rich_text_input max_lines": (
        "modal",
        lambda n: typed({"type": "rich_text_input", "action_id": "a", "max_lines": n}),
        100,
        "/element/max_lines",
    ),
    "file_input max_files": (
        "modal",
        lambda n: typed({"type": "file_input", "max_files": n}),
        10,
        "/element/max_files",
    ),
    "markdown": ("message", lambda n: {"type": "markdown", "text": "x" * n}, 12_000, "/text"),
    "video title": (
        "message",
        lambda n: {
            "type": "video",
            "alt_text": "a",
            "title": plain("x" * n),
            "thumbnail_url": "https://example.com/a.png",
            "video_url": "https://example.com/a",
        },
        199,
        "/title/text",
    ),
    "context_actions elements": (
        "message",
        lambda n: {
            "type": "context_actions",
            "elements": [{"type": "icon_button", "icon": "trash", "text": plain()}] * n,
        },
        5,
        "/elements",
    ),
    "table rows": (
        "message",
        lambda n: {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * n},
        100,
        "/rows",
    ),
    "table cells": (
        "message",
        lambda n: {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * n]},
        20,
        "/rows/0",
    ),
    "table characters": (
        "message",
        lambda n: {
            "type": "table",
            "rows": [[rich({"type": "text", "text": "x" * (n - 1)})], [{"type": "raw_text", "text": "x"}]],
        },
        10_000,
        "/rows",
    ),
    "data_table page_size": (
        "message",
        lambda n: {
            "type": "data_table",
            "caption": "c",
            "rows": [[{"type": "raw_text", "text": "x"}]] * 2,
            "page_size": n,
        },
        100,
        "/page_size",
    ),
    "data_visualization title": (
        "message",
        lambda n: {
            "type": "data_visualization",
            "title": "x" * n,
            "chart": {"type": "pie", "segments": [{"label": "a", "value": 1}]},
        },
        50,
        "/title",
    ),
    "alert": ("modal", lambda n: {"type": "alert", "text": mrkdwn("x" * n)}, 200, "/text/text"),
    "card title": ("message", lambda n: {"type": "card", "title": mrkdwn("x" * n)}, 150, "/title/text"),
    "card body": ("message", lambda n: {"type": "card", "body": mrkdwn("x" * n)}, 200, "/body/text"),
    "card actions": ("message", lambda n: {"type": "card", "actions": [button()] * n}, 3, "/actions"),
    "carousel": (
        "message",
        lambda n: {"type": "carousel", "elements": [{"type": "card", "title": mrkdwn()}] * n},
        10,
        "/elements",
    ),
    "container": (
        "message",
        lambda n: {"type": "container", "title": plain(), "child_blocks": [{"type": "divider"}] * n},
        10,
        "/child_blocks",
    ),
}


@pytest.mark.parametrize(("place", "block", "most", "pointer"), LIMITS.values(), ids=LIMITS)
def test_a_limit_may_be_reached_and_not_passed(place: Place, block: Sized, most: int, pointer: str) -> None:
    assert check(place, block(most)) == []
    assert pointers(check(place, block(most + 1))) == [f"/blocks/0{pointer}"]


EMPTY: list[tuple[Place, Json, str]] = [
    ("message", {"type": "section", "fields": []}, "/fields"),
    ("message", actions(), "/elements"),
    ("message", {"type": "context", "elements": []}, "/elements"),
    ("message", section(accessory={"type": "static_select", "options": []}), "/accessory/options"),
    ("message", section(accessory={"type": "overflow", "options": []}), "/accessory/options"),
    ("message", {"type": "rich_text", "elements": []}, "/elements"),
    ("message", rich({"type": "text", "text": ""}), "/elements/0/elements/0/text"),
    ("message", actions(button(text=plain(""))), "/elements/0/text/text"),
    ("message", actions(button(value="")), "/elements/0/value"),
    ("message", {"type": "markdown", "text": ""}, "/text"),
    ("message", {"type": "divider", "block_id": ""}, "/block_id"),
    ("message", {"type": "plan", "title": ""}, "/title"),
    (
        "message",
        {"type": "data_table", "caption": "c", "rows": [[{"type": "raw_text", "text": "x"}]]},
        "/rows",
    ),
    ("modal", typed({"type": "plain_text_input", "max_length": 0}), "/element/max_length"),
    ("modal", typed({"type": "plain_text_input", "min_length": -1}), "/element/min_length"),
    ("modal", typed({"type": "file_input", "max_files": 0}), "/element/max_files"),
    ("modal", typed({"type": "multi_users_select", "max_selected_items": 0}), "/element/max_selected_items"),
    ("modal", typed({"type": "conversations_select", "filter": {}}), "/element/filter"),
    ("modal", typed({"type": "conversations_select", "filter": {"include": []}}), "/element/filter/include"),
]


@pytest.mark.parametrize(("place", "block", "pointer"), EMPTY)
def test_less_than_the_least_is_refused(place: Place, block: Json, pointer: str) -> None:
    assert pointers(check(place, block)) == [f"/blocks/0{pointer}"]


# ---- a message as a whole


def test_a_message_holds_fifty_blocks_and_forty_thousand_characters() -> None:
    assert not check_message({"text": "x" * 40_000, "blocks": [{"type": "divider"}] * 50})
    assert found(check_message({"text": "x" * 40_001, "blocks": [{"type": "divider"}] * 51})) == [
        ("/text", "must be less than 40001 characters"),
        ("/blocks", "no more than 50 items allowed"),
    ]


def test_fields_of_the_method_and_nulls_are_left_alone() -> None:
    assert not check_message({"channel": "C1", "thread_ts": "1.2", "blocks": None, "attachments": None})


def test_a_block_id_is_unique_in_the_whole_message() -> None:
    twice = [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}]
    assert found(check_message({"blocks": twice})) == [("/blocks/1/block_id", '`block_id` "a" already exists')]
    message = {"blocks": twice[:1], "attachments": [{"blocks": twice[1:]}]}
    assert pointers(check_message(message)) == ["/attachments/0/blocks/0/block_id"]


def test_an_action_id_is_unique_in_its_block_only() -> None:
    same = button(action_id="view")
    assert not check("message", section(accessory=same), section(accessory=same), actions(same))
    assert found(check("message", actions(same, same))) == [
        ("/blocks/0/elements/1/action_id", '`action_id` "view" already exists')
    ]
    card = {"type": "card", "title": mrkdwn(), "actions": [same]}
    assert not check("message", {"type": "carousel", "elements": [card, card]})


def test_markdown_blocks_share_one_limit() -> None:
    half = {"type": "markdown", "text": "x" * 6000}
    assert not check("message", half, half)
    assert pointers(check("message", half, half, {"type": "markdown", "text": "x"})) == ["/blocks/2/text"]


def test_one_table_in_a_message() -> None:
    table = {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}
    assert found(check("message", table, table)) == [("/blocks/1", "only_one_table_allowed")]
    assert not check("home", table, table)


def test_an_image_has_one_source_and_a_web_address() -> None:
    both = picture(slack_file={"id": "F1"})
    neither = {"type": "image", "alt_text": "x"}
    assert pointers(check("message", both)) == ["/blocks/0"]
    assert pointers(check("message", neither)) == ["/blocks/0"]
    assert not check("message", {**neither, "slack_file": {"id": "F1"}})
    assert pointers(check("message", {**neither, "slack_file": {"id": "F1", "url": "https://a.b/c"}})) == [
        "/blocks/0/slack_file"
    ]
    for wrong in ("graph.png", "javascript:alert(1)", "https://", "http://[", "data:image/png;base64,AA"):
        assert found(check("message", picture(image_url=wrong))) == [("/blocks/0/image_url", "invalid url")]


def test_an_ephemeral_message_shows_no_files() -> None:
    shown = {"blocks": [{"type": "file", "external_id": "a", "source": "remote"}]}
    stored = {"blocks": [{"type": "image", "alt_text": "x", "slack_file": {"id": "F1"}}]}
    assert not check_message(shown) and not check_message(stored)
    assert pointers(check_message(shown, ephemeral=True)) == ["/blocks/0/type"]
    assert pointers(check_message(stored, ephemeral=True)) == ["/blocks/0/slack_file"]


def test_attachments_are_looked_into() -> None:
    good = {"color": "#36a64f", "blocks": [section()], "fallback": "words"}
    assert not check_message({"attachments": [good, {"text": "words", "color": "danger"}]})
    assert not check_message({"attachments": [good] * 100})
    assert pointers(check_message({"attachments": [good] * 101})) == ["/attachments"]
    for wrong, pointer in [
        ({**good, "color": "reddish"}, "/color"),
        ({**good, "colour": "#fff"}, ""),
        ({"color": "good"}, ""),
        ({"text": "a", "footer": "x" * 301}, "/footer"),
        ({"text": "a", "image_url": "https://a.b/c", "thumb_url": "https://a.b/c"}, ""),
        ({"text": "a", "fields": [{"title": "b"}]}, "/fields/0"),
        ({"blocks": [{"type": "divider"}] * 51}, "/blocks"),
        ({"blocks": [section(text=mrkdwn(""))]}, "/blocks/0/text/text"),
    ]:
        assert pointers(check_message({"attachments": [wrong]})) == [f"/attachments/0{pointer}"]


def test_metadata_has_a_type_and_a_payload() -> None:
    payload = {"id": 7, "open": True, "where": {"a/b": "x"}, "teams": ["a"]}
    assert not check_message({"metadata": {"event_type": "card", "event_payload": payload}})
    for wrong, pointer in [
        ({"event_type": "card"}, "/metadata"),
        ({"event_type": "", "event_payload": {}}, "/metadata/event_type"),
        ({"event_type": "card", "event_payload": []}, "/metadata/event_payload"),
        ({"event_type": "card", "event_payload": {"a/b": None}}, "/metadata/event_payload/a~1b"),
        ({"event_type": "card", "event_payload": {}, "sender": 1}, "/metadata"),
        ("card", "/metadata"),
    ]:
        assert pointers(check_message({"metadata": wrong})) == [pointer]


# ---- what may stand where

EVERYWHERE = {
    "section",
    "header",
    "divider",
    "context",
    "actions",
    "image",
    "input",
    "rich_text",
    "video",
    "card",
}
SURFACES_OF_BLOCKS: dict[str, set[Place]] = {
    **{kind: {"message", "modal", "home"} for kind in EVERYWHERE},
    **{kind: {"message"} for kind in ("file", "markdown", "context_actions", "plan", "task_card")},
    "data_visualization": {"message"},
    **{kind: {"message", "home"} for kind in ("table", "data_table", "carousel", "container")},
    "alert": {"modal"},
}

BLOCKS: dict[str, Json] = {
    "section": {
        "type": "section",
        "block_id": "about",
        "text": mrkdwn("*Payments* are late"),
        "fields": [mrkdwn("*Team*\nPayments"), {**plain("production"), "emoji": True}],
        "accessory": {
            "type": "datepicker",
            "action_id": "until",
            "initial_date": "2026-11-30",
            "placeholder": plain("Until"),
        },
        "expand": True,
    },
    "header": {"type": "header", "text": plain("Open incidents"), "level": 2},
    "divider": {"type": "divider"},
    "context": {"type": "context", "elements": [picture(), mrkdwn("seen by *Ada*"), plain("5 minutes")]},
    "actions": actions(
        {"type": "static_select", "action_id": "who", "options": options(4), "placeholder": plain("Whom?")},
        {"type": "overflow", "action_id": "more", "options": options(5)},
        button(action_id="ack", value="7", style="primary", confirm=confirm(style="danger")),
        button(url="https://example.com/runbook"),
        block_id="row",
    ),
    "image": picture(title=plain("Latency"), block_id="graph"),
    "input": typed(
        {"type": "plain_text_input", "action_id": "text", "multiline": True},
        hint=plain("What changed?"),
        optional=True,
        dispatch_action=False,
    ),
    "rich_text": {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {
                        "type": "text",
                        "text": "look ",
                        "style": {"bold": True, "italic": True, "strike": True},
                    },
                    {"type": "text", "text": "SELECT 1", "style": {"code": True}},
                    {
                        "type": "link",
                        "url": "https://example.com",
                        "text": "here",
                        "style": {"underline": True},
                    },
                    {"type": "user", "user_id": "U1", "style": {"highlight": True}},
                    {"type": "usergroup", "usergroup_id": "S1"},
                    {"type": "channel", "channel_id": "C1"},
                    {"type": "team", "team_id": "T1"},
                    {"type": "broadcast", "range": "here"},
                    {"type": "emoji", "name": "fire", "unicode": "1f525", "skin_tone": 2},
                    {"type": "color", "value": "#F405B3"},
                    {"type": "date", "timestamp": 1720710212, "format": "{date_num}", "fallback": "then"},
                    {"type": "tag", "text": "late", "color": "red"},
                    {"type": "message_mention", "channel_id": "C1", "message_ts": "1.2"},
                ],
            },
            {
                "type": "rich_text_list",
                "style": "ordered",
                "indent": 1,
                "offset": 4,
                "border": 1,
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}],
            },
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "it is slow"}]},
            {
                "type": "rich_text_preformatted",
                "language": "sql",
                "border": 0,
                "elements": [{"type": "text", "text": "SELECT 1"}, {"type": "link", "url": "https://a.b"}],
            },
        ],
    },
    "video": {
        "type": "video",
        "title": plain("The demonstration"),
        "title_url": "https://example.com/watch",
        "description": plain("How it went"),
        "video_url": "https://example.com/embed",
        "thumbnail_url": "https://example.com/thumb.png",
        "alt_text": "The demonstration",
        "author_name": "Ada",
        "provider_name": "Example",
        "provider_icon_url": "https://example.com/icon.png",
    },
    "file": {"type": "file", "external_id": "report", "source": "remote"},
    "markdown": {"type": "markdown", "text": "**late**"},
    "context_actions": {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "useful",
                "positive_button": {"text": plain("Yes"), "value": "yes", "accessibility_label": "Useful"},
                "negative_button": {"text": plain("No"), "value": "no"},
            },
            {"type": "icon_button", "icon": "trash", "text": plain("Remove"), "action_id": "x", "value": "7"},
        ],
    },
    "table": {
        "type": "table",
        "column_settings": [{"is_wrapped": True}, None, {"align": "right"}],
        "rows": [
            [{"type": "raw_text", "text": "Team"}, {"type": "raw_text", "text": "Open"}],
            [
                rich({"type": "link", "url": "https://a.b", "text": "Payments"}),
                {"type": "raw_number", "value": 7, "text": "7"},
            ],
        ],
    },
    "data_table": {
        "type": "data_table",
        "caption": "Open incidents by team",
        "page_size": 5,
        "row_header_column_index": 1,
        "rows": [
            [{"type": "raw_text", "text": "Team"}, {"type": "raw_text", "text": "Open"}],
            [rich({"type": "text", "text": "Payments"}), {"type": "raw_number", "value": 0.5, "text": "½"}],
        ],
    },
    "data_visualization": {
        "type": "data_visualization",
        "title": "Incidents",
        "chart": {
            "type": "line",
            "series": [{"name": "Open", "data": [{"label": "Mon", "value": 1}, {"label": "Tue", "value": -2}]}],
            "axis_config": {"categories": ["Mon", "Tue"], "x_label": "Day", "y_label": "Count"},
        },
    },
    "task_card": {
        "type": "task_card",
        "task_id": "1",
        "title": "Ask the database",
        "status": "pending",
        "output": rich({"type": "text", "text": "done"}),
        "sources": [{"type": "url", "url": "https://example.com", "text": "example"}],
    },
    "plan": {
        "type": "plan",
        "title": "What was done",
        "tasks": [
            {
                "task_id": "1",
                "title": "Asked",
                "status": "complete",
                "details": {**rich({"type": "text", "text": "a"}), "block_id": "same"},
                "output": {**rich({"type": "text", "text": "b"}), "block_id": "same"},
            },
            {"task_id": "2", "title": "Ask again", "status": "pending"},
        ],
    },
    "alert": {"type": "alert", "text": mrkdwn("The incident is closed."), "level": "warning"},
    "card": {
        "type": "card",
        "icon": picture(),
        "hero_image": picture(),
        "title": mrkdwn("Checkout"),
        "subtitle": plain("production"),
        "body": mrkdwn("High error rate"),
        "subtext": mrkdwn("5 minutes"),
        "actions": [button(action_id="view")],
    },
    "carousel": {
        "type": "carousel",
        "elements": [
            {
                "type": "card",
                "block_id": "1",
                "title": mrkdwn(),
                "slack_icon": {"type": "icon", "name": "bug"},
            },
            {"type": "card", "block_id": "2", "body": mrkdwn()},
        ],
    },
    "container": {
        "type": "container",
        "title": plain("Two incidents"),
        "subtitle": mrkdwn("of today"),
        "is_collapsible": True,
        "default_collapsed": True,
        "width": "wide",
        "icon": picture(),
        "child_blocks": [section(), {"type": "divider"}, actions(button(action_id="all"))],
    },
}


@pytest.mark.parametrize("place", ["message", "modal", "home"])
@pytest.mark.parametrize("kind", sorted(SURFACES_OF_BLOCKS))
def test_a_block_stands_on_its_surfaces_only(kind: str, place: Place) -> None:
    problems = check(place, BLOCKS[kind])
    if place in SURFACES_OF_BLOCKS[kind]:
        assert problems == []
    else:
        assert found(problems) == [("/blocks/0/type", f"unsupported type: {kind}")]


ELEMENTS: dict[str, Json] = {
    "button": button(),
    "image": picture(),
    "overflow": {"type": "overflow", "options": [option(url="https://example.com")]},
    "checkboxes": {
        "type": "checkboxes",
        "options": [{"text": mrkdwn("*a*"), "value": "a", "description": mrkdwn("_b_")}],
        "initial_options": [{"text": mrkdwn("*a*"), "value": "a", "description": mrkdwn("_b_")}],
    },
    "radio_buttons": {"type": "radio_buttons", "options": options(2), "initial_option": options(2)[1]},
    "datepicker": {"type": "datepicker", "initial_date": "2028-02-29", "focus_on_load": True},
    "timepicker": {"type": "timepicker", "initial_time": "23:59", "timezone": "Europe/Berlin"},
    "datetimepicker": {"type": "datetimepicker", "initial_date_time": 1720710212},
    "static_select": {"type": "static_select", "options": options(2), "initial_option": options(2)[1]},
    "external_select": {"type": "external_select", "min_query_length": 0, "initial_option": option()},
    "users_select": {"type": "users_select", "initial_user": "U1", "confirm": confirm()},
    "conversations_select": {
        "type": "conversations_select",
        "initial_conversation": "C1",
        "default_to_current_conversation": True,
        "filter": {"include": ["public", "mpim"], "exclude_bot_users": True},
    },
    "channels_select": {"type": "channels_select", "initial_channel": "C1"},
    "multi_static_select": {
        "type": "multi_static_select",
        "option_groups": [{"label": plain(), "options": options(2)}],
        "initial_options": options(2),
        "max_selected_items": 2,
    },
    "multi_external_select": {"type": "multi_external_select", "initial_options": options(2)},
    "multi_users_select": {"type": "multi_users_select", "initial_users": ["U1"]},
    "multi_conversations_select": {"type": "multi_conversations_select", "initial_conversations": ["C1"]},
    "multi_channels_select": {"type": "multi_channels_select", "initial_channels": ["C1"]},
    "plain_text_input": {
        "type": "plain_text_input",
        "min_length": 1,
        "max_length": 10,
        "initial_value": "",
        "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed", "on_character_entered"]},
    },
    "rich_text_input": {
        "type": "rich_text_input",
        "action_id": "comment",
        "initial_value": rich({"type": "text", "text": "so far"}),
        "min_lines": 2,
        "max_lines": 8,
    },
    "email_text_input": {"type": "email_text_input", "initial_value": "ada@acme.test"},
    "url_text_input": {"type": "url_text_input", "initial_value": "https://example.com"},
    "number_input": {
        "type": "number_input",
        "is_decimal_allowed": True,
        "min_value": "-0.5",
        "initial_value": "1.25",
        "max_value": "10",
    },
    "file_input": {"type": "file_input", "filetypes": ["png"], "max_files": 1},
    "workflow_button": {
        "type": "workflow_button",
        "action_id": "run",
        "text": plain("Run"),
        "workflow": {
            "trigger": {
                "url": "https://slack.com/shortcuts/Ft1/x",
                "customizable_input_parameters": [{"name": "a", "value": "b"}],
            }
        },
    },
    "feedback_buttons": BLOCKS["context_actions"]["elements"][0],
    "icon_button": BLOCKS["context_actions"]["elements"][1],
}

TYPED = {
    "plain_text_input",
    "rich_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
    "file_input",
}
CHOICES = {"checkboxes", "radio_buttons", "datepicker", "timepicker", *MENUS}
HOMES: dict[str, tuple[Callable[[Json], Json], str, set[str]]] = {
    "section": (
        lambda e: section(accessory=e),
        "/accessory",
        {"button", "image", "overflow", "workflow_button", *CHOICES},
    ),
    "actions": (
        lambda e: actions(e),
        "/elements/0",
        {"button", "overflow", "workflow_button", "datetimepicker", *CHOICES},
    ),
    "context": (lambda e: {"type": "context", "elements": [e]}, "/elements/0", {"image"}),
    "context_actions": (
        lambda e: {"type": "context_actions", "elements": [e]},
        "/elements/0",
        {"feedback_buttons", "icon_button"},
    ),
    "input": (lambda e: typed(e), "/element", {"datetimepicker", *TYPED, *CHOICES}),
}
NOT_EVERYWHERE: dict[str, set[Place]] = {
    "datetimepicker": {"message", "modal"},
    "rich_text_input": {"modal", "home"},
    "email_text_input": {"modal"},
    "url_text_input": {"modal"},
    "number_input": {"modal"},
    "file_input": {"modal"},
    "workflow_button": {"message"},
    "feedback_buttons": {"message"},
    "icon_button": {"message"},
}


@pytest.mark.parametrize("in_block", HOMES)
@pytest.mark.parametrize("kind", ELEMENTS)
def test_an_element_stands_in_its_blocks_and_on_its_surfaces_only(kind: str, in_block: str) -> None:
    wrap, pointer, kinds = HOMES[in_block]
    places: list[Place] = ["message"] if in_block == "context_actions" else ["message", "modal", "home"]
    for place in places:
        problems = check(place, wrap(ELEMENTS[kind]))
        if kind in kinds and place in NOT_EVERYWHERE.get(kind, {"message", "modal", "home"}):
            assert problems == []
        else:
            assert found(problems) == [(f"/blocks/0{pointer}/type", f"unsupported type: {kind}")]


@pytest.mark.parametrize("kind", ELEMENTS)
def test_an_element_takes_no_field_that_slack_does_not_know(kind: str) -> None:
    wrap, pointer, _ = next(home for home in HOMES.values() if kind in home[2])
    place: Place = next(iter(NOT_EVERYWHERE.get(kind, {"message"}) & {"message"}), "modal")
    problems = check(place, wrap({**ELEMENTS[kind], "disabled": True}))
    assert found(problems) == [(f"/blocks/0{pointer}", "invalid additional property: disabled")]


@pytest.mark.parametrize(
    ("element", "pointer"),
    [
        ({"type": "static_select"}, ""),
        ({"type": "static_select", "options": options(1), "option_groups": []}, "/option_groups"),
        ({"type": "checkboxes"}, ""),
        ({"type": "button"}, ""),
        ({"type": "overflow"}, ""),
        ({"type": "datepicker", "initial_date": "2026-02-29"}, "/initial_date"),
        ({"type": "datepicker", "initial_date": "20261130"}, "/initial_date"),
        ({"type": "timepicker", "initial_time": "24:00"}, "/initial_time"),
        ({"type": "static_select", "options": [option(url="https://a.b")]}, "/options/0"),
        ({"type": "static_select", "options": [option(text=mrkdwn())]}, "/options/0/text/type"),
        ({"type": "static_select", "options": [{"text": plain()}]}, "/options/0"),
        ({"type": "static_select", "options": options(2), "initial_option": option("no")}, "/initial_option"),
        ({"type": "radio_buttons", "options": options(2), "initial_option": option("no")}, "/initial_option"),
        (
            {"type": "checkboxes", "options": options(2), "initial_options": [options(1)[0], option("no")]},
            "/initial_options/1",
        ),
        (
            {
                "type": "multi_static_select",
                "option_groups": [{"label": plain(), "options": options(1)}],
                "initial_options": options(2),
            },
            "/initial_options/1",
        ),
        (button(confirm={"title": plain()}), "/confirm"),
        (button(confirm=confirm(title=mrkdwn())), "/confirm/title/type"),
        (button(text=mrkdwn()), "/text/type"),
        (button(url="runbook"), "/url"),
        ({"type": "conversations_select", "response_url_enabled": True}, "/response_url_enabled"),
        ({"type": "conversations_select", "filter": {"include": ["secret"]}}, "/filter/include/0"),
        ({"type": "users_select", "placeholder": mrkdwn()}, "/placeholder/type"),
        ({"type": "image", "image_url": "https://a.b/c"}, ""),
    ],
)
def test_faults_of_elements(element: Json, pointer: str) -> None:
    assert f"/blocks/0/accessory{pointer}" in pointers(check("message", section(accessory=element)))


@pytest.mark.parametrize(
    ("element", "pointer"),
    [
        ({"type": "plain_text_input", "min_length": 5, "max_length": 4}, "/min_length"),
        ({"type": "plain_text_input", "min_length": True}, "/min_length"),
        ({"type": "rich_text_input"}, ""),
        ({"type": "rich_text_input", "action_id": "a", "initial_value": "words"}, "/initial_value"),
        ({"type": "rich_text_input", "action_id": "a", "min_lines": 9, "max_lines": 8}, "/min_lines"),
        ({"type": "number_input"}, ""),
        ({"type": "number_input", "is_decimal_allowed": False, "initial_value": "1.5"}, "/initial_value"),
        ({"type": "number_input", "is_decimal_allowed": True, "initial_value": "many"}, "/initial_value"),
        (
            {"type": "number_input", "is_decimal_allowed": True, "min_value": "2", "max_value": "1"},
            "/min_value",
        ),
        ({"type": "number_input", "is_decimal_allowed": True, "initial_value": 5}, "/initial_value"),
        ({"type": "email_text_input", "initial_value": "ada"}, "/initial_value"),
        ({"type": "url_text_input", "initial_value": "example"}, "/initial_value"),
        ({"type": "datetimepicker", "initial_date_time": 999_999_999}, "/initial_date_time"),
        ({"type": "datetimepicker", "initial_date_time": "1720710212"}, "/initial_date_time"),
        (
            {"type": "plain_text_input", "dispatch_action_config": {"trigger_actions_on": ["x"]}},
            "/dispatch_action_config/trigger_actions_on/0",
        ),
    ],
)
def test_faults_of_inputs(element: Json, pointer: str) -> None:
    assert pointers(check("modal", typed(element))) == [f"/blocks/0/element{pointer}"]


@pytest.mark.parametrize(
    ("block", "pointer"),
    [
        (rich({"type": "text", "text": "a", "style": {"blink": True}}), "/elements/0/elements/0/style"),
        (rich({"type": "text", "text": "a", "style": {"bold": 1}}), "/elements/0/elements/0/style/bold"),
        (rich({"type": "mrkdwn", "text": "a"}), "/elements/0/elements/0/type"),
        (rich({"type": "user"}), "/elements/0/elements/0"),
        (rich({"type": "broadcast", "range": "all"}), "/elements/0/elements/0/range"),
        (rich({"type": "date", "timestamp": "1", "format": "{date}"}), "/elements/0/elements/0/timestamp"),
        (rich({"type": "color", "value": "red"}), "/elements/0/elements/0/value"),
        (
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_list", "elements": [{"type": "rich_text_section", "elements": []}]}],
            },
            "/elements/0",
        ),
        (
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_list", "style": "bullet", "elements": [{"type": "rich_text_list"}]}],
            },
            "/elements/0/elements/0/type",
        ),
        (
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "user", "user_id": "U1"}]}],
            },
            "/elements/0/elements/0/type",
        ),
        (
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_quote", "elements": [], "border": 2}],
            },
            "/elements/0/border",
        ),
        ({**BLOCKS["video"], "video_url": "http://example.com"}, "/video_url"),
        ({**BLOCKS["video"], "author_name": "x" * 50}, "/author_name"),
        ({"type": "card", "subtitle": plain()}, ""),
        ({"type": "card", "title": "words"}, "/title"),
        ({**BLOCKS["card"], "slack_icon": {"type": "icon", "name": "bug"}}, ""),
        (
            {"type": "card", "title": plain(), "slack_icon": {"type": "icon", "name": "dragon"}},
            "/slack_icon/name",
        ),
        ({"type": "plan", "title": plain()}, "/title"),
        ({"type": "task_card", "task_id": "1", "title": "a", "status": "done"}, "/status"),
        ({"type": "file", "external_id": "a", "source": "local"}, "/source"),
        ({"type": "container", "child_blocks": [section()]}, ""),
        ({"type": "container", "title": plain(), "child_blocks": [BLOCKS["card"]]}, "/child_blocks/0/type"),
        ({**BLOCKS["container"], "has_header_divider": True}, "/has_header_divider"),
        ({**BLOCKS["container"], "is_collapsible": False}, "/default_collapsed"),
        ({"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}, "/rows/0/0/text"),
        ({**BLOCKS["data_table"], "row_header_column_index": 2}, "/row_header_column_index"),
        (
            {
                "type": "data_table",
                "caption": "c",
                "rows": [[rich({"type": "text", "text": "a"})], [{"type": "raw_text", "text": "b"}]],
            },
            "/rows/0/0/type",
        ),
        (
            {
                "type": "data_table",
                "caption": "c",
                "rows": [[{"type": "raw_text", "text": "a"}], [{"type": "raw_text", "text": "b"}] * 2],
            },
            "/rows/1",
        ),
        (
            {
                "type": "data_visualization",
                "title": "a",
                "chart": {"type": "pie", "segments": [{"label": "a", "value": 0}]},
            },
            "/chart/segments/0/value",
        ),
        (
            {
                "type": "data_visualization",
                "title": "a",
                "chart": {
                    "type": "bar",
                    "series": [{"name": "a", "data": [{"label": "Mon", "value": 1}]}],
                    "axis_config": {"categories": ["Mon", "Tue"]},
                },
            },
            "/chart/series/0/data",
        ),
    ],
)
def test_faults_of_blocks(block: Json, pointer: str) -> None:
    assert pointers(check("message", block)) == [f"/blocks/0{pointer}"]


def test_two_charts_in_a_message() -> None:
    chart = BLOCKS["data_visualization"]
    assert not check("message", chart, chart)
    assert found(check("message", chart, chart, chart)) == [("/blocks/2", "too many data_visualization blocks")]


# ---- views


def test_a_modal_and_a_home_tab_with_everything() -> None:
    more = {
        "private_metadata": "x" * 3000,
        "callback_id": "x" * 255,
        "external_id": "x" * 255,
    }
    words = plain("x" * 24)
    full = modal(*[section()] * 100, title=words, submit=words, close=words, notify_on_close=True, clear_on_close=False)
    assert not check_view({**full, **more})
    assert not check_view(home(*[section()] * 100, **more))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (modal(section(), title=plain("x" * 25)), ("/view/title/text", "must be less than 25 characters")),
        (modal(section(), title=mrkdwn()), ("/view/title/type", "unsupported type: mrkdwn")),
        (modal(section(), close=plain("x" * 25)), ("/view/close/text", "must be less than 25 characters")),
        (modal(section(), submit=plain("x" * 25)), ("/view/submit/text", "must be less than 25 characters")),
        (modal(*[section()] * 101), ("/view/blocks", "no more than 100 items allowed")),
        (modal(), ("/view/blocks", "no less than 1 items required")),
        (
            modal(section(), private_metadata="x" * 3001),
            ("/view/private_metadata", "must be less than 3001 characters"),
        ),
        (modal(section(), callback_id="x" * 256), ("/view/callback_id", "must be less than 256 characters")),
        (modal(section(), external_id="x" * 256), ("/view/external_id", "must be less than 256 characters")),
        (modal(section(), notify_on_close=1), ("/view/notify_on_close", "must provide a boolean")),
        (modal(section(), submit_disabled=True), ("/view", "invalid additional property: submit_disabled")),
        (modal(section(), hash="1.2"), ("/view", "invalid additional property: hash")),
        ({"type": "modal", "blocks": [section()]}, ("/view", "missing required field: title")),
        ({"type": "modal", "title": plain()}, ("/view", "missing required field: blocks")),
        ({"title": plain(), "blocks": [section()]}, ("/view", "missing required field: type")),
        ({"type": "dialog"}, ("/view/type", "unsupported type: dialog")),
        (home(section(), title=plain()), ("/view", "invalid additional property: title")),
        (home(section(), submit=plain()), ("/view", "invalid additional property: submit")),
        (home(section(), close=plain()), ("/view", "invalid additional property: close")),
        (
            modal({"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}),
            ("/view/blocks/1/block_id", '`block_id` "a" already exists'),
        ),
    ],
)
def test_faults_of_views(view: Json, expected: tuple[str, str]) -> None:
    assert found(check_view(view)) == [expected]


def test_an_input_needs_a_submit_button_in_a_modal_only() -> None:
    view = modal(section(), typed(ELEMENTS["plain_text_input"]))
    assert not check_view(view)
    del view["submit"]
    assert [str(problem) for problem in check_view(view)] == [
        "[ERROR] must define `submit` to use an `input` block in modals [json-pointer:/view/blocks/1/input]"
    ]
    assert not check_view(home(typed(ELEMENTS["plain_text_input"])))


def test_only_one_element_has_the_focus() -> None:
    first = typed({"type": "plain_text_input", "focus_on_load": True})
    assert not check("modal", first, typed({"type": "users_select", "focus_on_load": False}))
    assert pointers(check("modal", first, first)) == ["/blocks/1/element/focus_on_load"]


def test_a_response_url_is_for_inputs_of_modals() -> None:
    menu = {"type": "channels_select", "response_url_enabled": True}
    assert not check("modal", typed(menu))
    assert pointers(check("modal", section(accessory=menu))) == ["/blocks/0/accessory/response_url_enabled"]
    assert pointers(check("home", typed(menu))) == ["/blocks/0/element/response_url_enabled"]


def test_a_file_input_dispatches_nothing() -> None:
    assert found(check("modal", typed({"type": "file_input"}, dispatch_action=True))) == [
        ("/blocks/0/element/type", "unsupported type: file_input")
    ]


# ---- answers


def test_the_answer_to_an_option_load() -> None:
    group = {"label": plain(), "options": options(100)}
    assert not check_options({"options": options(100)})
    assert not check_options({"options": []})
    assert not check_options({"option_groups": [group] * 100})
    wrongs: list[tuple[Json, str]] = [
        ({}, ""),
        ({"options": options(1), "option_groups": [group]}, ""),
        ({"options": options(101)}, "/options"),
        ({"option_groups": [group] * 101}, "/option_groups"),
        ({"options": [option(text=plain("x" * 76))]}, "/options/0/text/text"),
        ({"options": [option(value="x" * 151, text=plain())]}, "/options/0/value"),
        ({"options": [option(text=mrkdwn())]}, "/options/0/text/type"),
        ({"options": options(1), "response_type": "x"}, ""),
    ]
    for wrong, pointer in wrongs:
        assert pointers(check_options(wrong)) == [pointer]


def test_the_answer_to_a_submitted_form() -> None:
    shown = {"type": "section", "block_id": "about", "text": mrkdwn()}
    view = modal(shown, typed(ELEMENTS["plain_text_input"], block_id="a/b"))

    def answer(payload: Json) -> list[tuple[str, str]]:
        return found(check_view_submission_response(payload, view))

    assert not answer({})
    assert not answer({"response_action": "clear"})
    assert not answer({"response_action": "update", "view": modal(section())})
    assert not answer({"response_action": "push", "view": modal(section())})
    assert not answer({"response_action": "errors", "errors": {"a/b": "Too long."}})
    unknown = "must be the `block_id` of an `input` block of the view"
    assert answer({"response_action": "errors", "errors": {"about": "No."}}) == [("/errors/about", unknown)]
    assert answer({"response_action": "errors", "errors": {"c/d": "No."}}) == [("/errors/c~1d", unknown)]
    assert answer({"response_action": "errors", "errors": {"a/b": ""}}) == [
        ("/errors/a~1b", "must be more than 0 characters")
    ]
    assert answer({"response_action": "errors", "errors": {}}) == [("/errors", "must define at least one property")]
    assert answer({"response_action": "errors"}) == [("", "missing required field: errors")]
    assert answer({"response_action": "errors", "errors": []}) == [("/errors", "must provide an object")]
    assert answer({"response_action": "update"}) == [("", "missing required field: view")]
    assert answer({"response_action": "update", "view": home(section())}) == [("/view/type", "unsupported type: home")]
    assert answer({"response_action": "update", "view": modal(section(), title=plain("x" * 25))}) == [
        ("/view/title/text", "must be less than 25 characters")
    ]
    assert answer({"response_action": "close"}) == [("/response_action", "must be a valid enum value")]
    assert answer({"errors": {"a/b": "No."}}) == [("", "missing required field: response_action")]
    assert answer({"response_action": "clear", "view": modal(section())}) == [("", "invalid additional property: view")]


# ---- slack_sdk's own models


def test_what_slack_sdk_builds_passes() -> None:
    pick = sdk.Option(value="1", text="One", description="The first")
    confirmation = sdk.ConfirmObject(title="Sure?", text="It closes *#7*.", style="danger")
    built = [
        sdk.HeaderBlock(text="Open incidents"),
        sdk.SectionBlock(
            block_id="a",
            text=sdk.MarkdownTextObject(text="*#7* Checkout", verbatim=True),
            fields=[sdk.PlainTextObject(text="Team", emoji=True), "*Payments*"],
            accessory=sdk.ButtonElement(
                text="View", action_id="view", value="7", style="primary", confirm=confirmation
            ),
        ),
        sdk.DividerBlock(),
        sdk.ContextBlock(
            elements=[
                sdk.ImageElement(image_url="https://example.com/a.png", alt_text="a"),
                sdk.MarkdownTextObject(text="seen by Ada"),
            ]
        ),
        sdk.ImageBlock(alt_text="a", slack_file=SlackFile(id="F1"), title="Graph"),
        sdk.ActionsBlock(
            elements=[
                sdk.LinkButtonElement(text="Runbook", url="https://example.com", action_id="runbook"),
                sdk.OverflowMenuElement(action_id="more", options=[pick]),
                sdk.StaticSelectElement(action_id="pick", placeholder="Which?", options=[pick], initial_option=pick),
                sdk.StaticMultiSelectElement(
                    action_id="picks",
                    placeholder="Which?",
                    option_groups=[sdk.OptionGroup(label="All", options=[pick])],
                    max_selected_items=1,
                ),
                sdk.ExternalDataSelectElement(action_id="load", placeholder="Which?", min_query_length=0),
                sdk.UserSelectElement(action_id="who", placeholder="Who?", initial_user="U1"),
                sdk.ConversationSelectElement(
                    action_id="where",
                    placeholder="Where?",
                    filter=sdk.ConversationFilter(include=["public"], exclude_bot_users=True),
                ),
                sdk.ChannelMultiSelectElement(action_id="channels", placeholder="Where?", initial_channels=["C1"]),
                sdk.DatePickerElement(action_id="day", initial_date="2026-11-30", placeholder="Day"),
                sdk.TimePickerElement(action_id="time", initial_time="09:00", timezone="Europe/Berlin"),
                sdk.DateTimePickerElement(action_id="when", initial_date_time=1720710212),
                sdk.CheckboxesElement(action_id="checks", options=[pick], initial_options=[pick]),
                sdk.RadioButtonsElement(action_id="radio", options=[pick], initial_option=pick),
                WorkflowButtonElement(
                    action_id="run",
                    text="Run",
                    workflow=Workflow(trigger=WorkflowTrigger(url="https://slack.com/shortcuts/Ft1/x")),
                ),
            ]
        ),
        sdk.RichTextBlock(
            elements=[
                sdk.RichTextSectionElement(
                    elements=[
                        sdk.RichTextElementParts.Text(text="a", style={"bold": True, "code": True}),
                        sdk.RichTextElementParts.User(user_id="U1", style={"bold": True}),
                        sdk.RichTextElementParts.UserGroup(usergroup_id="S1"),
                        sdk.RichTextElementParts.Emoji(name="wave", skin_tone=2, unicode="1f44b"),
                        sdk.RichTextElementParts.Link(url="https://example.com", text="b"),
                        sdk.RichTextElementParts.Date(timestamp=1720710212, format="{date}", fallback="c"),
                        sdk.RichTextElementParts.Broadcast(range="here"),
                        sdk.RichTextElementParts.Color(value="#F405B3"),
                    ]
                ),
                sdk.RichTextListElement(
                    style="bullet",
                    indent=0,
                    border=0,
                    elements=[sdk.RichTextSectionElement(elements=[sdk.RichTextElementParts.Text(text="d")])],
                ),
                sdk.RichTextPreformattedElement(elements=[sdk.RichTextElementParts.Text(text="e")], border=1),
                sdk.RichTextQuoteElement(elements=[sdk.RichTextElementParts.Text(text="f")]),
            ]
        ),
        sdk.MarkdownBlock(text="**g**"),
        sdk.ContextActionsBlock(
            elements=[
                sdk.FeedbackButtonsElement(
                    action_id="useful",
                    positive_button=FeedbackButtonObject(text="Yes", value="yes"),
                    negative_button=FeedbackButtonObject(text="No", value="no"),
                ),
                sdk.IconButtonElement(action_id="drop", icon="trash", text="Remove"),
            ]
        ),
        sdk.FileBlock(external_id="report"),
    ]
    message = {
        "text": "words",
        "blocks": [block.to_dict() for block in built],
        "attachments": [BlockAttachment(blocks=[sdk.SectionBlock(text="h")], color="#36a64f").to_dict()],
        "metadata": Metadata(event_type="card", event_payload={"id": 7}).to_dict(),
    }
    assert check_message(message) == []


def test_the_views_that_slack_sdk_builds_pass() -> None:
    inputs = [
        sdk.PlainTextInputElement(action_id="a", multiline=True, min_length=1, max_length=3000),
        sdk.RichTextInputElement(action_id="b", placeholder="Words", focus_on_load=True),
        sdk.EmailInputElement(action_id="c", initial_value="ada@acme.test"),
        sdk.UrlInputElement(action_id="d"),
        sdk.NumberInputElement(action_id="e", min_value=1, max_value=10, is_decimal_allowed=False),
        FileInputElement(action_id="f", filetypes=["png"], max_files=1),
        sdk.UserMultiSelectElement(action_id="g", placeholder="Who?"),
        sdk.ConversationMultiSelectElement(action_id="h", default_to_current_conversation=True),
    ]
    view = View(
        type="modal",
        title="Comment",
        submit="Send",
        close="Cancel",
        callback_id="comment",
        private_metadata="7",
        notify_on_close=True,
        blocks=[sdk.InputBlock(label="Words", hint="Which?", optional=True, element=element) for element in inputs],
    )
    assert check_view(view.to_dict()) == []
    assert check_view(View(type="home", blocks=[sdk.SectionBlock(text="words")]).to_dict()) == []


# ---- whatever comes

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_WORDS = st.sampled_from(
    sorted({*BLOCKS, *ELEMENTS, "plain_text", "mrkdwn", "rich_text_section", "text", "pie", "modal", "home"})
)
_KEYS = (
    st.sampled_from(
        [
            "type",
            "text",
            "elements",
            "accessory",
            "fields",
            "options",
            "option_groups",
            "initial_option",
            "rows",
        ]
    )
    | st.sampled_from(
        ["chart", "series", "axis_config", "style", "block_id", "action_id", "confirm", "element", "label"]
    )
    | st.sampled_from(["initial_options", "child_blocks", "image_url", "min_length", "max_length", "errors", "view"])
    | st.text(max_size=4)
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    _SCALARS | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(anything=_JSON, other=_JSON)
def test_no_json_makes_a_check_raise(anything: Any, other: Any) -> None:
    whole = {"text": other, "blocks": anything, "attachments": [{"blocks": anything}], "metadata": other}
    for problems in (
        check_message(whole),
        check_message({"blocks": [anything]}, ephemeral=True),
        check_view({"type": "modal", "title": other, "blocks": anything}),
        check_view(anything if isinstance(anything, dict) else {"type": anything}),
        check_options({"options": anything, "option_groups": other}),
        check_view_submission_response({"response_action": "errors", "errors": anything}, {"blocks": other}),
        check_view_submission_response({"response_action": "push", "view": anything}, {"blocks": [other]}),
    ):
        assert all(isinstance(problem, Problem) for problem in problems)


def test_deep_json_makes_no_check_raise() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = {"type": "rich_text", "text": "x", "elements": [deep]}
    assert not check_message({"metadata": {"event_type": "card", "event_payload": deep}})
    for place in ("message", "modal", "home"):
        assert check(place, {"type": "table", "rows": [[deep]]}, deep)
        assert check(place, typed({"type": "rich_text_input", "action_id": "a", "initial_value": deep}))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for key, one in inside for below in _paths(one, (*path, key)))]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_good_block_with_one_value_replaced_never_raises(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(BLOCKS)))
    block = copy.deepcopy(BLOCKS[kind])
    path = data.draw(st.sampled_from([path for path in _paths(block) if path]))
    target: Any = block
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = data.draw(_JSON)
    for place in ("message", "modal", "home"):
        assert all(isinstance(problem, Problem) for problem in check(place, block))
