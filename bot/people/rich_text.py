"""Rich text blocks of Slack's fields: sanitized for storage, and converted to mrkdwn.

A sanitized block has only known keys with valid values. A stored block goes back into a form when the comment is
edited, and Slack refuses a form with an unknown key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bot.incidents.markup import EMOJI_NAME, encode_entities, require_storable

LINK = re.compile(r"(https?://|mailto:)[^\s|<>]+", re.IGNORECASE)

# The formats of Slack's ids. The client sends them, and any other value would become markup where the comment is
# rendered.
CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{1,31}")
_CODE_POINTS = re.compile(r"[0-9a-fA-F]{1,8}(?:-[0-9a-fA-F]{1,8}){0,15}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")

Check = Callable[[Any], bool]


def _any_text(value: Any) -> bool:
    return isinstance(value, str)


def _like(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _number(least: int, most: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_BORDER = (_number(0, 1), False)
_URL = _like(re.compile(r"(https?://|mailto:)[^\s<>]+", re.IGNORECASE))
# The keys of each element besides `type` and `style`: what they may hold, and whether they must be there.
# https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
_INLINE: Mapping[str, Mapping[str, tuple[Check, bool]]] = {
    "text": {"text": (_any_text, True)},
    "link": {"url": (_URL, True), "text": (_any_text, False)},
    "channel": {"channel_id": (_like(CHANNEL_ID), True)},
    "emoji": {
        "name": (_like(EMOJI_NAME), True),
        "unicode": (_like(_CODE_POINTS), False),
        "skin_tone": (_number(1, 6), False),
    },
    "color": {"value": (_like(_COLOR), True)},
    "date": {
        "timestamp": (_number(0, 2**53), True),
        "format": (_any_text, True),
        "url": (_URL, False),
        "fallback": (_any_text, False),
    },
}
_STYLES = ("bold", "italic", "strike", "code", "underline")
_CONTAINERS: Mapping[str, Mapping[str, tuple[Check, bool]]] = {
    "rich_text_section": {},
    "rich_text_quote": {"border": _BORDER},
    "rich_text_preformatted": {"border": _BORDER},
    "rich_text_list": {
        "style": (_one_of("bullet", "ordered"), False),
        "indent": (_number(-(2**31), 2**31), False),
        "offset": (_number(0, 10**6), False),
        "border": _BORDER,
    },
}
_PLAIN = ("text", "link")  # the elements of preformatted text
_DEEPEST = 8  # indent of a list


def sanitize(
    block: Mapping[str, Any],
    *,
    person: Callable[[str], int],
    team: Callable[[str], int],
    plain: Callable[[str], list[str | tuple[str, int]]],
) -> dict[str, Any]:
    """A rich text block with ids of the database in place of Slack's, and no broadcast.

    `person` and `team` return the database ids for ids of users and user groups. `plain` splits a text into strings and
    ("person" or "team", id) pairs for the names in it. An unknown element becomes its text, or is dropped. Raises
    InvalidInput for text that cannot be stored, and what the three functions raise.
    """

    def sanitize_section(element: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = inline(element)
        if found is None:
            return []
        if found["type"] != "text" or found.get("style", {}).get("code"):
            return [found]
        return [
            {**found, "text": piece} if isinstance(piece, str) else _mention(*piece, found.get("style"))
            for piece in plain(found["text"])
        ]

    def inline(element: Mapping[str, Any]) -> dict[str, Any] | None:
        kind = element.get("type")
        style = _style(element)
        if kind == "user":
            return {"type": "user", "member_id": person(_text(element.get("user_id"))), **style}
        if kind == "usergroup":
            return {"type": "usergroup", "team_id": team(_text(element.get("usergroup_id"))), **style}
        if kind == "broadcast":
            return {"type": "text", "text": f"@{_text(element.get('range'))}", **style}
        known = _known(element, _INLINE)
        if known is None:
            text = _text(element.get("text") or element.get("url"))
            return {"type": "text", "text": text, **style} if text else None
        return {**known, **style}

    def container(element: Mapping[str, Any]) -> dict[str, Any] | None:
        known = _known(element, _CONTAINERS)
        if known is None:
            return None
        inner: list[dict[str, Any] | None]
        if known["type"] == "rich_text_list":
            sections = [one for one in _elements(element) if one.get("type") == "rich_text_section"]
            inner = [container(section) for section in sections]
        elif known["type"] == "rich_text_preformatted":
            inner = [inline(one) for one in _elements(element)]
        else:
            inner = [one for element_ in _elements(element) for one in sanitize_section(element_)]
        found = [one for one in inner if one is not None]
        if known["type"] == "rich_text_preformatted":
            found = [one for one in found if one["type"] in _PLAIN]
        if known["type"] == "rich_text_list":
            if not found:
                return None
            known.setdefault("style", "bullet")
            known["indent"] = max(0, min(known.get("indent", 0), _DEEPEST))
        return {**known, "elements": found}

    containers = [container(element) for element in _elements(block)]
    return {"type": "rich_text", "elements": [one for one in containers if one is not None]}


def _mention(kind: str, id_: int, style: object) -> dict[str, Any]:
    found: dict[str, Any] = (
        {"type": "user", "member_id": id_} if kind == "person" else {"type": "usergroup", "team_id": id_}
    )
    return {**found, "style": style} if style else found


def _elements(element: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = element.get("elements")
    return [one for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []


def _known(element: Mapping[str, Any], kinds: Mapping[str, Mapping[str, tuple[Check, bool]]]) -> dict[str, Any] | None:
    kind = element.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        return None
    found: dict[str, Any] = {"type": kind}
    for key, (fits, needed) in kinds[kind].items():
        value = element.get(key)
        if fits(value):
            found[key] = require_storable(value) if isinstance(value, str) else value
        elif needed:
            return None
    return found


def _text(value: object) -> str:
    return require_storable(value) if isinstance(value, str) else ""


def _style(element: Mapping[str, Any]) -> dict[str, Any]:
    style = element.get("style")
    if not isinstance(style, Mapping):
        return {}
    found = {name: True for name in _STYLES if style.get(name) is True}
    return {"style": found} if found else {}


# --- as mrkdwn ---------------------------------------------------------------------------------------------

_BULLETS = ("•", "◦", "▪")
_MARKS = (("bold", "*"), ("italic", "_"), ("strike", "~"), ("code", "`"))


def to_mrkdwn(block: Mapping[str, Any]) -> str:
    """Stored rich text as stored mrkdwn, line by line as Slack shows it."""
    return "\n".join(_block_lines(block)).strip("\n")


def _block_lines(block: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for element in block.get("elements", []):
        kind = element.get("type")
        inner = element.get("elements", [])
        if kind == "rich_text_list":
            lines += _list_lines(element)
        elif kind == "rich_text_preformatted":
            lines.append("```" + "".join(_inline(one, styled=False) for one in inner) + "```")
        else:
            text = "".join(_inline(one) for one in inner).removesuffix("\n")
            prefix = "&gt; " if kind == "rich_text_quote" else ""
            lines += [prefix + line for line in text.split("\n")]
    return lines


def _list_lines(element: Mapping[str, Any]) -> list[str]:
    indent = int(element.get("indent") or 0)
    first = int(element.get("offset") or 0) + 1
    lines = []
    for place, item in enumerate(element.get("elements", []), first):
        ordered = element.get("style") == "ordered"
        mark = f"{place}." if ordered else _BULLETS[min(indent, len(_BULLETS) - 1)]
        lines.append("    " * indent + f"{mark} " + "".join(_inline(one) for one in item.get("elements", [])))
    return lines


def _inline(element: Mapping[str, Any], *, styled: bool = True) -> str:
    kind = element.get("type")
    if kind == "text":
        text = encode_entities(str(element.get("text", "")))
        return _styled(text, element.get("style")) if styled else text
    if kind == "link":
        return _styled(_link(element), element.get("style")) if styled else encode_entities(str(element.get("url", "")))
    if kind == "user":
        return f"<person:{element['member_id']}>"
    if kind == "usergroup":
        return f"<team:{element['team_id']}>"
    if kind == "channel":
        return f"<#{element.get('channel_id')}>"
    if kind == "emoji":
        return f":{element.get('name')}:"
    if kind == "color":
        return encode_entities(str(element.get("value", "")))
    if kind == "date":
        return encode_entities(str(element.get("fallback") or ""))
    return ""


def _link(element: Mapping[str, Any]) -> str:
    url = str(element.get("url", "")).replace("|", "%7C").replace("<", "%3C").replace(">", "%3E")
    text = encode_entities(str(element.get("text") or "")).replace("|", "¦")
    if not LINK.fullmatch(url):
        return text or encode_entities(url)
    return f"<{url}|{text}>" if text else f"<{url}>"


def _styled(text: str, style: object) -> str:
    if not isinstance(style, Mapping) or not text.strip() or "\n" in text:
        return text
    # Slack formats only where the mark touches a word.
    body = text.strip()
    before, _, after = text.partition(body)
    for name, mark in _MARKS:
        if style.get(name):
            body = f"{mark}{body}{mark}"
    return before + body + after
