"""Parses schedules in words (`weekdays at 9`, `every monday at 8`, `hourly`) and describes schedules in words.

No library for describing cron is used, for two reasons: each description from here is valid input, and a day of the
month together with a day of the week is described as cron reads it, as either of the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bot.digests.schedule import (
    MAX_LENGTH,
    MONTHS,
    USAGE,
    WEEKDAYS,
    Schedule,
    Values,
    find_runs,
    looks_like_cron,
    parse_cron,
)
from bot.incidents.errors import InvalidInput
from bot.incidents.words import find_closest, shorten

EXAMPLES = "weekdays at 9, every day at 5:30 pm, every monday at 8, hourly, or cron: 0 9 * * 1-5"

_ALL_HOURS = tuple(range(24))
_ALL_MONTHS = tuple(range(1, 13))
_WORKDAYS = (1, 2, 3, 4, 5)
_WEEKEND = (0, 6)

_TIME = re.compile(r"(\d{1,2})(?:[:.h](\d{2}))?(?:\s*([ap])\.?m\.?(?![a-z]))?(?:\s*o'clock)?")
_AT = re.compile(r"(?:^|\s)(?:at|@)\s+")
_BARE_TIME = re.compile(r"(?:^|\s)(?=(?:\d{1,2}[:.]\d{2}|\d{1,2}\s?[ap]\.?m|noon|midday|midnight)(?![\w:.-]))")
_NAMED_TIMES = {"noon": (12, 0), "midday": (12, 0), "midnight": (0, 0)}
_ORDINAL = re.compile(r"(\d{1,2})(?:st|nd|rd|th)")
_EVERY = re.compile(r"every\s+(?:(\d{1,4})\s*)?(minutes?|mins?|m|hours?|h)\b\s*(.*)")
_PAST = re.compile(r"at\s+:?(\d{1,2})((?:\s*(?:,|and)\s*:?\d{1,2})*)\s*(?:past|minutes? past)?\b\s*(.*)")
_HOUR = r"(\d{1,2}(?:[:.]00)?(?:\s*[ap]\.?m\.?(?![a-z]))?)"
_FROM = re.compile(rf"from\s+{_HOUR}\s*(?:to|until|till|-)\s*{_HOUR}(?!\w)\s*(.*)")
# Words among the days that carry no meaning.
_FILLERS = frozenset({"on", "every", "each", "and", "the", "of", "in", "month", "months", "monthly", "a", "week"})
_ANY_DAY = frozenset({"day", "days", "daily"})
_TO = frozenset({"to", "through", "until", "till"})
_KNOWN = (*WEEKDAYS, *MONTHS, "weekdays", "weekends", "daily", "hourly", "every", "monthly", "day", "month")


def parse_schedule(text: str) -> Schedule:
    """Parses words or cron. Raises InvalidInput, which names the mistake and the correct form."""
    text = " ".join(text.split())
    if not text:
        raise InvalidInput(f"When should the digest be sent? For example {EXAMPLES}.", USAGE)
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"A schedule can have at most {MAX_LENGTH} characters.", USAGE)
    if looks_like_cron(text):
        return parse_cron(text)
    line = text.lower().rstrip(".")
    line = re.sub(r"^(?:hourly|every hour|each hour)\b", "every 1 hour", line)
    interval = _EVERY.fullmatch(line)
    if interval:
        return _parse_interval(text, int(interval[1] or 1), interval[2][0], interval[3])
    return _parse_at_times(text, line)


# --- parsing -----------------------------------------------------------------------------------------------


def _build_error(text: str, why: str) -> InvalidInput:
    return InvalidInput(f"“{shorten(text)}” is not a valid schedule: {why} For example {EXAMPLES}.", USAGE)


def _check_interval(text: str, count: int, unit: str) -> None:
    whole, name = (60, "minutes") if unit == "m" else (24, "hours")
    if count == whole:
        raise _build_error(text, f"write every {whole} {name} as {'hourly' if unit == 'm' else 'every day at a time'}.")
    if not 0 < count < whole or whole % count:
        fitting = ", ".join(str(n) for n in range(2, whole) if whole % n == 0)
        raise _build_error(
            text, f"{count} {name} do not divide {whole} {name} evenly; it can be every {fitting} {name}."
        )


def _parse_interval(text: str, count: int, unit: str, rest: str) -> Schedule:
    _check_interval(text, count, unit)
    minutes: Values = tuple(range(0, 60, count)) if unit == "m" else (0,)
    hours = _ALL_HOURS if unit == "m" else tuple(range(0, 24, count))
    past = _PAST.fullmatch(rest)
    if past and unit == "h":
        minutes = tuple(sorted({int(found) for found in re.findall(r"\d+", past[1] + past[2])}))
        if minutes[-1] > 59:
            raise _build_error(text, f"an hour has no minute {minutes[-1]}.")
        rest = past[3]
    between = _FROM.fullmatch(rest)
    if between:
        first, last = (_parse_hour(text, hour) for hour in (between[1], between[2]))
        if not first < last:
            raise _build_error(text, "hours go from an earlier to a later one, as in from 9 AM to 5 PM.")
        hours = tuple(hour for hour in range(first, last + 1) if unit == "m" or (hour - first) % count == 0)
        rest = between[3]
    return (_parse_days(text, rest) if rest.strip() else _Days()).schedule(minutes, hours)


def _parse_at_times(text: str, line: str) -> Schedule:
    parts = _AT.split(line)
    if len(parts) == 1:
        parts = _AT.split(_BARE_TIME.sub(" at ", line, count=1))  # "weekdays 9am"
    if len(parts) == 1:
        example = describe_schedule(_parse_days(text, line).schedule((0,), (9,)))
        raise InvalidInput(f"Add a time, for example {example}.", USAGE)
    if len(parts) > 2:
        raise _build_error(text, "it has more than one “at”.")
    times, behind = _parse_times(text, parts[1])
    wanted = f"{parts[0]} {behind}".strip()
    days = _parse_days(text, wanted) if wanted else _Days()
    minutes = {minute for _, minute in times}
    hours = {hour for hour, _ in times}
    if len(times) != len(minutes) * len(hours):
        raise _build_error(
            text,
            "all times of a digest need the same minutes, like 9:30 AM and 5:30 PM. Add another digest for others.",
        )
    return days.schedule(tuple(sorted(minutes)), tuple(sorted(hours)))


def _parse_times(text: str, words: str) -> tuple[set[tuple[int, int]], str]:
    """Returns the times at the start of `words`, as (hour, minute), and the rest (`on mondays` in `9 on mondays`)."""
    found: set[tuple[int, int]] = set()
    rest = words.strip()
    while rest:
        named = next((name for name in _NAMED_TIMES if re.match(rf"{name}\b", rest)), None)
        match = _TIME.match(rest)
        if named:
            found.add(_NAMED_TIMES[named])
            rest = rest[len(named) :]
        elif match and not _ORDINAL.match(rest):
            found.add(_parse_time(text, match))
            rest = rest[match.end() :]
        else:
            break
        joint = re.match(r"\s*(?:,\s*and\b|,|&|\band\b)\s*(?=\d|noon|mid)", rest)
        if joint is None:
            break
        rest = rest[joint.end() :]
    if not found:
        raise _build_error(text, f"“{shorten(words)}” is not a time of day, like 9, 17:30 or 5:30 PM.")
    if rest and not rest[0].isspace() and rest[0] != ",":
        raise _build_error(text, f"“{shorten(words)}” is not a time of day, like 9, 17:30 or 5:30 PM.")
    return found, rest.strip(" ,")


def _parse_hour(text: str, words: str) -> int:
    match = _TIME.match(words)
    assert match is not None
    return _parse_time(text, match)[0]


def _parse_time(text: str, match: re.Match[str]) -> tuple[int, int]:
    hour, minute, half = int(match[1]), int(match[2] or 0), match[3]
    if half and not 1 <= hour <= 12:
        raise _build_error(text, f"{match[0].strip()} is not a time; hours with am and pm are 1 to 12.")
    if half:
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    if hour > 23 or minute > 59:
        raise _build_error(text, f"{match[0].strip()} is not a time; times are 0:00 to 23:59.")
    return hour, minute


@dataclass(slots=True)
class _Days:
    """The days that the words of a schedule name."""

    days: set[int] = field(default_factory=set)
    months: set[int] = field(default_factory=set)
    weekdays: set[int] = field(default_factory=set)

    def schedule(self, minutes: Values, hours: Values) -> Schedule:
        """Returns the schedule for these times on the days. Raises InvalidInput if it would never fire."""
        return Schedule.of(
            minutes,
            hours,
            tuple(sorted(self.days)) or None,
            tuple(sorted(self.months)) or _ALL_MONTHS,
            tuple(sorted(self.weekdays)) or None,
        )


def _parse_days(text: str, words: str) -> _Days:
    """Parses the days in `words`. Raises InvalidInput if they name no days; “every day” is valid."""
    found = _Days()
    any_day = False
    tokens = words.replace(",", " ").replace("&", " and ").replace("–", "-").split()
    place = 0
    while place < len(tokens):
        token = tokens[place]
        ordinal = _ORDINAL.fullmatch(token)
        month = _find_month(token)
        if ordinal:
            found.days.add(_check_day_of_month(text, int(ordinal[1])))
        elif month:
            found.months.add(month)
        elif token in _ANY_DAY:
            any_day = True
        elif token in ("weekday", "weekdays", "workday", "workdays"):
            found.weekdays |= set(_WORKDAYS)
        elif token in ("weekend", "weekends"):
            found.weekdays |= set(_WEEKEND)
        elif "-" in token and all(token.split("-")):
            first, last = (_parse_weekday(text, end) for end in token.split("-", 1))
            found.weekdays |= _circular_range(first, last)
        elif token not in _FILLERS:
            first = _parse_weekday(text, token)
            if len(tokens) > place + 2 and tokens[place + 1] in _TO:
                found.weekdays |= _circular_range(first, _parse_weekday(text, tokens[place + 2]))
                place += 2
            else:
                found.weekdays.add(first)
        place += 1
    if not (found.days or found.weekdays or any_day):
        raise _build_error(text, "it has no days.")
    return found


def _find_month(word: str) -> int | None:
    return next((n for n, name in enumerate(MONTHS, 1) if len(word) >= 3 and name.startswith(word)), None)


def _check_day_of_month(text: str, day: int) -> int:
    if not 1 <= day <= 31:
        raise _build_error(text, f"no month has a day {day}.")
    return day


def _parse_weekday(text: str, word: str) -> int:
    singular = word.removesuffix("s") if len(word) > 4 else word
    for number, name in enumerate(WEEKDAYS):
        if len(singular) >= 3 and name.startswith(singular):
            return number
    meant = find_closest(word, _KNOWN)
    raise _build_error(text, f"“{shorten(word)}” is not a day." + (f" Did you mean “{meant}”?" if meant else ""))


def _circular_range(first: int, last: int) -> set[int]:
    length = (last - first) % 7
    return {(first + step) % 7 for step in range(length + 1)}


# --- describing --------------------------------------------------------------------------------------------


def describe_schedule(schedule: Schedule) -> str:
    """Describes the schedule without its zone: “weekdays at 9:00 AM”."""
    days = _format_days(schedule)
    often = _format_interval(schedule)
    if often is None:
        return f"{days} at {_format_times(schedule)}"
    if days == "every day":
        return often
    return f"{often} {days}" if days.startswith(("on ", "in ")) else f"{often} on {days.removeprefix('every ')}"


def _format_times(schedule: Schedule) -> str:
    times = [_format_time(hour, minute) for hour in schedule.hours for minute in schedule.minutes]
    if len(times) <= 6:
        return _join_with_and(times)
    past = _join_with_and([f":{minute:02}" for minute in schedule.minutes])
    return f"{past} past the hours {_format_hours(schedule.hours)}"


def _format_time(hour: int, minute: int) -> str:
    """A time of day as Slack shows times: “9:00 AM”."""
    return f"{hour % 12 or 12}:{minute:02} {'AM' if hour < 12 else 'PM'}"


def _format_hour(hour: int) -> str:
    return _format_time(hour, 0).replace(":00", "")


def _format_interval(schedule: Schedule) -> str | None:
    """Returns the times as an interval, like “every 15 minutes from 9 AM to 5 PM”; None if they are not regular."""
    first, last = schedule.hours[0], schedule.hours[-1]
    step = _find_step(schedule.minutes, 60)
    if len(schedule.minutes) > 1 and step and len(find_runs(schedule.hours)) == 1:
        often = "every minute" if step == 1 else f"every {step} minutes"
        return often if schedule.is_hourly else _format_bounded(often, first, last)
    past = "" if schedule.minutes == (0,) else " at " + _join_with_and([f":{minute:02}" for minute in schedule.minutes])
    if schedule.is_hourly:
        return "every hour" + past
    every = _find_step(schedule.hours, 24)
    if every and len(schedule.hours) > 2:
        return f"every {every} hours{past}"
    if len(find_runs(schedule.hours)) == 1 and len(schedule.hours) > 2:
        return _format_bounded("every hour" + past, first, last)
    return None


def _format_bounded(often: str, first: int, last: int) -> str | None:
    return f"{often} from {_format_hour(first)} to {_format_hour(last)}" if first < last else None


def _find_step(values: Sequence[int], whole: int) -> int | None:
    """Returns the step between values that start at 0 and divide `whole` evenly; None for other values."""
    if whole % len(values):
        return None
    step = whole // len(values)
    return step if tuple(values) == tuple(range(0, whole, step)) else None


def _format_days(schedule: Schedule) -> str:
    months = (
        ""
        if len(schedule.months) == 12
        else _join_with_and([MONTHS[month - 1].capitalize() for month in schedule.months])
    )
    dates = f"on the {_join_with_and([_format_ordinal(day) for day in schedule.days])} of" if schedule.days else ""
    if schedule.weekdays is None:
        if dates:
            return f"{dates} {months or 'every month'}"
        return f"every day in {months}" if months else "every day"
    weekdays = _format_weekdays(schedule.weekdays)
    if not dates:
        return f"{weekdays} in {months}" if months else weekdays
    # A day needs to match only one of both.
    return f"{dates} {months or 'every month'} and {weekdays}" + (f" in {months}" if months else "")


def _format_weekdays(weekdays: Values) -> str:
    if weekdays == _WORKDAYS:
        return "weekdays"
    if weekdays == _WEEKEND:
        return "weekends"
    from_monday = find_runs(sorted((day - 1) % 7 for day in weekdays))
    texts = [
        _weekday_name(first) + (f" to {_weekday_name(last)}" if last > first + 1 else "")
        for first, last in ((a, b) for run in from_monday for a, b in ([run] if run[1] > run[0] + 1 else _each(run)))
    ]
    return _join_with_and(texts) if " to " in texts[0] else f"every {_join_with_and(texts)}"


def _each(run: tuple[int, int]) -> list[tuple[int, int]]:
    return [(day, day) for day in range(run[0], run[1] + 1)]


def _weekday_name(from_monday: int) -> str:
    return WEEKDAYS[(from_monday + 1) % 7].capitalize()


def _format_hours(hours: Sequence[int]) -> str:
    return _join_with_and(
        [
            f"{_format_hour(first)} to {_format_hour(last)}"
            if last > first + 1
            else _join_with_and(map(_format_hour, range(first, last + 1)))
            for first, last in find_runs(hours)
        ]
    )


def _format_ordinal(day: int) -> str:
    ending = "th" if day // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _join_with_and(items: Iterable[object]) -> str:
    *front, last = map(str, items)
    return f"{', '.join(front)} and {last}" if front else last
