"""Parses cron expressions of five fields, and finds the times at which they fire in a time zone.

`bot.digests.schedule_text` parses and describes schedules in words.

The fields are parsed here, not by croniter. croniter accepts more than people write (seconds, `L`, `#`, hashes) and
reads `5-5` as every value of the field; its errors name neither the field nor the correct form. croniter receives the
fields as plain lists, and only finds the next time in a zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped]

from bot.incidents.errors import InvalidInput
from bot.incidents.words import find_closest, shorten

USAGE = 'digest add "0 9 * * 1-5" [tz:Europe/Berlin] [list filters]'
MAX_LENGTH = 200  # characters of a schedule that somebody types

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class _Field:
    """The values that one of the five fields may have."""

    name: str
    low: int
    high: int
    names: Sequence[str]  # names of the values, from `low` on; three letters are enough
    example: str


_FIELDS = (
    _Field("minute", 0, 59, (), "0, */15 or 0,30"),
    _Field("hour", 0, 23, (), "9, 9-17 or 8,12,16"),
    _Field("day of the month", 1, 31, (), "1 or 1,15, and * for any"),
    _Field("month", 1, 12, MONTHS, "1 or jan-mar, and * for any"),
    # In input, 7 is Sunday as well as 0. It becomes 0 after ranges are expanded, so that 5-7 is Friday to Sunday.
    _Field("day of the week", 0, 7, WEEKDAYS, "1-5 or mon-fri"),
)
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART = re.compile(r"([a-z0-9*?]+)(?:-([a-z0-9]+))?(?:/([0-9]+))?")

Values = tuple[int, ...]  # ascending


@dataclass(frozen=True, slots=True)
class Schedule:
    """The local times at which a digest fires. `str` returns the cron expression."""

    minutes: Values
    hours: Values
    days: Values | None  # days of the month; None: any
    months: Values
    weekdays: Values | None  # 0 is Sunday; None: any. With `days` too, a day needs to match only one of both

    @classmethod
    def of(
        cls, minutes: Values, hours: Values, days: Values | None, months: Values, weekdays: Values | None
    ) -> Schedule:
        """The schedule with these values. Raises InvalidInput if it would never fire."""
        if len(days or ()) == 31 or len(weekdays or ()) == 7:
            days = weekdays = None  # a day needs to match only one of both, and one matches every day
        schedule = cls(minutes, hours, days, months, weekdays)
        _check_fires(schedule)
        return schedule

    def __str__(self) -> str:
        return " ".join(
            (
                _format_field(self.minutes, 0, 59),
                _format_field(self.hours, 0, 23),
                "*" if self.days is None else _format_list(self.days),
                _format_field(self.months, 1, 12),
                "*" if self.weekdays is None else _format_list(self.weekdays),
            )
        )

    @property
    def is_hourly(self) -> bool:
        """Whether it fires in every hour. Clock changes then neither skip nor repeat a time."""
        return len(self.hours) == 24

    def after(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Yields the times after `moment` at which it fires in that zone, ascending, in UTC, without end.

        When clocks go forward, a skipped time fires at the change. When clocks go back, a time that occurs twice fires
        the first time. A schedule for every hour fires in every hour that exists.
        """
        walk = croniter(self._plain(), moment.astimezone(zone), ret_type=datetime)
        while True:
            found: datetime = walk.get_next()
            again = found.fold == 1 and found.replace(fold=0).utcoffset() != found.utcoffset()
            if self.is_hourly or not again:
                yield found.astimezone(UTC)

    def next(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Returns the first time after `moment` at which it fires, in UTC."""
        return next(self.after(moment, zone))

    def latest(self, low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
        """Returns the last time after `low` and not after `high` at which it fires, in UTC; `low` if there is none."""
        span = timedelta(hours=2)
        while True:
            start = max(low, high - span)
            found = start
            for moment in self.after(start, zone):
                if moment > high:
                    break
                found = moment
            if found > start or start == low:
                return found
            span *= 4

    def next_times(self, count: int, moment: datetime, zone: ZoneInfo) -> list[datetime]:
        """Returns the first `count` times after `moment` at which it fires, in UTC."""
        return list(islice(self.after(moment, zone), count))

    def _plain(self) -> str:
        """Returns the cron expression for croniter, with `*` and lists only."""
        months = "*" if len(self.months) == 12 else _join(self.months)
        hours = "*" if self.is_hourly else _join(self.hours)
        days = "*" if self.days is None else _join(self.days)
        weekdays = "*" if self.weekdays is None else _join(self.weekdays)
        return f"{_join(self.minutes)} {hours} {days} {months} {weekdays}"


def parse_cron(text: str) -> Schedule:
    """Parses cron as people write it. Raises InvalidInput, which names the field and the correct form."""
    fields = _SHORTHANDS.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise InvalidInput(_describe_wrong_count(text, fields), USAGE)
    minutes, hours, days, months, weekdays = (
        _parse_field(written, field) for written, field in zip(fields, _FIELDS, strict=True)
    )
    any_day, any_weekday = (written in ("*", "?") for written in (fields[2], fields[4]))
    return Schedule.of(
        minutes,
        hours,
        None if any_day else days,
        months,
        None if any_weekday else tuple(sorted({day % 7 for day in weekdays})),
    )


def looks_like_cron(text: str) -> bool:
    """Whether a typed schedule is meant as cron, not as words."""
    words = text.split()
    return (
        text.lstrip().startswith("@")
        or any("*" in word for word in words)
        or bool(len(words) > 1 and all(re.fullmatch(r"[\d,/?-]+", word) for word in words[:2]))
    )


def _describe_wrong_count(text: str, fields: Sequence[str]) -> str:
    if text.strip().startswith("@"):
        return f"“{shorten(text.strip())}” is not a schedule. Use one of {', '.join(_SHORTHANDS)}."
    needs = "minute, hour, day of the month, month, day of the week"
    count = len(fields)
    more = " Leave out seconds and years." if count > len(_FIELDS) else ""
    return f"A cron schedule has five fields ({needs}), but “{shorten(text)}” has {count}.{more}"


def _parse_field(written: str, field: _Field) -> Values:
    found: set[int] = set()
    for part in written.split(","):
        found |= _parse_part(part, written, field)
    return tuple(sorted(found))


def _parse_part(part: str, written: str, field: _Field) -> set[int]:
    match = _PART.fullmatch(part.lower())
    if match is None:
        raise _build_field_error(part, written, field)
    first, last, step = match.groups()
    size = field.high - field.low + 1
    if step is not None and not 1 <= int(step[:4]) < size:
        raise _build_field_error(
            part, written, field, f"; a step can be 1 to {size - 1}, and starts again at every {field.low}"
        )
    every = int(step) if step else 1
    if first == "*" or (first == "?" and field.name.startswith("day")):
        if last is not None:
            raise _build_field_error(part, written, field)
        # `*/2` in the last field is every other day from Sunday. Sunday counts once there, as 0 and not also as 7.
        return set(range(field.low, (6 if field.high == 7 else field.high) + 1, every))
    low = _parse_value(first, part, written, field)
    if last is None:
        return set(range(low, field.high + 1, every)) if step else {low}
    high = _parse_value(last, part, written, field)
    if low <= high:
        return set(range(low, high + 1, every))
    # The range wraps around, as in fri-mon, 22-2 or nov-feb.
    top = 6 if field.high == 7 else field.high
    around = [*range(low, top + 1), *range(field.low, high + 1)]
    return set(around[::every])


def _parse_value(word: str, part: str, written: str, field: _Field) -> int:
    if word.isdigit():
        number = int(word[:4])
        if not field.low <= number <= field.high:
            raise _build_field_error(part, written, field, f"; it can be {field.low} to {field.high}")
        return number
    for number, name in enumerate(field.names, field.low):
        if len(word) >= 3 and name.startswith(word):
            return number
    meant = find_closest(word, field.names)
    raise _build_field_error(part, written, field, f"; did you mean {meant[:3]}?" if meant else "")


def _build_field_error(part: str, written: str, field: _Field, more: str = "") -> InvalidInput:
    where = f" in “{shorten(written)}”" if part != written else ""
    mistake = f"“{shorten(part)}”{where} is not a valid {field.name}{more}"
    end = "" if mistake.endswith("?") else "."
    return InvalidInput(f"{mistake}{end} Write it as {field.example}.", USAGE)


def _check_fires(schedule: Schedule) -> None:
    if schedule.days is None or schedule.weekdays is not None:
        return
    if any(schedule.days[0] <= _LONGEST_MONTH[month - 1] for month in schedule.months):
        return
    day = schedule.days[0]
    months = " or ".join(MONTHS[month - 1].capitalize() for month in schedule.months)
    longest = max(_LONGEST_MONTH[month - 1] for month in schedule.months)
    raise InvalidInput(
        f"This digest would never be sent: there is no {day} {months}. The last day is the {longest}th.", USAGE
    )


# --- formatting --------------------------------------------------------------------------------------------


def _join(values: Values) -> str:
    return ",".join(map(str, values))


def _format_field(values: Values, low: int, high: int) -> str:
    """Formats a complete field as `*`, a regular one as a step, and any other as a list."""
    if len(values) == high - low + 1:
        return "*"
    if len(values) > 2 and values[0] == low:
        step = values[1] - values[0]
        if values == tuple(range(low, high + 1, step)):
            return f"*/{step}"
    return _format_list(values)


def _format_list(values: Values) -> str:
    return ",".join(
        f"{first}-{last}" if last - first > 1 else _join(tuple(range(first, last + 1)))
        for first, last in find_runs(values)
    )


def find_runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """Splits ascending values into runs without a gap; returns the first and last value of each."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and value == found[-1][1] + 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return found
