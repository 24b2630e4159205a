"""Blocks: what each may hold, and on which surfaces it may stand.

Source: the page of each block below docs.slack.dev/reference/block-kit/blocks; a comment names what comes
from elsewhere.
"""

from collections.abc import Mapping

from sandbox.block_kit.block_parts import BLOCK_ID_LENGTH, block_id_of_its_own, block_with
from sandbox.block_kit.cards import CARD, IMAGE_ELEMENT, carousel_card, task
from sandbox.block_kit.charts import CHART, two_charts
from sandbox.block_kit.composition import PLAIN_OR_MRKDWN, text_object
from sandbox.block_kit.elements import (
    ACCESSORY,
    IMAGE,
    IMAGE_FIELDS,
    IN_ACTIONS,
    IN_CONTEXT_ACTIONS,
    IN_INPUT,
    ONE_IMAGE_SOURCE,
)
from sandbox.block_kit.rich_text import NESTED_RICH_TEXT, rich_text
from sandbox.block_kit.shapes import (
    Check,
    Surface,
    Visit,
    array,
    at_least_one,
    boolean,
    integer,
    nullable,
    one_of,
    tagged,
    text,
    url,
)
from sandbox.block_kit.tables import CELL, COLUMN, header_is_plain, one_table_of_length, rows_are_even

_ANYWHERE: tuple[Surface, ...] = ("message", "modal", "home")
_ANY_TEXT_2000 = text_object(2000, PLAIN_OR_MRKDWN)
_ELEMENT_OF_CONTEXT = tagged(
    {
        "plain_text": text_object(3000, PLAIN_OR_MRKDWN),
        "mrkdwn": text_object(3000, PLAIN_OR_MRKDWN),
        "image": IMAGE,
    }
)


# input-block


def _in_input(value: object, at: str, visit: Visit) -> None:
    visit.in_input = True
    IN_INPUT(value, at, visit)
    visit.in_input = False


def _is_an_input(_: Mapping[str, object], at: str, visit: Visit) -> None:
    visit.inputs.append(at)


def _file_input_dispatches_nothing(block: Mapping[str, object], at: str, visit: Visit) -> None:
    inner = block.get("element")
    if block.get("dispatch_action") is True and isinstance(inner, dict) and inner.get("type") == "file_input":
        visit.report(f"{at}/element/type", "unsupported type: file_input")


# markdown-block: "the cumulative limit for all markdown blocks in a single payload is 12,000 characters"

_MARKDOWN_LENGTH = 12_000
_MARKDOWN_TEXT = text(most=_MARKDOWN_LENGTH)


def _markdown_text(value: object, at: str, visit: Visit) -> None:
    _MARKDOWN_TEXT(value, at, visit)
    if isinstance(value, str):
        visit.markdown_length += len(value)
        if len(value) <= _MARKDOWN_LENGTH < visit.markdown_length:
            visit.report(at, f"together must be less than {_MARKDOWN_LENGTH + 1} characters")


# container-block


def _collapses_consistently(block: Mapping[str, object], at: str, visit: Visit) -> None:
    if block.get("default_collapsed") is True and block.get("is_collapsible") is not True:
        visit.report(f"{at}/default_collapsed", "requires `is_collapsible`")
    if block.get("has_header_divider") is True and block.get("is_collapsible") is True:
        visit.report(f"{at}/has_header_divider", "cannot be set when `is_collapsible` is true")


_IN_CONTAINER = (
    "actions",
    "context",
    "divider",
    "file",
    "header",
    "image",
    "input",
    "rich_text",
    "section",
    "table",
    "video",
)


def _child_block(value: object, at: str, visit: Visit) -> None:
    _CHILD(value, at, visit)


def _file(value: object, at: str, visit: Visit) -> None:
    """Remote files; none in an ephemeral message."""
    if visit.ephemeral:
        visit.report(f"{at}/type", "unsupported type: file")
    else:
        _REMOTE_FILE(value, at, visit)


_REMOTE_FILE = block_with({"external_id": text(), "source": one_of("remote")}, ("external_id", "source"))

# What the page calls "must be less than 200 characters" ends at 199, and so it does in slack_sdk.
_VIDEO_TEXT = text_object(199)

