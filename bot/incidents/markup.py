"""The stored form of what people write: escaped mrkdwn, with ids of the database for whom it mentions."""

from __future__ import annotations

import re

from bot.incidents.errors import BadWords

MENTION = re.compile(r"<(person|team):(\d+)>")

# PostgreSQL stores neither, and neither is anything that somebody types.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def escape(text: str) -> str:
    """A plain text as mrkdwn that shows exactly it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The plain text behind escaped mrkdwn."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def storable(text: str) -> str:
    """The text itself. Raises BadWords where it holds what cannot be stored (NUL, half a surrogate pair)."""
    found = _UNSTORABLE.search(text)
    if found:
        raise BadWords(
            f"Your text has a character that cannot be stored (U+{ord(found[0]):04X}, place {found.start() + 1})."
            " Please take it out and send it again."
        )
    return text


def shown(text: str) -> str:
    """The text with what cannot be stored or shown made visible, to give back to whoever typed it."""
    return _UNSTORABLE.sub("�", text)
