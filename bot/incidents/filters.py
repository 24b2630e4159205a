"""Parses the filters of `list` from words, and formats them as words again. `search` resolves what they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from bot.incidents.durations import find_duration
from bot.incidents.errors import InvalidInput
from bot.incidents.words import Token, find_closest, shorten, tokenize

MAX_WORDS = 10
MAX_WORD_LENGTH = 100  # characters
MAX_TEAMS = 20
MAX_WRITTEN = 1800  # characters of a query as JSON; a button's value may have 2,000, and has the position too
MAX_LENGTH = 4000  # characters of a whole query; anything longer exceeds the limits above

USAGE = (
    "list [open|warning|critical|closed|all] [mine|unowned] [words…] [team:a,b|team:unassigned|team:mine] [project:x]"
    " [env:x] [since:24h|7d|2026-11-01] [until:…] [owner:me|none|@person] [seen:no] [following:yes] [silenced:yes]"
    " [storm:ID]"
)
FORM = "list [open|warning|critical|closed|all] [words…] [filters…]"  # what a mistake shows
SHOWS = ("open", "warning", "critical", "closed", "all")
_SAME = {"resolved": "closed"}  # messages use this word
_BY_OWNER = {"mine": "me", "unowned": "none"}  # words before those to search for, as `owner:`
# The filters, each with what a mistake in it shows.
_FORMS = {
    "team": "list team:payments,mine",
    "project": "list project:checkout",
    "env": "list env:production",
    "since": "list since:24h",
    "until": "list until:2026-11-01",
    "owner": "list owner:me",
    "storm": "list storm:7",
    "seen": "list seen:no",
    "following": "list following:yes",
    "silenced": "list silenced:yes",
}
KEYS = tuple(_FORMS)
_OWNERS = {"me": "me", "mine": "me", "@me": "me", "none": "none", "nobody": "none"}

_LARGEST_ID = 2**63 - 1  # what the column holds

COMMON_TIMES = ("1h", "24h", "7d", "30d")  # that a menu offers for `since` and `until`

_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
_AGO = re.compile(r"(\d{1,5})\s*(m|h|d|w)", re.IGNORECASE)
_AGO_IN_WORDS = re.compile(r"(\d{1,5}) ?(?:(m)in(?:ute)?s?|(h)ours?|(d)ays?|(w)eeks?)(?: ago)?", re.IGNORECASE)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PLAIN = re.compile(r"[\w.,:+-]+")  # values that need no quotes


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The filters of a list, in the caller's words."""

    show: str = "open"  # one of SHOWS
    words: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()  # slugs, "mine", "unassigned"; none: any
    project: str | None = None
    environment: str | None = None
    since: str | None = None
    until: str | None = None
    owner: str | None = None  # "me", "none", or "@" and a member; None: any
    storm: int | None = None  # the id of a storm
    unseen: bool = False  # not acknowledged by the caller
    following: bool = False  # the caller follows it
    silenced: bool = False  # a silence holds it

    def __str__(self) -> str:
        """The query as words, which `parse_query` reads."""
        parts = [self.show, *(f'"{word}"' for word in self.words)]
        options = {
            "project": self.project,
            "env": self.environment,
            "since": self.since,
            "until": self.until,
            "owner": self.owner,
            "storm": None if self.storm is None else str(self.storm),
        }
        for key, value in {"team": ",".join(self.teams) or None, **options}.items():
            if value is not None:
                parts.append(f"{key}:{value}" if _PLAIN.fullmatch(value) else f'{key}:"{value}"')
        if self.unseen:
            parts.append("seen:no")
        if self.following:
            parts.append("following:yes")
        if self.silenced:
            parts.append("silenced:yes")
        return " ".join(parts)


@lru_cache(maxsize=256)
def parse_query(line: str) -> ListQuery:
    """Parses the words that follow `list`. Raises InvalidInput."""
    if len(line) > MAX_LENGTH:
        raise InvalidInput(f"Filters can have at most {MAX_LENGTH:,} characters.", FORM)
    return parse_tokens(tokenize(line))


def parse_tokens(found: Sequence[Token]) -> ListQuery:
    """Parses the tokens of a query. Raises InvalidInput, which names the mistake and the correct form."""
    query = ListQuery()
    words: list[str] = []
    given: set[str] = set()
    for token in found:
        if token.key is None:
            word = token.text.lower()
            shown = _SAME.get(word, word)
            if not words and not token.quoted and shown in SHOWS and "show" not in given:
                query = replace(query, show=shown)
                given.add("show")
            elif not words and not token.quoted and word in _BY_OWNER and "owner" not in given:
                query = replace(query, owner=_BY_OWNER[word])
                given.add("owner")
            elif token.text.strip():
                words.append(token.text)
        elif token.key in KEYS:
            if token.key in given and token.key != "team":
                raise InvalidInput(f"`{token.key}:` is given twice. Give it once.", _FORMS[token.key])
            given.add(token.key)
            query = _with_option(query, token.key, token.text)
        else:
            raise _unknown_filter(token)
    return with_words(query, words)


def _unknown_filter(token: Token) -> InvalidInput:
    wanted = token.text.lower()
    shown = _SAME.get(wanted, wanted)
    if shown in SHOWS:  # status:open, severity:critical
        wrong = f"{token.key}:{token.text}"
        return InvalidInput(
            f"There is no filter `{shorten(str(token.key))}:`.", f"list {shown}", wrong=wrong, meant=shown
        )
    meant = find_closest(str(token.key), KEYS)
    if meant:
        return InvalidInput(
            f"There is no filter `{shorten(str(token.key))}:`.",
            _FORMS[meant],
            wrong=f"{token.key}:",
            meant=f"{meant}:",
        )
    return InvalidInput(
        f"There is no filter `{shorten(str(token.key))}:`. Filters are {', '.join(f'`{key}:`' for key in KEYS)}."
        " To search for it in titles, put it in quotes.",
        f'list "{shorten(f"{token.key}:{token.text}")}"',
    )