_BLOCKS: dict[str, tuple[tuple[Surface, ...], Check]] = {
    "section": (
        _ANYWHERE,
        block_with(
            {
                "text": text_object(3000, PLAIN_OR_MRKDWN),
                "fields": array(_ANY_TEXT_2000, most=10),
                "accessory": ACCESSORY,
                "expand": boolean,
            },
            rules=(at_least_one("text", "fields"),),
        ),
    ),
    "header": (_ANYWHERE, block_with({"text": text_object(150), "level": integer(1, 4)}, ("text",))),
    "divider": (_ANYWHERE, block_with({})),
    "context": (_ANYWHERE, block_with({"elements": array(_ELEMENT_OF_CONTEXT, most=10)}, ("elements",))),
    "actions": (_ANYWHERE, block_with({"elements": array(IN_ACTIONS, most=25)}, ("elements",))),
    "image": (
        _ANYWHERE,
        block_with({**IMAGE_FIELDS, "title": text_object(2000)}, ("alt_text",), (ONE_IMAGE_SOURCE,)),
    ),
    "input": (
        _ANYWHERE,
        block_with(
            {
                "label": text_object(2000),
                "hint": text_object(2000),
                "element": _in_input,
                "optional": boolean,
                "dispatch_action": boolean,
            },
            ("label", "element"),
            (_is_an_input, _file_input_dispatches_nothing),
        ),
    ),
    "rich_text": (_ANYWHERE, rich_text(block_id_of_its_own)),
    "video": (
        _ANYWHERE,
        block_with(
            {
                "alt_text": text(),
                "title": _VIDEO_TEXT,
                "title_url": url(schemes=("https",)),
                "description": _VIDEO_TEXT,
                "video_url": url(schemes=("https",)),
                "thumbnail_url": url(schemes=("http", "https")),
                "provider_icon_url": url(schemes=("http", "https")),
                "provider_name": text(),
                "author_name": text(most=49),
            },
            ("alt_text", "title", "thumbnail_url", "video_url"),
        ),
    ),
    "file": (("message",), _file),
    "markdown": (("message",), block_with({"text": _markdown_text}, ("text",))),
    "context_actions": (("message",), block_with({"elements": array(IN_CONTEXT_ACTIONS, most=5)}, ("elements",))),
    "table": (
        ("message", "home"),
        block_with(
            {
                "rows": array(array(CELL, most=20), most=100),
                "column_settings": array(nullable(COLUMN), most=20),
            },
            ("rows",),
            (one_table_of_length(10_000),),
        ),
    ),
    "data_table": (
        ("message", "home"),
        block_with(
            {
                "caption": text(),
                "rows": array(array(CELL, most=20), least=2, most=201),
                "page_size": integer(1, 100),
                "row_header_column_index": integer(0),
            },
            ("caption", "rows"),
            (rows_are_even, header_is_plain, one_table_of_length(20_000)),
        ),
    ),
    "data_visualization": (
        ("message",),
        block_with({"title": text(most=50), "chart": CHART}, ("title", "chart"), (two_charts,)),
    ),
    "task_card": (("message",), task(block_id_of_its_own)),
    "plan": (
        ("message",),
        block_with(
            {
                "title": text(),
                "tasks": array(task(BLOCK_ID_LENGTH), least=0),
            },
            ("title",),
        ),
    ),
    "alert": (
        ("modal",),
        block_with(
            {
                "text": text_object(200, PLAIN_OR_MRKDWN),
                "level": one_of("default", "info", "warning", "error", "success"),
            },
            ("text",),
        ),
    ),
    "card": (_ANYWHERE, CARD),
    "carousel": (
        ("message", "home"),
        block_with({"elements": array(tagged({"card": carousel_card}), most=10)}, ("elements",)),
    ),
    "container": (
        ("message", "home"),
        block_with(
            {
                "title": text_object(150),
                "rich_text_title": NESTED_RICH_TEXT,
                "subtitle": text_object(150, PLAIN_OR_MRKDWN),
                "child_blocks": array(_child_block, most=10),
                "width": one_of("narrow", "standard", "wide", "full"),
                "icon": IMAGE_ELEMENT,
                "is_collapsible": boolean,
                "default_collapsed": boolean,
                "has_header_divider": boolean,
            },
            ("child_blocks",),
            (at_least_one("title", "rich_text_title"), _collapses_consistently),
        ),
    ),
}


def _placed(kind: str, surfaces: tuple[Surface, ...], check: Check) -> Check:
    def placed(value: object, at: str, visit: Visit) -> None:
        if visit.surface in surfaces:
            visit.action_ids.clear()
            check(value, at, visit)
        else:
            visit.report(f"{at}/type", f"unsupported type: {kind}")

    return placed


_PLACED = {kind: _placed(kind, surfaces, check) for kind, (surfaces, check) in _BLOCKS.items()}
_CHILD = tagged({kind: _PLACED[kind] for kind in _IN_CONTAINER})

BLOCK = tagged(_PLACED)
"""A block of a message, a form or a Home tab, whichever the visit is about."""
