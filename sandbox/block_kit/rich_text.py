"""Rich text: sections, lists, quotes and preformatted text, and what stands in them.

Source: docs.slack.dev/reference/block-kit/blocks/rich-text-block and the pages of its elements below
docs.slack.dev/reference/block-kit/block-elements; `skin_tone` and `url` of an emoji from slack_sdk and
@slack/types.
"""

import re
from collections.abc import Mapping

from sandbox.block_kit.shapes import (
    Check,
    accepted,
    array,
    boolean,
    either,
    integer,
    matching,
    obj,
    one_of,
    tagged,
    text,
    url,
)

# The pages of the elements leave out `code`, older ones of rich_text the three that only mentions have;
# messages that people write carry all of them.
_STYLE = obj(
    dict.fromkeys(("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"), boolean)
)
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_STRING = text()


def _part(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    return obj({"type": accepted, "style": _STYLE, **required, **(optional or {})}, tuple(required))


def _strings(*names: str) -> dict[str, Check]:
    return dict.fromkeys(names, _STRING)


def _switches(*names: str) -> dict[str, Check]:
    return dict.fromkeys(names, boolean)


_TEXT = _part(_strings("text"))
_LINK = _part({"url": url()}, {"text": _STRING, **_switches("unsafe", "from_llm", "is_slack_url", "truncated")})

_PARTS: dict[str, Check] = {
    "text": _TEXT,
    "link": _LINK,
    "user": _part(_strings("user_id"), _switches("from_llm")),
    "usergroup": _part(_strings("usergroup_id")),
    "channel": _part(_strings("channel_id"), {**_strings("tab_id"), **_switches("from_llm")}),
    "team": _part(_strings("team_id")),
    "broadcast": _part({"range": one_of("here", "channel", "everyone")}),
    "emoji": _part(_strings("name"), {"unicode": _STRING, "skin_tone": integer(1, 6), "url": url()}),
    "color": _part({"value": matching(lambda it: bool(_COLOR.fullmatch(it)), "must be a hex color")}),
    "date": _part({"timestamp": integer(0), "format": _STRING}, {"url": url(), **_strings("timezone", "fallback")}),
    "tag": _part(
        _strings("text"),
        {"color": one_of("gray", "brown", "purple", "indigo", "blue", "green", "yellow", "orange", "red")},
    ),
    "file": _part(_strings("file_id"), {**_strings("text", "url"), **_switches("is_skill_invocation")}),
    "canvas": _part(
        _strings("file_id"),
        {**_strings("label", "section_id", "text", "url"), **_switches("hide_title", "is_skill_invocation")},
    ),
    "canvas_message_unfurl": _part(_strings("root_message_ts", "root_message_channel")),
    "canvas_user_mention": _part(_strings("user_id"), _strings("thread_id")),
    "list_record": _part(_strings("file_id"), _strings("record_id", "view_id", "text", "url")),
    "message_mention": _part(_strings("channel_id", "message_ts"), _strings("author_id", "thread_ts", "text", "url")),
    "workflow_mention": _part(
        _strings("workflow_id", "function_trigger_id", "text"), _strings("url", "channel_id", "ts")
    ),
    "work_object_mention": _part(
        _strings("entity_id", "app_id", "text", "url"),
        {**_strings("icon_url", "product_name"), **_switches("full_size_preview_enabled")},
    ),
    "attachment_mention": _part(
        _strings("url"),
        {
            **_strings("text", "app_id", "entity_id", "icon_url", "channel_id", "ts", "icon_name"),
            **_strings("reference_object_type", "product_name"),
            **_switches("full_size_preview_enabled"),
        },
    ),
}

_INLINE = array(tagged(_PARTS), least=0)
_BORDER = either((0, 1))

_SECTION = obj({"type": accepted, "elements": _INLINE}, ("elements",))

_CONTAINERS: dict[str, Check] = {
    "rich_text_section": _SECTION,
    "rich_text_list": obj(
        {
            "type": accepted,
            "style": one_of("bullet", "ordered"),
            # A list in a list is a further list with a greater indent, not an item.
            "elements": array(tagged({"rich_text_section": _SECTION})),
            "indent": integer(0, 8),
            "offset": integer(0),
            "border": _BORDER,
        },
        ("style", "elements"),
    ),
    "rich_text_quote": obj({"type": accepted, "elements": _INLINE, "border": _BORDER}, ("elements",)),
    # rich-text-preformatted-element: only text and links stand in it.
    "rich_text_preformatted": obj(
        {
            "type": accepted,
            "elements": array(tagged({"text": _TEXT, "link": _LINK}), least=0),
            "border": _BORDER,
            "language": _STRING,
        },
        ("elements",),
    ),
}


def rich_text(block_id: Check) -> Check:
    """A rich_text block whose `block_id` passes this check."""
    elements = array(tagged(_CONTAINERS))
    return obj({"type": accepted, "block_id": block_id, "elements": elements}, ("elements",))


NESTED_RICH_TEXT = tagged({"rich_text": rich_text(text(most=255))})
"""Rich text as the value of a field (an input's initial value, a cell). Its `block_id` names no block of the
payload: Slack's own plan-block example uses one twice."""
