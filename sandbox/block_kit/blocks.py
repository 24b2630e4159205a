"""Blocks: what each may hold, and on which surfaces it may stand.

Source: the page of each block below docs.slack.dev/reference/block-kit/blocks; a comment names what comes
from elsewhere.
"""

from collections.abc import Iterator, Mapping

from sandbox.block_kit.composition import PLAIN_OR_MRKDWN, SLACK_ICON, text_object
from sandbox.block_kit.elements import (
    ACCESSORY,
    BUTTON,
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
    Rule,
    Surface,
    Visit,
    accepted,
    array,
    at_least_one,
    boolean,
    integer,
    nullable,
    number,
    obj,
    one_of,
    tagged,
    text,
    url,
)

_BLOCK_ID_LENGTH = text(most=255)
_ANYWHERE: tuple[Surface, ...] = ("message", "modal", "home")


def _block_id(value: object, at: str, visit: Visit) -> None:
    """At most 255 characters, and unique in the message or view."""
    _BLOCK_ID_LENGTH(value, at, visit)
    if isinstance(value, str):
        if value in visit.block_ids:
            visit.report(at, f'`block_id` "{value}" already exists')
        visit.block_ids.add(value)


def _block(fields: Mapping[str, Check], required: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Check:
    return obj({"type": accepted, "block_id": _block_id, **fields}, required, rules)


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


# table-block and data-table-block


def _characters(cells: object) -> Iterator[int]:
    """The lengths of the texts in a list of cells, at any depth of their rich text."""
    waiting = [cells]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(words := one.get("text"), str):
                yield len(words)
            waiting.append(one.get("elements"))
        elif isinstance(one, list):
            waiting.extend(one)


def _cells(block: Mapping[str, object]) -> list[list[object]]:
    rows = block.get("rows")
    return [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []


def _one_table_of_length(most: int) -> Rule:
    """One table in a message (`only_one_table_allowed`), and a limit for the characters of all cells."""

    def rule(block: Mapping[str, object], at: str, visit: Visit) -> None:
        visit.tables += 1
        if visit.surface == "message" and visit.tables > 1:
            visit.report(at, "only_one_table_allowed")
        visit.table_length += sum(_characters(_cells(block)))
        if visit.table_length > most:
            visit.report(f"{at}/rows", f"together must be less than {most + 1} characters")

    return rule


def _rows_are_even(block: Mapping[str, object], at: str, visit: Visit) -> None:
    rows = _cells(block)
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            visit.report(f"{at}/rows/{index}", "all rows must have the same number of cells")
    column = block.get("row_header_column_index")
    if rows and isinstance(column, int) and column >= len(rows[0]):
        visit.report(f"{at}/row_header_column_index", f"must be less than {len(rows[0])}")


def _header_is_plain(block: Mapping[str, object], at: str, visit: Visit) -> None:
    for index, cell in enumerate(next(iter(_cells(block)), [])):
        if isinstance(cell, dict) and cell.get("type") == "rich_text":
            visit.report(f"{at}/rows/0/{index}/type", "unsupported type: rich_text")


_CELL = tagged(
    {
        "raw_text": obj({"type": accepted, "text": text()}, ("text",)),
        "raw_number": obj({"type": accepted, "value": number, "text": text()}, ("value", "text")),
        "rich_text": NESTED_RICH_TEXT,
    }
)
_COLUMN = obj({"align": one_of("left", "center", "right"), "is_wrapped": boolean})


# data-visualization-block

_LABEL = text(most=20)


def _above_zero(value: object, at: str, visit: Visit) -> None:
    number(value, at, visit)
    if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
        visit.report(at, "must be greater than 0")


def _two_charts(_: Mapping[str, object], at: str, visit: Visit) -> None:
    visit.charts += 1
    if visit.charts > 2:
        visit.report(at, "too many data_visualization blocks")


def _series_fit_the_axis(chart: Mapping[str, object], at: str, visit: Visit) -> None:
    """Each series has one point for every category, and a name of its own."""
    axis, series = chart.get("axis_config"), chart.get("series")
    categories = axis.get("categories") if isinstance(axis, dict) else None
    if not isinstance(categories, list) or not isinstance(series, list):
        return
    names: list[object] = []
    for index, one in enumerate(series):
        if not isinstance(one, dict):
            continue
        if one.get("name") in names:
            visit.report(f"{at}/series/{index}/name", "must be unique in the chart")
        names.append(one.get("name"))
        data = one.get("data")
        points = data if isinstance(data, list) else []
        labels = [point.get("label") for point in points if isinstance(point, dict)]
        if len(labels) != len(categories) or any(category not in labels for category in categories):
            visit.report(f"{at}/series/{index}/data", "must have one data point for each of the categories")


_PLOT = obj(
    {
        "type": accepted,
        "series": array(
            obj(
                {
                    "name": _LABEL,
                    "data": array(obj({"label": _LABEL, "value": number}, ("label", "value")), most=20),
                },
                ("name", "data"),
            ),
            most=12,
        ),
        "axis_config": obj(
            {"categories": array(_LABEL, most=20), "x_label": text(most=50), "y_label": text(most=50)},
            ("categories",),
        ),
    },
    ("series", "axis_config"),
    (_series_fit_the_axis,),
)
_CHART = tagged(
    {
        "pie": obj(
            {
                "type": accepted,
                "segments": array(obj({"label": _LABEL, "value": _above_zero}, ("label", "value")), most=12),
            },
            ("segments",),
        ),
        "bar": _PLOT,
        "area": _PLOT,
        "line": _PLOT,
    }
)


# task-card-block and plan-block: titles are strings, not text objects.


def _task(block_id: Check) -> Check:
    return obj(
        {
            "type": one_of("task_card"),
            "block_id": block_id,
            "task_id": text(),
            "title": text(),
            "details": NESTED_RICH_TEXT,
            "output": NESTED_RICH_TEXT,
            "sources": array(
                # url-source-element
                tagged({"url": obj({"type": accepted, "url": url(), "text": text()}, ("url", "text"))})
            ),
            "status": one_of("pending", "in_progress", "complete", "error"),
        },
        # slack_sdk does not let the status out.
        ("task_id", "title", "status"),
    )


# card-block and carousel-block

_CARD_TITLE = text_object(150, PLAIN_OR_MRKDWN)
_CARD_TEXT = text_object(200, PLAIN_OR_MRKDWN)


def _one_icon(block: Mapping[str, object], at: str, visit: Visit) -> None:
    if "icon" in block and "slack_icon" in block:
        visit.report(at, "must define only one of `icon` or `slack_icon`")


_IMAGE_ELEMENT = tagged({"image": IMAGE})
_CARD = _block(
    {
        "hero_image": _IMAGE_ELEMENT,
        "icon": _IMAGE_ELEMENT,
        "slack_icon": SLACK_ICON,
        "title": _CARD_TITLE,
        "subtitle": _CARD_TITLE,
        "body": _CARD_TEXT,
        "subtext": _CARD_TEXT,
        "actions": array(tagged({"button": BUTTON}), most=3),
    },
    rules=(at_least_one("hero_image", "title", "actions", "body"), _one_icon),
)


def _carousel_card(value: object, at: str, visit: Visit) -> None:
    """A card in a carousel is a block of its own: its buttons may be called like those of the next card."""
    visit.action_ids.clear()
    _CARD(value, at, visit)


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


_REMOTE_FILE = _block({"external_id": text(), "source": one_of("remote")}, ("external_id", "source"))

# What the page calls "must be less than 200 characters" ends at 199, and so it does in slack_sdk.
_VIDEO_TEXT = text_object(199)

_BLOCKS: dict[str, tuple[tuple[Surface, ...], Check]] = {
    "section": (
        _ANYWHERE,
        _block(
            {
                "text": text_object(3000, PLAIN_OR_MRKDWN),
                "fields": array(_ANY_TEXT_2000, most=10),
                "accessory": ACCESSORY,
                "expand": boolean,
            },
            rules=(at_least_one("text", "fields"),),
        ),
    ),
    "header": (_ANYWHERE, _block({"text": text_object(150), "level": integer(1, 4)}, ("text",))),
    "divider": (_ANYWHERE, _block({})),
    "context": (_ANYWHERE, _block({"elements": array(_ELEMENT_OF_CONTEXT, most=10)}, ("elements",))),
    "actions": (_ANYWHERE, _block({"elements": array(IN_ACTIONS, most=25)}, ("elements",))),
    "image": (
        _ANYWHERE,
        _block({**IMAGE_FIELDS, "title": text_object(2000)}, ("alt_text",), (ONE_IMAGE_SOURCE,)),
    ),
    "input": (
        _ANYWHERE,
        _block(
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
    "rich_text": (_ANYWHERE, rich_text(_block_id)),
    "video": (
        _ANYWHERE,
        _block(
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
    "markdown": (("message",), _block({"text": _markdown_text}, ("text",))),
    "context_actions": (("message",), _block({"elements": array(IN_CONTEXT_ACTIONS, most=5)}, ("elements",))),
    "table": (
        ("message", "home"),
        _block(
            {
                "rows": array(array(_CELL, most=20), most=100),
                "column_settings": array(nullable(_COLUMN), most=20),
            },
            ("rows",),
            (_one_table_of_length(10_000),),
        ),
    ),
    "data_table": (
        ("message", "home"),
        _block(
            {
                "caption": text(),
                "rows": array(array(_CELL, most=20), least=2, most=201),
                "page_size": integer(1, 100),
                "row_header_column_index": integer(0),
            },
            ("caption", "rows"),
            (_rows_are_even, _header_is_plain, _one_table_of_length(20_000)),
        ),
    ),
    "data_visualization": (
        ("message",),
        _block({"title": text(most=50), "chart": _CHART}, ("title", "chart"), (_two_charts,)),
    ),
    "task_card": (("message",), _task(_block_id)),
    "plan": (
        ("message",),
        _block(
            {
                "title": text(),
                "tasks": array(_task(_BLOCK_ID_LENGTH), least=0),
            },
            ("title",),
        ),
    ),
    "alert": (
        ("modal",),
        _block(
            {
                "text": text_object(200, PLAIN_OR_MRKDWN),
                "level": one_of("default", "info", "warning", "error", "success"),
            },
            ("text",),
        ),
    ),
    "card": (_ANYWHERE, _CARD),
    "carousel": (
        ("message", "home"),
        _block({"elements": array(tagged({"card": _carousel_card}), most=10)}, ("elements",)),
    ),
    "container": (
        ("message", "home"),
        _block(
            {
                "title": text_object(150),
                "rich_text_title": NESTED_RICH_TEXT,
                "subtitle": text_object(150, PLAIN_OR_MRKDWN),
                "child_blocks": array(_child_block, most=10),
                "width": one_of("narrow", "standard", "wide", "full"),
                "icon": _IMAGE_ELEMENT,
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
