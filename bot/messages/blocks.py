"""Block Kit as plain dictionaries, within Slack's limits for any text.

Text from outside must pass `escape` or be in a plain_text object. Lengths are counted after escaping, as Slack does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from bot.incidents.markup import encode_entities, escape
from bot.incidents.plain_text import ZERO_WIDTH_SPACE

Block = dict[str, Any]
Element = dict[str, Any]


class Message(TypedDict):
    """A message for Slack; `text` is for notifications and screen readers."""

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
MAX_HINT = 2000
MAX_OPTIONS = 100
MAX_OPTION_TEXT = 75
MAX_OPTION_VALUE = 150
MAX_CONTEXT = 3000
MAX_ELEMENTS = 10  # of a context block
MAX_URL = 3000
# Slack allows 40,000 characters in a notification's text, but phones show only a few lines.
MAX_TEXT = 3000


_UNIT = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);|.", re.DOTALL)


def truncate(text: str, limit: int) -> str:
    """Mrkdwn of at most `limit` characters, never cut inside an entity, a link or a mention."""
    if len(text) <= limit:
        return text
    length = 0
    for unit in _UNIT.finditer(text):
        if unit.end() > limit - 1:
            break
        length = unit.end()
    return text[:length] + "…"


def split_text(text: str, limit: int) -> list[str]:
    """Splits mrkdwn into parts of at most `limit` characters, never inside an entity, a link or a mention."""
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
    """A mrkdwn object; `text` is already escaped. It is verbatim: Slack makes no links of URLs (see `link_urls`)."""
    return {"type": "mrkdwn", "text": truncate(text, limit) or " ", "verbatim": True}


def section(text: str, *, accessory: Element | None = None, fields: Sequence[str] = ()) -> Block:
    """A section of mrkdwn, with up to ten fields and one element beside it."""
    block: Block = {"type": "section"}
    if text:
        block["text"] = mrkdwn(text)
        block["expand"] = True  # else Slack hides more than a few lines behind “See more”
    if fields:
        block["fields"] = [mrkdwn(field, MAX_FIELD) for field in fields[:10]]
    if accessory:
        block["accessory"] = accessory
    return block


def context(*texts: str) -> Block:
    """A context block: small, grey text."""
    return {"type": "context", "elements": [mrkdwn(text, MAX_CONTEXT) for text in texts[:MAX_ELEMENTS]]}


def header(text: str) -> Block:
    """A heading."""
    return {"type": "header", "text": plain_text(text, MAX_HEADER)}


def divider() -> Block:
    """A horizontal line."""
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


def overflow(entries: Iterable[Element]) -> Element:
    """A `⋯` menu of up to five entries (see `menu_entry`)."""
    return {"type": "overflow", "action_id": "more", "options": list(entries)}


def menu_entry(label: str, action_id: str, value: str) -> Element:
    """An entry of a `⋯` menu. Choosing it is handled like a press of a button with that `action_id` and `value`."""
    return {"text": plain_text(label, MAX_OPTION_TEXT), "value": f"{action_id} {value}"}


def build_input(
    block_id: str, label: str, element: Mapping[str, Any], *, hint: str | None = None, optional: bool = False
) -> Block:
    """A field of a form: a label above an element, and a hint below it."""
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "optional": optional,
        "label": plain_text(label, MAX_INPUT_LABEL),
        "element": dict(element),
    }
    if hint:
        block["hint"] = plain_text(hint, MAX_HINT)
    return block


def confirm(title: str, text: str, yes: str, no: str = "Cancel") -> dict[str, Any]:
    """A confirmation dialog, which Slack shows before it sends the press of a button. What it confirms is red."""
    return {
        "title": plain_text(title, 100),
        "text": plain_text(text, 300),
        "confirm": plain_text(yes, 30),
        "deny": plain_text(no, 30),
        "style": "danger",
    }


def bold(text: str) -> str:
    """Bold mrkdwn; plain if an asterisk inside would end the bold early."""
    return text if "*" in text else f"*{text}*"


def link(url: str, label: str) -> str:
    """Mrkdwn of a link. `url` is http or https; whoever stored it has checked that."""
    target = encode_entities(url).replace("|", "%7C").replace(" ", "%20")
    return f"<{target}|{escape(label).replace('|', '¦')}>" if len(target) <= MAX_URL else escape(label)


# Existing links and code stay as they are. Punctuation after a URL is not part of it, nor are the zero-width spaces of
# `disable_formatting`.
_BARE_URL = re.compile(
    r"<[^<>\n]*>|```.*?```|`[^`\n]*`"
    r"|(?<!\w)(?P<url>https?://(?:[^\s<>|&]|&amp;)*(?:[^\s\u200b<>|&.,;:!?)'\"*_~]|&amp;))",
    re.DOTALL,
)


def link_urls(text: str) -> str:
    """Mrkdwn with its bare URLs as links."""

    def link_one(found: re.Match[str]) -> str:
        url = (found["url"] or "").replace(ZERO_WIDTH_SPACE, "")
        return f"<{url}>" if url and len(url) <= MAX_URL else found[0]

    return _BARE_URL.sub(link_one, text)


def format_date(moment: datetime, form: str = "{date_short_pretty} at {time}") -> str:
    """Mrkdwn of a time, which Slack shows in each reader's time zone."""
    fallback = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{form}|{fallback}>"


def format_duration(start: datetime, end: datetime) -> str:
    """The time from `start` to `end` in its two largest units: "2 d 3 h", "14 min", "less than a minute"."""
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
