"""Reading what people type: tokens with quotes, and the text that follows them untouched."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.incidents.errors import BadWords
from bot.incidents.markup import readable

# Opening quote -> what closes it. Phones and word processors curl quotes by themselves, and people mix them.
_QUOTES = {'"': '"”“„', "“": '”"“', "”": '”"', "„": '“”"', "«": "»", "'": "'’", "‘": "’'"}
_FORGIVING = "'‘"  # may also be an apostrophe: without its closing partner it is a plain character
_OPTION = re.compile(r"([A-Za-z_]+):")


@dataclass(frozen=True, slots=True)
class Token:
    """A word as typed: `key:value` has a key, what stood in quotes says so."""

    text: str  # without the quotes; of an option the value
    key: str | None = None  # lower case
    quoted: bool = False
    start: int = 0  # where it begins in the line
    end: int = 0  # and the place behind it


def tokenize(line: str) -> list[Token]:
    """The words of a line. Blanks of any kind part them (no-break ones too), except within quotes.

    Raises BadWords for a double quote that is never closed.
    """
    found: list[Token] = []
    hopeless: set[str] = set()  # quotes that nothing closes from here on
    place = 0
    while place < len(line):
        if line[place].isspace():
            place += 1
            continue
        token = _token_at(line, place, hopeless)
        found.append(token)
        place = token.end
    return found


def _token_at(line: str, start: int, hopeless: set[str]) -> Token:
    key = None
    place = start
    option = _OPTION.match(line, start)
    # A link (https://…) is a word, not an option.
    if option and not line.startswith("//", option.end()):
        key, place = option[1].lower(), option.end()
    if place < len(line) and line[place] in _QUOTES:
        closing = None if line[place] in hopeless else _closing(line, place)
        if closing is not None:
            return Token(line[place + 1 : closing], key, True, start, closing + 1)
        hopeless.add(line[place])
        if line[place] not in _FORGIVING:
            raise BadWords(f"A quote is opened and never closed: {line[place:][:80]}")
    end = place
    while end < len(line) and not line[end].isspace():
        end += 1
    return Token(line[place:end], key, False, start, end)


def _closing(line: str, start: int) -> int | None:
    """Where the quote that opens at `start` closes: the first fitting one at the end of a word."""
    for place in range(start + 1, len(line)):
        at_end = place + 1 == len(line) or line[place + 1].isspace() or line[place + 1] == ","
        if line[place] in _QUOTES[line[start]] and at_end:
            return place
    return None


def split_first_word(line: str) -> tuple[str, str]:
    """The first word of a line in lower case, and what follows it with the blanks between them gone."""
    parts = line.split(maxsplit=1)
    if not parts:
        return "", ""
    return parts[0].lower(), parts[1].strip() if len(parts) > 1 else ""


def unquote(text: str) -> str:
    """A text without the pair of quotes that stands around the whole of it, if one does."""
    text = text.strip()
    if len(text) > 1 and text[0] in _QUOTES and _closing(text, 0) == len(text) - 1:
        return text[1:-1].strip()
    return text


def parse_number(word: str, form: str) -> int:
    """The identifier in `12` or `#12`. Raises BadWords, with the form that would be right."""
    # In a workspace with a channel named 12, Slack makes a mention of it out of #12.
    digits = readable(word).strip().removeprefix("#")
    if not digits:
        raise BadWords("Which incident? Its number is missing.", form)
    if not digits.isascii() or not digits.isdigit():
        raise BadWords(f"“{shorten(readable(word))}” is not the number of an incident.", form)
    return int(digits[:20])


def parse_lone_number(words: str, form: str) -> int:
    """The same, where nothing may stand behind it: whoever types `ack 1 2` believes that both were."""
    word, rest = split_first_word(words)
    identifier = parse_number(word, form)
    if rest:
        raise BadWords(
            f"“{shorten(readable(rest))}” is too much: one incident at a time, and nothing behind its number."
            " Nothing was changed.",
            form,
        )
    return identifier


def shorten(text: str, length: int = 60) -> str:
    """A text cut to a length for quoting in a sentence."""
    return text if len(text) <= length else text[: length - 1] + "…"


def find_closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that somebody probably meant."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None
