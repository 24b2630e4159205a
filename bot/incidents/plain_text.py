"""Plain text that Slack shows exactly as it is."""

from __future__ import annotations

import re
import unicodedata

# Slack takes it for a space, and takes no formatting character for markup that has a space on its inner side.
ZERO_WIDTH_SPACE = "\u200b"
_MAY_FORMAT = re.compile(r"[*_~`>]")
# Slack formats what stands between two equal characters in one line, if neither is inside a word, or it is a backtick.
_PAIRS = {
    mark: re.compile(rf"(?<![^\W_]){re.escape(mark)}\S(?:[^\n]*\S)?{re.escape(mark)}(?![^\W_])") for mark in "*_~"
} | {"`": re.compile(r"`[^\n]+`")}
# They set the direction of everything that follows, also of what does not belong to the text. Right-to-left letters and
# marks stay: they only set their own.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
# At the start of a line `>` makes a quotation.
_MARKUP = re.compile(r"(?<![^\W_])[*_~]|[*_~](?![^\W_])|`|^>", re.MULTILINE)
# Letters and symbols that are blank: fillers of Hangul, and the Braille pattern without dots.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def disable_formatting(text: str) -> str:
    """Plain text that Slack shows as it is, with a zero-width space on both sides of what would be formatting.

    Characters that would change the direction of whatever stands behind the text are left out.

    Slack has no way to escape formatting characters: https://docs.slack.dev/messaging/formatting-message-text
    """
    text = _DIRECTION.sub("", text)
    if not _MAY_FORMAT.search(text):
        return text
    marks = {mark for mark, pair in _PAIRS.items() if pair.search(text)} | {">"}
    return _MARKUP.sub(lambda found: _set_apart(found[0]) if found[0] in marks else found[0], text)


def has_visible(text: str) -> bool:
    """Whether anything of the text can be seen: it is not all spaces, format characters and blank letters."""
    return any(unicodedata.category(one)[0] not in "CZ" and one not in _BLANK for one in text)


def _set_apart(mark: str) -> str:
    return f"{ZERO_WIDTH_SPACE}{mark}{ZERO_WIDTH_SPACE}"