def with_words(query: ListQuery, words: Sequence[str]) -> ListQuery:
    """The query with these words to search for in titles. Raises InvalidInput."""
    if len(words) > MAX_WORDS:
        raise InvalidInput(f"At most {MAX_WORDS} words can be searched at once.", FORM, field="words")
    query = replace(query, words=tuple(folded for word in words if (folded := _check_word(word))))
    if len(json.dumps(str(query), ensure_ascii=False)) > MAX_WRITTEN:
        raise InvalidInput("These filters are too long together. Leave some out.", FORM)
    return query


def _folded(text: str) -> str:
    # Quotes are removed, as a query is formatted with quotes around its words.
    return " ".join(text.translate({ord(quote): None for quote in '"“”„'}).split())


def _check_word(text: str) -> str:
    folded = _folded(text)
    if len(folded) > MAX_WORD_LENGTH:
        raise InvalidInput(f"A word can have at most {MAX_WORD_LENGTH} characters.", FORM)
    return folded


def _with_option(query: ListQuery, key: str, value: str) -> ListQuery:
    value = _folded(value)
    if not value.strip(", "):
        raise InvalidInput(f"`{key}:` needs a value.", _FORMS[key])
    match key:
        case "team":
            slugs = [slug.strip().lower() for slug in value.split(",") if slug.strip()]
            teams = tuple(dict.fromkeys((*query.teams, *slugs)))
            if len(teams) > MAX_TEAMS:
                raise InvalidInput(f"At most {MAX_TEAMS} teams can be listed at once.", _FORMS[key], field="team")
            return replace(query, teams=teams)
        case "project":
            return replace(query, project=value.lower())
        case "env":
            return replace(query, environment=_check_word(value))
        case "since" | "until":
            return replace(query, since=value) if key == "since" else replace(query, until=value)
        case "owner":
            return replace(query, owner=_parse_owner(value))
        case "storm":
            return replace(query, storm=parse_storm(value))
        case "seen":
            if value.lower() != "no":
                raise InvalidInput(f"`seen:` can only be `no`, not “{shorten(value)}”.", _FORMS[key])
            return replace(query, unseen=True)
        case _:
            if value.lower() != "yes":
                raise InvalidInput(f"`{key}:` can only be `yes`, not “{shorten(value)}”.", _FORMS[key])
            return replace(query, silenced=True) if key == "silenced" else replace(query, following=True)


def _parse_owner(value: str) -> str:
    word = value.lower()
    owner = _OWNERS.get(word, value)
    if owner in _OWNERS or ("@" in owner and owner.strip("@ ")):
        return owner
    raise InvalidInput(
        f"`owner:` can be `me`, `none` or a person such as `@ada`, not “{shorten(value)}”.", _FORMS["owner"]
    )


def parse_storm(value: str) -> int:
    """Parses the id of a storm. Raises InvalidInput."""
    digits = value.removeprefix("#")
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:20]) <= _LARGEST_ID:
        raise InvalidInput(
            f"`storm:` needs the number of an alert storm, as its message names it, not “{shorten(value)}”.",
            _FORMS["storm"],
        )
    return int(digits)


def split_ago(value: str) -> tuple[int, str] | None:
    """The number and the unit of a time like `24h`: 24 and "hours". None for any other time."""
    found = _AGO.fullmatch(value)
    return (int(found[1]), _UNITS[found[2].lower()]) if found else None


def find_date(value: str) -> date | None:
    """The day that a time like `2026-11-01` names; None for any other time."""
    try:
        return date(*map(int, value.split("-"))) if _DATE.fullmatch(value) else None
    except ValueError:
        return None


def suggest_times(typed: str, now: datetime, zone: str) -> Sequence[str]:
    """The times that somebody may mean who has typed so far; none for what cannot become one."""
    if not typed:
        return COMMON_TIMES
    if typed.isascii() and typed.isdigit():
        return [time for unit in ("h", "d", "w", "m") if split_ago(time := f"{int(typed)}{unit}")]
    if written := _AGO_IN_WORDS.fullmatch(typed):
        return (f"{int(written[1])}{written[written.lastindex or 0].lower()}",)
    try:
        moment(typed, "since", now, zone)
    except InvalidInput:
        return ()
    return (typed,)


def moment(value: str, key: str, now: datetime, zone: str) -> datetime:
    """Parses `24h`, `1h30m`, `7d`, `2026-11-01` or `2026-11-01T09:30`; a time without a zone is in `zone`.

    A date without a time is the start of the day for `since`, and its end for `until`. Raises InvalidInput.
    """
    wrong = InvalidInput(
        f"“{shorten(value)}” is not a time. Use 30m, 24h, 7d or 2w, or a date such as 2026-11-01 or 2026-11-01T09:30.",
        _FORMS[key],
        field=key,
    )
    ago = find_duration("".join(value.split()))
    try:
        if ago is not None:
            return now - timedelta(seconds=ago)
        if _DATE.fullmatch(value):
            year, month, day = map(int, value.split("-"))
            edge = time.max if key == "until" else time.min
            found = datetime.combine(date(year, month, day), edge, ZoneInfo(zone))
        else:
            found = datetime.fromisoformat(value.upper())
            if found.tzinfo is None:
                found = found.replace(tzinfo=ZoneInfo(zone))
        found = found.astimezone(UTC)  # PostgreSQL knows fewer offsets than Python
    except (ValueError, OverflowError):
        raise wrong from None
    return found
