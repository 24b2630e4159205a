"""The stored form of what people write: escaped mrkdwn, with ids of the database for whom it mentions."""

from __future__ import annotations

import re

from bot.incidents.errors import BadWords

# Letters of any language, and what stands between them; Slack takes no capital ones.
EMOJI_NAME = re.compile(r"(?:[^\WA-Z]|[+.'’-]){1,100}")
MENTION = re.compile(r"<(person|team):(\d+)>")

# PostgreSQL stores neither, and neither is anything that somebody types.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def escape(text: str) -> str:
    """A plain text as mrkdwn that shows exactly it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The plain text behind escaped mrkdwn."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


# A link has a scheme: `<b>` in a text that came as it was typed is none, and stays.
_ENCODED = re.compile(r"<(?:([@#!])|(?=[A-Za-z][A-Za-z0-9+.-]*:))([^<>|]*)(?:\|([^<>]*))?>")


def readable(text: str) -> str:
    """Text as Slack encodes it, as its author typed it: mentions and channels by name, links as addresses."""
    return unescape(_ENCODED.sub(_as_typed, text))


def _as_typed(found: re.Match[str]) -> str:
    kind, target, label = found.groups()
    if kind == "@":
        return "@" + (label or target)
    if kind == "#":
        return "#" + (label or target)
    if kind == "!":
        return label or ("@" + target if "^" not in target else found[0])
    return target if target.startswith(("http:", "https:")) else (label or target.removeprefix("mailto:"))


def clean(text: str) -> str:
    """The text itself. Raises BadWords where it holds what cannot be stored (NUL, half a surrogate pair)."""
    found = _UNSTORABLE.search(text)
    if found:
        raise BadWords(
            f"Your text has a character that cannot be stored (U+{ord(found[0]):04X}, place {found.start() + 1})."
            " Please take it out and send it again."
        )
    return text


def visible(text: str) -> str:
    """The text with what cannot be stored or shown made visible, to give back to whoever typed it."""
    return _UNSTORABLE.sub("�", text)
