"""Parses when a silence ends: after a duration, or at a time. It always ends, and within a year."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.incidents.errors import InvalidInput
from bot.incidents.words import shorten

SILENCE = "silence N"  # the words before the end in the right form of a command
LONGEST = timedelta(days=365)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.IGNORECASE)
_NO_UNIT = re.compile(r"\d+")
_FOR = re.compile(r"for\s+(?=\d)", re.IGNORECASE)  # "silence 12 for 2h"
_UNTIL = re.compile(r'until(?::\s*|\s+(?=\d))(?:["“”„]([^"“”„]*)["“”„]|(\S+))', re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")


def parse_end(text: str, now: datetime, zone: str, *, before: str = SILENCE) -> tuple[datetime, str]:
    """Parses `2h` or `until:…` at the beginning of a text into the end of a silence. Returns the rest of the text too.

    Times are in `zone`. `before` are the words before the end in the right form. Raises InvalidInput.
    """
    text = text.strip()
    if spoken := _FOR.match(text):
        text = text[spoken.end() :]
    until = _UNTIL.match(text)
    if until is not None:
        return parse_until((until[1] or until[2] or "").strip(), now, zone, before=before), text[until.end() :].strip()
    word, _, rest = text.strip().partition(" ")
    if not word:
        raise InvalidInput("Say how long, because every silence ends.", f"{before} 2h")
    return parse_duration(word, now, before=before), rest.strip()


def parse_duration(word: str, now: datetime, *, before: str = SILENCE) -> datetime:
    """The end of a silence that begins now and lasts as long as `90m`, `2h` or `3d`. Raises InvalidInput."""
    found = _DURATION.fullmatch(word)
    if found is None:
        if _NO_UNIT.fullmatch(word):
            raise InvalidInput(
                f"“{shorten(word)}” has no unit. Use s, m, h or d, such as 30m, 2h or 3d.", f"{before} 2h", field="for"
            )
        raise InvalidInput(
            f"“{shorten(word)}” is not a duration. Use a number and s, m, h or d, such as 30m, 2h or 3d.",
            f"{before} 2h",
            field="for",
        )
    lasts = timedelta(**{_UNITS[found[2].lower()]: int(found[1])})
    if not lasts:
        raise InvalidInput("A silence lasts at least one second.", f"{before} 2h", field="for")
    return check_end(now + min(lasts, 2 * LONGEST), now, field="for", before=before)


def parse_until(value: str, now: datetime, zone: str, *, before: str = SILENCE) -> datetime:
    """Parses `18:00`, which is the next time that it is so late, `2026-11-29` or `2026-11-29T18:00`.

    A day alone is its end. Times are in `zone`. Raises InvalidInput.
    """
    where = ZoneInfo(zone)
    try:
        if found := _TIME.fullmatch(value):
            clock = time(int(found[1]), int(found[2]))
            end = datetime.combine(now.astimezone(where).date(), clock, where)
            if end <= now:
                end = datetime.combine(end.date() + timedelta(days=1), clock, where)
        elif _DATE.fullmatch(value):
            year, month, day = map(int, value.split("-"))
            end = datetime.combine(date(year, month, day) + timedelta(days=1), time(), where)
        else:
            end = datetime.fromisoformat(value.upper())
            end = end if end.tzinfo else end.replace(tzinfo=where)
        end = end.astimezone(UTC)  # PostgreSQL knows fewer offsets than Python
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"“{shorten(value)}” is not a time. Use 18:00, 2026-11-29 or 2026-11-29T18:00.",
            f"{before} until:18:00",
            field="until",
        ) from None
    return check_end(end, now, field="until", before=before)


def check_end(end: datetime, now: datetime, *, field: str, before: str = SILENCE) -> datetime:
    """The end of a silence, if it is one. Raises InvalidInput for one that has passed, or is more than a year away."""
    if end <= now:
        raise InvalidInput("That time has passed. Choose a later one.", f"{before} until:18:00", field=field)
    if end - now > LONGEST:
        raise InvalidInput("A silence lasts at most a year (365d).", f"{before} 2h", field=field)
    return end


def find_end_of_day(now: datetime, zone: str) -> datetime:
    """When the day ends that it is now in a zone."""
    where = ZoneInfo(zone)
    return datetime.combine(now.astimezone(where).date() + timedelta(days=1), time(), where)
