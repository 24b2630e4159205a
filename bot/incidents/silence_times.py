"""Parses when a silence ends: after a duration, or at a time. It always ends, and within a year."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.incidents.durations import find_duration
from bot.incidents.errors import InvalidInput
from bot.incidents.words import shorten

SILENCE = "silence N"  # the words before the end in the right form of a command
LONGEST = timedelta(days=365)

_MORNING = time(9)  # when `until:tomorrow` ends

_NO_UNIT = re.compile(r"\d+")
_FOR = re.compile(r"for\s+(?=\d)", re.IGNORECASE)  # "silence 12 for 2h"
_SPOKEN = re.compile(
    r"([0-9]{1,9})\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?)?)(?!\w)",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2})\s*([ap]m)?|\s*([ap]m))(?!\w)", re.IGNORECASE)  # 18:00, 6:30 pm, 6pm
_TOMORROW = re.compile(rf"tomorrow(?!\w)(?:\s+(?:at\s+)?({_CLOCK.pattern}))?", re.IGNORECASE)
_UNTIL = re.compile(
    r'(?:until|till?)(?::\s*|\s+)(?:["“”„](?P<quoted>[^"“”„]*)["“”„]'
    rf"|(?P<bare>{_TOMORROW.pattern}|{_CLOCK.pattern}|\S+))",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'^["“”„]\s*([^"“”„]+?)\s*["“”„](?!\S)')  # an end with blanks, such as "2 hours"
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")


def parse_end(text: str, now: datetime, zone: str, *, before: str = SILENCE) -> tuple[datetime, str]:
    """Parses `2h` or `until:…` at the beginning of a text into the end of a silence. Returns the rest of the text too.

    Times are in `zone`. `before` are the words before the end in the right form. Raises InvalidInput.
    """
    text = _QUOTED.sub(r"\1", text.strip())
    if spoken := _FOR.match(text):
        text = text[spoken.end() :]
    until = _UNTIL.match(text)
    if until is not None:
        value = until["quoted"] or until["bare"] or ""
        return parse_until(value.strip(), now, zone, before=before), text[until.end() :].strip()
    word, rest = _split_spoken(text)
    if not word:
        word, _, rest = text.partition(" ")
    if not word:
        raise InvalidInput("Say how long, because every silence ends.", f"{before} 2h")
    return parse_duration(word, now, before=before), rest.strip()


def _split_spoken(text: str) -> tuple[str, str]:
    """The duration in words at the beginning of a text, such as `1 hour 30 min`, as one word; and the rest."""
    word = ""
    while (spoken := _SPOKEN.match(text)) and find_duration(longer := f"{word}{spoken[1]}{spoken[2][0]}") is not None:
        word, text = longer, text[spoken.end() :].lstrip(" ,")
    return word, text


def parse_duration(word: str, now: datetime, *, before: str = SILENCE) -> datetime:
    """The end of a silence that begins now and lasts as long as `90m`, `1h30m` or `3d`. Raises InvalidInput."""
    seconds = find_duration(word)
    if seconds is None:
        if _NO_UNIT.fullmatch(word):
            raise InvalidInput(
                f"“{shorten(word)}” has no unit. Use s, m, h or d, such as 30m, 2h or 3d.", f"{before} 2h", field="for"
            )
        raise InvalidInput(
            f"“{shorten(word)}” is not a duration. Use a number and s, m, h or d, such as 30m, 1h30m or 3d.",
            f"{before} 2h",
            field="for",
        )
    if not seconds:
        raise InvalidInput("A silence lasts at least one second.", f"{before} 2h", field="for")
    lasts = timedelta(seconds=min(seconds, 2 * int(LONGEST.total_seconds())))
    return check_end(now + lasts, now, field="for", before=before)


def parse_until(value: str, now: datetime, zone: str, *, before: str = SILENCE) -> datetime:
    """Parses `18:00` or `6pm`, which is the next time that it is so late, `tomorrow`, which is at 9:00, `tomorrow 6pm`,
    `2026-11-29` or `2026-11-29T18:00`.

    A date alone is its end. Times are in `zone`. Raises InvalidInput.
    """
    where = ZoneInfo(zone)
    today = now.astimezone(where).date()
    try:
        if tomorrow := _TOMORROW.fullmatch(value):
            clock = _parse_clock(tomorrow[1]) if tomorrow[1] else _MORNING
            end = datetime.combine(today + timedelta(days=1), clock, where)
        elif _CLOCK.fullmatch(value):
            clock = _parse_clock(value)
            end = datetime.combine(today, clock, where)
            if end <= now:
                end = datetime.combine(today + timedelta(days=1), clock, where)
        elif _DATE.fullmatch(value):
            year, month, day = map(int, value.split("-"))
            end = datetime.combine(date(year, month, day) + timedelta(days=1), time(), where)
        else:
            end = datetime.fromisoformat(value.upper())
            end = end if end.tzinfo else end.replace(tzinfo=where)
        end = end.astimezone(UTC)  # PostgreSQL knows fewer offsets than Python
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"“{shorten(value)}” is not a time. Use 18:00, 6pm, tomorrow, 2026-11-29 or 2026-11-29T18:00.",
            f"{before} until:18:00",
            field="until",
        ) from None
    return check_end(end, now, field="until", before=before)


def _parse_clock(text: str) -> time:
    """The time of day that `_CLOCK` matched. Raises ValueError for one that is none, such as 13pm."""
    found = _CLOCK.fullmatch(text)
    assert found is not None
    hour, half = int(found[1]), (found[3] or found[4] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("hours with am and pm are 1 to 12")
        hour = hour % 12 + (12 if half == "pm" else 0)
    return time(hour, int(found[2] or 0))


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
