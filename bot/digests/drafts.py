"""Parses what somebody types or chooses for a digest: its schedule, options and filters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.digests import schedule_text, zones
from bot.digests.schedule import MAX_LENGTH, USAGE, Schedule
from bot.incidents import filters
from bot.incidents.errors import InvalidInput
from bot.incidents.filters import ListQuery
from bot.incidents.words import Token, shorten, tokenize

LIST_USAGE = "digest list"
_LARGEST_ID = 2**63 - 1  # what the column holds
_OPTION_NAMES = ("tz", "empty", "picture")
_ANY_DATE = datetime(2026, 1, 1, tzinfo=UTC)  # whether a date is valid does not depend on the current day


@dataclass(frozen=True, slots=True)
class Draft:
    """The values of a digest that somebody wants, parsed but not stored."""

    schedule: Schedule
    zone: ZoneInfo
    query: ListQuery
    skip_empty: bool = False
    picture: bool = True

    def columns(self) -> dict[str, Any]:
        """Returns the values by column of the table `digest`."""
        return {
            "cron": str(self.schedule),
            "zone": self.zone.key,
            "filters": str(self.query),
            "skip_empty": self.skip_empty,
            "picture": self.picture,
        }


def parse_draft(line: str, zone: str) -> Draft:
    """Parses the words after `digest add`: a schedule, with or without quotes, options and filters.

    `zone` is the caller's zone, used if `tz:` is not given. Raises InvalidInput.
    """
    if len(line) > filters.MAX_LENGTH:
        raise InvalidInput(f"Schedule and filters can have at most {filters.MAX_LENGTH:,} characters.", USAGE)
    found = tokenize(line)
    options: dict[str, str] = {}
    rest: list[Token] = []
    for token in found:
        if token.key in _OPTION_NAMES:
            if token.key in options:
                raise InvalidInput(f"`{token.key}:` can be given only once.", USAGE)
            options[token.key] = token.text
        else:
            rest.append(token)
    schedule, others = _parse_schedule(rest)
    return Draft(
        schedule,
        zones.parse_zone(options.get("tz", zone), USAGE),
        parse_filters(others),
        skip_empty=_parse_choice("empty", options.get("empty", "send"), {"skip": True, "send": False}),
        picture=_parse_choice("picture", options.get("picture", "yes"), {"yes": True, "no": False}),
    )


def _parse_choice(key: str, value: str, meanings: dict[str, bool]) -> bool:
    if value.lower() not in meanings:
        raise InvalidInput(f"`{key}:` can be {' or '.join(meanings)}, not “{value}”.", USAGE)
    return meanings[value.lower()]


def _parse_schedule(found: Sequence[Token]) -> tuple[Schedule, Sequence[Token]]:
    """Returns the schedule before the filters, and the tokens after it.

    The schedule is the quoted text at the beginning, or else the longest run of words that is a valid schedule. Words
    beyond MAX_LENGTH characters are not tried.
    """
    if not found:
        return schedule_text.parse_schedule(""), []
    if found[0].quoted and found[0].key is None:
        return schedule_text.parse_schedule(found[0].text), found[1:]
    front = list(itertools.takewhile(lambda token: token.key is None, found))
    lengths = itertools.accumulate(len(token.text) + 1 for token in front)
    most = sum(1 for length in lengths if length - 1 <= MAX_LENGTH)
    for count in range(most, 0, -1):
        try:
            return schedule_text.parse_schedule(" ".join(token.text for token in found[:count])), found[count:]
        except InvalidInput:
            continue
    # No part is a valid schedule. The error is about the five fields of a cron expression, or about all the words.
    typed = [token.text for token in front[: most or 1]]
    return schedule_text.parse_schedule(
        " ".join(typed[:5] if len(typed) >= 5 and any("*" in one for one in typed) else typed)
    ), []


def parse_filters(found: Sequence[Token] | str) -> ListQuery:
    """Parses the filters of a digest: those of `list`, except `closed`. Raises InvalidInput."""
    try:
        query = filters.parse_query(found) if isinstance(found, str) else filters.parse_tokens(found)
    except InvalidInput as mistake:
        raise with_usage(mistake) from None
    return check_filters(query)


def check_filters(query: ListQuery) -> ListQuery:
    """The query, if a digest can have it. Raises InvalidInput."""
    for key, value in (("since", query.since), ("until", query.until)):
        if value:
            _check_moment(value, key)
    if query.following:
        raise InvalidInput("A digest is for a whole channel, so it cannot use `following:`.", USAGE, field="only")
    if query.owner == "me":
        raise InvalidInput("A digest is for a whole channel, so it cannot use `owner:me`.", USAGE, field="owner")
    if query.silenced:
        raise InvalidInput("A digest shows what needs attention, so it cannot use `silenced:`.", USAGE)
    if query.show == "closed":
        raise InvalidInput(
            "A digest shows open incidents, so `closed` would leave it empty. What was resolved since the last digest"
            " is always included.",
            USAGE,
            field="show",
        )
    return query


def _check_moment(value: str, key: str) -> None:
    try:
        filters.moment(value, key, _ANY_DATE, "UTC")
    except InvalidInput as mistake:
        raise with_usage(mistake) from None


def with_usage(mistake: InvalidInput) -> InvalidInput:
    """The error of a filter with the usage of `digest add`, not that of `list`."""
    return InvalidInput(mistake.mistake, USAGE, field=mistake.field, wrong=mistake.wrong, meant=mistake.meant)


def parse_id(word: str, usage: str = LIST_USAGE) -> int:
    """Parses the id of a digest in `3` or `#3`. Raises InvalidInput with `usage`, the correct form."""
    digits = word.strip().removeprefix("#")
    if not digits:
        raise InvalidInput("Which digest? Add its number, which `digest list` shows.", usage)
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidInput(f"“{shorten(word)}” is not the number of a digest. `digest list` shows the numbers.", usage)
    return min(int(digits[:20]), _LARGEST_ID)
