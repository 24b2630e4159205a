"""Links to cards that people paste where a command wants the number of an incident."""

from __future__ import annotations

import re

from bot.handlers.context import Context
from bot.incidents import lookup
from bot.incidents.errors import Refusal
from bot.incidents.markup import decode_slack_text
from bot.incidents.words import split_word

# As "Copy link" of a message gives it: with `thread_ts`, it is a reply in the thread of that message.
_LINK = re.compile(
    r"https?://[\w.-]{1,200}(?::[0-9]{1,5})?/archives/([CG][A-Z0-9]{1,30})/p([0-9]{10})([0-9]{6})"
    r"(?:\?(?:thread_ts=([0-9]{10}\.[0-9]{6}))?[^\s#]{0,200})?"
)


class NoCard(Refusal):
    """The message of a link is no card, or that of an incident that the caller may not see."""

    def __init__(self) -> None:
        super().__init__("This link does not lead to the card of an incident that you can see.")


def is_link(word: str) -> bool:
    """Whether a word, as Slack sends it, is the link to a message in a channel."""
    return _find_link(word) is not None


def replace_link(context: Context, words: str) -> str:
    """The words with the number of the incident in place of a link to its card at their beginning. Raises NoCard."""
    word, rest = split_word(words)
    found = _find_link(word)
    if found is None:
        return words
    identifier = lookup.find_identifier_by_card(context.connection, context.access, *found)
    if identifier is None:
        raise NoCard
    return f"{identifier} {rest}".strip()


def _find_link(word: str) -> tuple[str, str] | None:
    """The channel and ts of a message, or of the thread that it is a reply in."""
    if len(word) > 1000:
        return None
    found = _LINK.fullmatch(decode_slack_text(word).strip("<>.,;:!"))
    return (found[1], found[4] or f"{found[2]}.{found[3]}") if found else None
