"""Quotes a message in a comment: its text and its link, without mentions that would notify anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.incidents.markup import encode_entities, replace_unstorable, unescape
from bot.people.rich_text import LINK

_ENCODED = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")


def plain_text(message: Mapping[str, Any]) -> str:
    """The text of a message and the links to its files, with mentions as plain names."""

    def one(found: re.Match[str]) -> str:
        kind, target, label = found.groups()
        if kind in ("@", "#"):
            return kind + (label or "someone" if kind == "@" else label or "channel")
        if kind == "!":
            return "@" + (label or target.partition("^")[0]).lstrip("@")
        return f"{label} ({target})" if label and label != target else target

    files = [str(file.get("permalink") or "") for file in message.get("files") or []]
    text = _ENCODED.sub(one, str(message.get("text") or ""))
    return replace_unstorable(unescape("\n".join([text, *filter(None, files)]))).strip()


def quote(author: str, link: str | None, words: str) -> str:
    """Stored text that quotes `words` with the author's name and a link. `author` and `words` are plain text."""
    wrote = f"<{link}|wrote>" if link and LINK.fullmatch(link) else "wrote"
    lines = "\n".join("&gt; " + encode_entities(line) for line in words.splitlines())
    return f"{encode_entities(author)} {wrote}:\n{lines}" if lines else f"{encode_entities(author)} {wrote}"
