"""Parses what people type: splits a line into words and quoted texts, and reads incident numbers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from bot.incidents.errors import InvalidInput
from bot.incidents.markup import decode_slack_text
from bot.incidents.plain_text import disable_formatting

# Opening quote -> the quotes that close it. Phones and word processors insert curly quotes, and people mix them.
_QUOTES = {'"': '"”“„', "“": '”"“', "”": '”"', "„": '“”"', "«": "»", "'": "'’", "‘": "’'"}
_FORGIVING = "'‘"  # may also be an apostrophe: without a closing quote it is a plain character
_BETWEEN_NUMBERS = str.maketrans(",;&+/", "     ")
_POLITE = frozenset({"please", "pls", "plz", "thanks", "thank you", "thx"})  # not shown: may stand behind a command
NUMBER = re.compile(r"#?([0-9]{1,9})")
MAX_WORDS_SEARCHED = 12  # words of a line among which a misplaced command or number is searched
MAX_REPEATED = 200  # characters behind a command that are repeated in a corrected line
_OPTION = re.compile(r"([A-Za-z_]+):")


@dataclass(frozen=True, slots=True)
class Token:
    """A word as typed; `key:value` has a key."""

    text: str  # without quotes; the value of an option
    key: str | None = None  # lower case
    quoted: bool = False  # whether it was in quotes
    start: int = 0  # position of its first character in the line
    end: int = 0  # position after its last character


def tokenize(line: str) -> list[Token]:
    """Splits a line at white space of any kind (also no-break spaces), except within quotes.

    Raises InvalidInput for a double quote that is never closed.
    """
    found: list[Token] = []
    unclosed: set[str] = set()  # opening quotes that have no closing quote after this position
    place = 0
    while place < len(line):
        if line[place].isspace():
            place += 1
            continue
        token = _read_token(line, place, unclosed)
        found.append(token)
        place = token.end
    return found


def _read_token(line: str, start: int, unclosed: set[str]) -> Token:
    key = None
    place = start
    option = _OPTION.match(line, start)
    # A link (https://…) is a word, not an option.
    if option and not line.startswith("//", option.end()):
        key, place = option[1].lower(), option.end()
    if place < len(line) and line[place] in _QUOTES:
        closing = None if line[place] in unclosed else _find_closing_quote(line, place)
        if closing is not None:
            return Token(line[place + 1 : closing], key, True, start, closing + 1)
        unclosed.add(line[place])
        if line[place] not in _FORGIVING:
            raise InvalidInput(f"This quote is opened and never closed: {line[place:][:80]}")
    end = place
    while end < len(line) and not line[end].isspace():
        end += 1
    return Token(line[place:end], key, False, start, end)


def _find_closing_quote(line: str, start: int) -> int | None:
    """The position where the quote that opens at `start` closes: the first matching quote at the end of a word."""
    for place in range(start + 1, len(line)):
        at_end = place + 1 == len(line) or line[place + 1].isspace() or line[place + 1] == ","
        if line[place] in _QUOTES[line[start]] and at_end:
            return place
    return None


def split_word(line: str) -> tuple[str, str]:
    """The first word of a line as typed, and the rest without surrounding blanks."""
    parts = line.split(maxsplit=1)
    if not parts:
        return "", ""
    return parts[0], parts[1].strip() if len(parts) > 1 else ""


def split_first_word(line: str) -> tuple[str, str]:
    """The first word of a line in lower case, and the rest without surrounding blanks."""
    word, rest = split_word(line)
    return word.lower(), rest


def unquote(text: str) -> str:
    """The text without a pair of quotes around the whole of it."""
    text = text.strip()
    if len(text) > 1 and text[0] in _QUOTES and _find_closing_quote(text, 0) == len(text) - 1:
        return text[1:-1].strip()
    return text


def _are_several_numbers(text: str) -> bool:
    words = [word.removeprefix("#") for word in text.translate(_BETWEEN_NUMBERS).split() if word.lower() != "and"]
    return len(words) > 1 and all(word.isascii() and word.isdigit() for word in words)


def parse_number_and_text(words: str, form: str) -> tuple[int, str]:
    """Parses an identifier with a text behind it, which may be missing. Raises InvalidInput with `form`.

    A text of nothing but numbers is refused: with `resolve 1 2`, people would expect that both are resolved.
    """
    word, text = split_word(words)
    identifier = parse_number(word, form, text)
    if _are_several_numbers(decode_slack_text(words)):
        raise _several_numbers(form.partition(" [")[0], str(identifier))
    return identifier, text


def _several_numbers(form: str, first: str) -> InvalidInput:
    number = re.split(r"\D", first.removeprefix("#"))[0]
    return InvalidInput("One incident at a time. Nothing was changed.", form.replace("N", number))


def parse_number(word: str, form: str, rest: str = "") -> int:
    """Parses the identifier in `12`, `#12`, `“12”` or `12,`. Raises InvalidInput with `form`, the correct usage.

    `rest` is what was typed behind the word. If the number is there, the error has the line with the number first.
    """
    # In a workspace with a channel named 12, Slack encodes #12 as a mention of that channel.
    typed = unquote(decode_slack_text(word))
    digits = typed.rstrip(".,;:!?").removeprefix("#")
    if not digits:
        raise InvalidInput("The number of the incident is missing.", form)
    if _are_several_numbers(digits):
        raise _several_numbers(form, digits)
    if not digits.isascii() or not digits.isdigit():
        line = _move_number(typed, rest, form)
        raise InvalidInput(
            f"“{shorten(typed)}” is not the number of an incident.", line or form, is_guess=line is not None
        )
    return int(digits[:20])


def _move_number(word: str, rest: str, form: str) -> str | None:
    """The line with the number at its place, if it stands further behind (`severity critical 12`); None without one."""
    verb, has_number, more = form.partition(" N")
    if not has_number:
        return None
    words = decode_slack_text(rest).split()
    for place, other in enumerate(words[:MAX_WORDS_SEARCHED]):
        found = NUMBER.fullmatch(other.strip(".,;:!?"))
        if found:
            others = " ".join([word, *words[:place], *words[place + 1 :]])
            return build_line(verb, int(found[1]), others if more else "")
    return None


def build_line(verb: str, identifier: int, rest: str) -> str:
    """A line to type, without `rest` if that is long or cannot be shown as code."""
    rest = rest.strip() if len(rest) <= MAX_REPEATED and "`" not in rest else ""
    return f"{verb} {identifier} {rest}".strip()


def parse_lone_number(words: str, form: str) -> int:
    """Parses an identifier that nothing may follow: with `ack 1 2`, people would expect that both are acknowledged.

    Raises InvalidInput with `form`, the correct usage.
    """
    word, rest = split_word(words)
    identifier = parse_number(word, form, rest)
    if rest and rest.lower().strip("!.,") not in _POLITE:
        if _are_several_numbers(decode_slack_text(words)):
            raise _several_numbers(form, str(identifier))
        right = form.replace("N", str(identifier))
        raise InvalidInput(
            f"Leave out “{shorten(decode_slack_text(rest))}”: only the number goes here. Nothing was changed.", right
        )
    return identifier


def shorten(text: str, length: int = 60) -> str:
    """The text, without formatting and with at most `length` visible characters, to quote it in a sentence."""
    return disable_formatting(text if len(text) <= length else text[: length - 1] + "…")


def is_typo(word: str, meant: str) -> bool:
    """Whether one letter is missing, too many or wrong in a word, or two neighbours are swapped."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(word, meant, strict=False)))
    rest, right = word[same:], meant[same:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return right in (swapped, rest[1:]) or right[1:] in (rest, rest[1:])


def find_closest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known word that is most similar; None if none is at least so much like it (0 to 1)."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=likeness)
    return found[0] if found else None
