"""Block Kit, built as plain dictionaries within Slack's limits whatever the text.

Everything that comes from outside passes `escape` or stands in a plain_text object; lengths are counted after
escaping, as Slack counts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from bot.incidents.markup import escape

Block = dict[str, Any]
Element = dict[str, Any]


class Message(TypedDict):
    """What is posted: `text` is what notifications and screen readers say."""

    text: str
    blocks: list[Block]


# https://docs.slack.dev/reference/block-kit
MAX_BLOCKS = 50
MAX_SECTION = 3000
MAX_FIELD = 2000
MAX_HEADER = 150
MAX_LABEL = 75
MAX_VALUE = 2000
MAX_METADATA = 3000
MAX_FORM_TITLE = 24
MAX_INPUT_LABEL = 2000
MAX_OPTIONS = 100
MAX_OPTION_TEXT = 75
MAX_CONTEXT = 3000
MAX_ELEMENTS = 10  # of a context block
MAX_URL = 3000
# A notification's text may have 40,000 characters; nobody's telephone shows more than a few lines.
MAX_TEXT = 3000


_UNIT = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);|.", re.DOTALL)


def truncate(text: str, limit: int) -> str:
    """Mrkdwn within a number of characters, never cut inside an entity, a link or a mention."""
    if len(text) <= limit:
        return text
    length = 0
    for unit in _UNIT.finditer(text):
        if unit.end() > limit - 1:
            break
        length = unit.end()
    return text[:length] + "…"


def split_text(text: str, limit: int) -> list[str]:
    """Mrkdwn in parts of at most `limit` characters, none cut inside an entity, a link or a mention."""
    parts: list[str] = []
    start = end = 0
    for unit in _UNIT.finditer(text):
        if unit.end() - start > limit:
            parts.append(text[start:end])
            start = end
        end = unit.end()
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def plain_text(text: str, limit: int) -> dict[str, Any]:
    """A plain_text object."""
    shortened = text if len(text) <= limit else text[: limit - 1] + "…"
    return {"type": "plain_text", "text": shortened or " ", "emoji": True}


def mrkdwn(text: str, limit: int = MAX_SECTION) -> dict[str, Any]:
    """A mrkdwn object; `text` is already escaped. What is to be a link in it is written as one (see `link_urls`)."""
    return {"type": "mrkdwn", "text": truncate(text, limit) or " ", "verbatim": True}


def section(text: str, *, accessory: Element | None = None, fields: Sequence[str] = ()) -> Block:
    """A section of mrkdwn, with up to ten fields and one element beside it."""
    block: Block = {"type": "section"}
    if text:
        block["text"] = mrkdwn(text)
    if fields:
        block["fields"] = [mrkdwn(field, MAX_FIELD) for field in fields[:10]]
    if accessory:
        block["accessory"] = accessory
    return block


def context(*texts: str) -> Block:
    """Small print."""
    return {"type": "context", "elements": [mrkdwn(text, MAX_CONTEXT) for text in texts[:MAX_ELEMENTS]]}


def header(text: str) -> Block:
    """A heading."""
    return {"type": "header", "text": plain_text(text, MAX_HEADER)}


def divider() -> Block:
    """A line across."""
    return {"type": "divider"}


def actions(elements: Iterable[Element], block_id: str | None = None) -> Block:
    """A row of buttons."""
    block: Block = {"type": "actions", "elements": list(elements)}
    if block_id:
        block["block_id"] = block_id
    return block


def button(
    label: str, action_id: str, value: str, *, style: str | None = None, confirm: dict[str, Any] | None = None
) -> Element:
    """A button; `style` is "primary" or "danger"."""
    element: Element = {
        "type": "button",
        "text": plain_text(label, MAX_LABEL),
        "action_id": action_id,
        "value": value[:MAX_VALUE],
    }
    if style:
        element["style"] = style
    if confirm:
        element["confirm"] = confirm
    return element


def confirm(title: str, text: str, yes: str, no: str = "Cancel") -> dict[str, Any]:
    """The question that Slack asks before a button counts."""
    return {
        "title": plain_text(title, 100),
        "text": plain_text(text, 300),
        "confirm": plain_text(yes, 30),
        "deny": plain_text(no, 30),
    }


def link(url: str, label: str) -> str:
    """Mrkdwn of a link. `url` is http(s), checked where it came in."""
    target = escape(url).replace("|", "%7C").replace(" ", "%20")
    return f"<{target}|{escape(label).replace('|', '¦')}>" if len(target) <= MAX_URL else escape(label)


# Mrkdwn's own links and code stay as they are; behind the address, what ends a sentence is no part of it.
_BARE_URL = re.compile(
    r"<[^<>\n]*>|```.*?```|`[^`\n]*`"
    r"|(?<!\w)(?P<url>https?://(?:[^\s<>|&]|&amp;)*(?:[^\s<>|&.,;:!?)'\"*_~]|&amp;))",
    re.DOTALL,
)


def link_urls(text: str) -> str:
    """Mrkdwn of what people and alerts said, the addresses in it as links."""
    return _BARE_URL.sub(lambda found: f"<{found[0]}>" if found["url"] and len(found[0]) <= MAX_URL else found[0], text)


def format_date(moment: datetime, form: str = "{date_short_pretty} at {time}") -> str:
    """Mrkdwn of a moment, shown by Slack in each reader's own zone."""
    fallback = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{form}|{fallback}>"


def format_duration(start: datetime, end: datetime) -> str:
    """How long something took, in its two largest units: "2 d 3 h", "14 min", "less than a minute"."""
    minutes = int((end - start).total_seconds()) // 60
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    days, hours = divmod(hours, 24)
    if not days:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{days:,} d {hours} h" if hours else f"{days:,} d"


def message(text: str, blocks: list[Block]) -> Message:
    """A message; `text` is escaped mrkdwn."""
    return {"text": truncate(text, MAX_TEXT), "blocks": blocks[:MAX_BLOCKS]}


def text_message(text: str) -> Message:
    """A message of one sentence, in escaped mrkdwn."""
    return message(text, [section(text)])
