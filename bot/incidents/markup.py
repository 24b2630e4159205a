"""The stored form of texts that people write: escaped mrkdwn, in which mentions are database ids."""

from __future__ import annotations

import re

from bot.incidents.errors import InvalidInput
from bot.incidents.plain_text import disable_formatting

# Letters of any language without capitals, and the punctuation that Slack allows.
EMOJI_NAME = re.compile(r"(?:[^\WA-Z]|[+.'’-]){1,100}")
MENTION = re.compile(r"<(person|team):(\d+)>")

# NUL and halves of surrogate pairs: PostgreSQL can store neither, and nobody types them.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


# Without any of these characters, `escape` has nothing to do. Lists escape some forty texts.
_SPECIAL = re.compile("[*_~`<>&\u202a-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """Plain text as mrkdwn that shows exactly that text."""
    return encode_entities(disable_formatting(text)) if _SPECIAL.search(text) else text


def encode_entities(text: str) -> str:
    """Text with the three characters that Slack's control sequences consist of as entities. Formatting stays."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The plain text of escaped mrkdwn."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


# A link has a scheme. `<b>` in a text that Slack did not encode is not a link and is left alone.
_ENCODED = re.compile(r"<(?:([@#!])|(?=[A-Za-z][A-Za-z0-9+.-]*:))([^<>|]*)(?:\|([^<>]*))?>")


def decode_slack_text(text: str) -> str:
    """Decodes text from Slack into what its author typed: mentions and channels become names, links become URLs."""
    if "<" not in text and "&" not in text:
        return text
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


def require_storable(text: str) -> str:
    """Returns the text. Raises InvalidInput for a character that cannot be stored (NUL, half a surrogate pair)."""
    found = _UNSTORABLE.search(text)
    if found:
        raise InvalidInput(
            f"Character {found.start() + 1} of your text (U+{ord(found[0]):04X}) cannot be stored. Remove it and send"
            " the text again."
        )
    return text


def replace_unstorable(text: str) -> str:
    """The text with U+FFFD for each character that cannot be stored, to show it to its author again."""
    return _UNSTORABLE.sub("�", text)
