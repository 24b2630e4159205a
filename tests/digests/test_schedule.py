"""Schedules: read from cron and words, said back, and their moments against an independent calculation."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.digests import zones
from bot.digests.schedule import Schedule, parse_cron
from bot.digests.schedule_text import describe_schedule, parse_schedule
from bot.incidents.errors import InvalidInput
from tests.long import LONG

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


@pytest.mark.parametrize(
    ("typed", "cron", "said"),
    [
        ("0 9 * * 1-5", "0 9 * * 1-5", "weekdays at 9:00 AM"),
        ("0 9 * * MON-FRI", "0 9 * * 1-5", "weekdays at 9:00 AM"),
        ("weekdays at 9", "0 9 * * 1-5", "weekdays at 9:00 AM"),
        ("Weekdays at 9am", "0 9 * * 1-5", "weekdays at 9:00 AM"),
        ("mon-fri at 9 and 17", "0 9,17 * * 1-5", "weekdays at 9:00 AM and 5:00 PM"),
        ("every day at 17:30", "30 17 * * *", "every day at 5:30 PM"),
        ("daily at 5:30 pm", "30 17 * * *", "every day at 5:30 PM"),
        ("9am", "0 9 * * *", "every day at 9:00 AM"),
        ("mon-fri 17:30", "30 17 * * 1-5", "weekdays at 5:30 PM"),
        ("at 9", "0 9 * * *", "every day at 9:00 AM"),
        ("every monday at 8", "0 8 * * 1", "every Monday at 8:00 AM"),
        ("at 9 on mondays", "0 9 * * 1", "every Monday at 9:00 AM"),
        ("mondays, wednesdays and sun at noon", "0 12 * * 0,1,3", "every Monday, Wednesday and Sunday at 12:00 PM"),
        ("friday to monday at midnight", "0 0 * * 0,1,5,6", "every Monday and Friday to Sunday at 12:00 AM"),
        ("hourly", "0 * * * *", "every hour"),
        ("every hour at :15 on weekdays", "15 * * * 1-5", "every hour at :15 on weekdays"),
        ("every 15 minutes", "*/15 * * * *", "every 15 minutes"),
        ("every 2 hours", "0 */2 * * *", "every 2 hours"),
        ("*/30 9-17 * * 1-5", "0,30 9-17 * * 1-5", "every 30 minutes from 9 AM to 5 PM on weekdays"),
        ("* * * * *", "* * * * *", "every minute"),
        ("on the 1st and 15th of every month at 9", "0 9 1,15 * *", "on the 1st and 15th of every month at 9:00 AM"),
        ("0 9 13 * 5", "0 9 13 * 5", "on the 13th of every month and every Friday at 9:00 AM"),
        ("30 8 1 jan,jul *", "30 8 1 1,7 *", "on the 1st of January and July at 8:30 AM"),
        ("0 0 29 2 *", "0 0 29 2 *", "on the 29th of February at 12:00 AM"),
        ("5 4 * * 7", "5 4 * * 0", "every Sunday at 4:05 AM"),
        ("0 9 * * 5-7", "0 9 * * 0,5,6", "Friday to Sunday at 9:00 AM"),
        ("0 9 5-5 * *", "0 9 5 * *", "on the 5th of every month at 9:00 AM"),
        ("0 22-2 * * *", "0 0-2,22,23 * * *", "every day at 12:00 AM, 1:00 AM, 2:00 AM, 10:00 PM and 11:00 PM"),
        ("0/20 * ? * *", "*/20 * * * *", "every 20 minutes"),
        ("0 9 1-31 * 1", "0 9 * * *", "every day at 9:00 AM"),
        ("@weekly", "0 0 * * 0", "every Sunday at 12:00 AM"),
    ],
)
def test_what_people_write_is_read_and_said_back(typed: str, cron: str, said: str) -> None:
    schedule = parse_schedule(typed)
    assert (str(schedule), describe_schedule(schedule)) == (cron, said)
    assert parse_schedule(cron) == schedule


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("61 * * * *", "“61” is not a valid minute; it can be 0 to 59"),
        ("0 24 * * *", "“24” is not a valid hour"),
        ("0 9 0 * *", "“0” is not a valid day of the month"),
        ("0 9 * 13 *", "“13” is not a valid month"),
        ("0 9 * * 8", "“8” is not a valid day of the week"),
        ("0 9 * * mno", "“mno” is not a valid day of the week"),
        ("0 9 * * thirsday", "did you mean thu?"),
        ("0 9 L * *", "“L” is not a valid day of the month"),
        ("0 9 * * 5#2", "“5#2” is not a valid day of the week"),
        ("*/90 * * * *", "a step can be 1 to 59"),
        ("*/0 * * * *", "a step can be 1 to 59"),
        ("1,,2 * * * *", "“” in “1,,2” is not a valid minute"),
        ("* * * *", "has 4"),
        ("0 9 * * 1-5 2026", "has 6. Leave out seconds and years"),
        ("@reboot", "Use one of @hourly"),
        ("0 9 30 2 *", "there is no 30 February"),
        ("0 9 31 apr,jun *", "there is no 31 April or June"),
        ("on the 30th of february at 9", "there is no 30 February"),
        ("٣ 9 * * *", "“٣” is not a valid minute"),
        ("", "When should the digest be sent?"),
        ("weekdays", "Add a time, for example weekdays at 9:00 AM"),
        ("every day at 25", "25 is not a time"),
        ("every day at 9:75", "9:75 is not a time"),
        ("every day at 13pm", "13pm is not a time"),
        ("every day at 9 and 17:30", "need the same minutes"),
        ("every blursday at 9", "“blursday” is not a day. Did you mean “thursday”?"),
        ("every month at 9", "it has no days"),
        ("on the 32nd at 9", "no month has a day 32"),
        ("every 7 minutes", "it can be every 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 minutes"),
        ("every 60 minutes", "write every 60 minutes as hourly"),
        ("weekdays at 9 at 10", "more than one “at”"),
        ("hourly from 17 to 9", "from an earlier to a later one"),
        ("x" * 201, "at most 200 characters"),
    ],
)
def test_a_mistake_is_named(typed: str, names: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_schedule(typed)
    assert names in raised.value.sentence
    assert raised.value.form


def test_a_zone_is_named_as_people_do() -> None:
    assert zones.parse_zone("europe/berlin", "").key == "Europe/Berlin"
    assert zones.parse_zone("America/New York", "").key == "America/New_York"
    for typed, meant in (
        ("Berlin", "Europe/Berlin"),
        ("Europe/Belrin", "Europe/Berlin"),
        ("Kolkatta", "Asia/Kolkata"),
    ):
        with pytest.raises(InvalidInput, match=meant):
            zones.parse_zone(typed, "")


_SETS = {
    "minutes": st.sets(st.integers(0, 59), min_size=1, max_size=60),
    "hours": st.sets(st.integers(0, 23), min_size=1, max_size=24),
    "days": st.none() | st.sets(st.integers(1, 31), min_size=1, max_size=31),
    "months": st.just(set(range(1, 13))) | st.sets(st.integers(1, 12), min_size=1, max_size=12),
    "weekdays": st.none() | st.sets(st.integers(0, 6), min_size=1, max_size=7),
}


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any schedule that ever fires."""
    values = {key: draw(strategy) for key, strategy in _SETS.items()}
    ordered = {key: None if found is None else tuple(sorted(found)) for key, found in values.items()}
    try:
        return Schedule.of(**ordered)  # type: ignore[arg-type]
    except InvalidInput:
        return Schedule.of((0,), (9,), None, tuple(range(1, 13)), None)


@given(schedules())
def test_cron_written_again_is_the_same_schedule(schedule: Schedule) -> None:
    assert parse_cron(str(schedule)) == schedule


@given(schedules())
def test_what_is_said_back_never_means_something_else(schedule: Schedule) -> None:
    said = describe_schedule(schedule)
    try:
        again = parse_schedule(said)
    except InvalidInput:
        return  # some schedules can be said in words and not typed in them
    assert again == schedule


@given(st.text(alphabet="0123456789 *,-/?@aApPmMtTeEvVrRyY:ndos", max_size=30))
def test_whatever_is_typed_is_a_schedule_or_a_named_mistake(typed: str) -> None:
    try:
        schedule = parse_schedule(typed)
    except InvalidInput as mistake:
        assert mistake.sentence
    else:
        assert schedule.next(datetime(2026, 1, 1, tzinfo=UTC), BERLIN)


# --- the moments -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Minute:
    """A minute, and what a wall clock does in it."""

    moment: datetime
    wall: datetime
    again: bool  # the clock has shown this time before
    jumped: tuple[datetime, ...]  # the times that it has jumped over to get here


def minutes_of(zone: ZoneInfo, start: datetime, end: datetime) -> list[Minute]:
    """Every minute in (start, end] as a clock in that zone shows it."""
    found = []
    before = latest = start.astimezone(zone).replace(tzinfo=None)
    moment = start + MINUTE
    while moment <= end:
        wall = moment.astimezone(zone).replace(tzinfo=None)
        jumped = tuple(minutes_between(before, wall)) if wall > before + MINUTE else ()
        found.append(Minute(moment, wall, wall <= latest, jumped))
        before, latest = wall, max(wall, latest)
        moment += MINUTE
    return found


def minutes_between(first: datetime, last: datetime) -> Iterator[datetime]:
    """The minutes between two times, without them."""
    while (first := first + MINUTE) < last:
        yield first


def every_minute_tried(schedule: Schedule, minutes: list[Minute]) -> list[datetime]:
    """The fires, by asking every minute whether it is one. Knows nothing of croniter.

    A minute is a fire when its wall-clock time matches, the first time that the clock shows it. Where the clock
    jumps, the times that it jumps over count at the minute it jumps to. A schedule that names no hour follows the
    clock: it fires each time its minute is shown, and makes up for none.
    """
    times = {(hour, minute) for hour in schedule.hours for minute in schedule.minutes}
    fires = []
    for one in minutes:
        if schedule.is_hourly:
            due = _matches(schedule, one.wall, times)
        else:
            due = (not one.again and _matches(schedule, one.wall, times)) or any(
                _matches(schedule, wall, times) for wall in one.jumped
            )
        if due:
            fires.append(one.moment)
    return fires


def _matches(schedule: Schedule, wall: datetime, times: set[tuple[int, int]]) -> bool:
    if (wall.hour, wall.minute) not in times or wall.month not in schedule.months:
        return False
    weekday = wall.isoweekday() % 7
    if schedule.days is not None and schedule.weekdays is not None:
        return wall.day in schedule.days or weekday in schedule.weekdays
    if schedule.days is not None:
        return wall.day in schedule.days
    return schedule.weekdays is None or weekday in schedule.weekdays


YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
# Every cron through the whole year with TOCSIN_LONG_TESTS, else through the days around the moves of the clock; where
# it does not move, through weeks that hold a 13th, a 31st and every weekday.
DAYS = timedelta(days=3)
WEEKS = timedelta(days=32)
CRONS = (
    "0 9 * * 1-5",
    "30 2 * * *",  # jumped over in Berlin and New York in spring, twice in autumn
    "15 2 * * *",  # jumped over on Lord Howe, whose clock moves by half an hour
    "45 1 * * *",  # twice on Lord Howe and in New York in autumn
    "*/20 1-3 * * *",
    "0 * * * *",
    "*/30 * * * *",
    "45 * * * *",
    "0 */2 * * *",
    "0 8 13 * 5",
    "59 23 31 * *",
    "30 2 * * 0",
)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
def test_a_year_of_fires_with_a_moving_clock(zone: str) -> None:
    where = ZoneInfo(zone)
    around = [(moved - DAYS, moved + DAYS) for moved in moves(where)] or [(YEAR[0], YEAR[0] + WEEKS)]
    for start, end in [YEAR] if LONG else around:
        compare_fires(where, start, end)


def compare_fires(where: ZoneInfo, start: datetime, end: datetime) -> None:
    """Compares the fires of all crons in (start, end] with those that trying every minute finds."""
    minutes = minutes_of(where, start, end)
    for cron in CRONS:
        schedule = parse_cron(cron)
        expected = every_minute_tried(schedule, minutes)
        fires, clock = [], start
        while (following := schedule.next(clock, where)) <= end:
            fires.append(following)
            clock = following
        assert fires == expected, cron
        # A clock that is read somewhere between the fires finds the same next one.
        for before, fire in list(pairwise(fires))[::50]:
            assert schedule.next(before + (fire - before) * 0.99, where) == fire


# Clocks that move at two, at midnight, by half an hour, by two hours, back in winter, and around a month of fasting.
MOVING = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"),
    *("Antarctica/Troll", "Europe/Dublin", "Africa/Casablanca", "America/St_Johns", "Asia/Beirut", "Pacific/Chatham"),
)
IN_EACH = 37  # schedules; 814 in all, half of them for each of the two times that a clock moves in a year


def moves(zone: ZoneInfo) -> list[datetime]:
    """The first and the last hour of the year in which the clock moves, if it does."""
    hours = [YEAR[0] + timedelta(hours=hour) for hour in range(365 * 24)]
    found = [one for one in hours if one.astimezone(zone).utcoffset() != (one - HOUR).astimezone(zone).utcoffset()]
    return [found[0], found[-1]] if found else []


def any_schedule(chance: random.Random, moved: datetime) -> Schedule:
    """A schedule that somebody may have, and that is about to be told when the clock moves."""
    minutes = chance.choice(["0", "30", "15", "45", "59", "1-58/19", "*/5", "*/15", "*/20", "*/30", "7,37"])
    hours = chance.choice(["*", "0", "1", "2", "3", "23", "0-3", "1,2", "*/2", "22-2", "0,12", "1-3", "2-23/7"])
    day, weekday = chance.choice([("*", "*"), ("day", "*"), ("*", "weekday"), ("day", "weekday")])
    dates = f"{moved.day},{min(31, moved.day + 1)}" if chance.random() < 0.5 else f"{max(1, moved.day - 1)}-{moved.day}"
    weekdays = chance.choice(["0", "1-5", "6,0", "5-1", f"{moved.isoweekday() % 7}", "*/2"])
    month = chance.choice(["*", f"{moved.month}", "3-11"])
    cron = f"{minutes} {hours} {dates if day == 'day' else '*'} {month} {weekdays if weekday == 'weekday' else '*'}"
    return parse_cron(cron)


@pytest.mark.parametrize("name", MOVING)
def test_schedules_around_the_moments_at_which_a_clock_moves(name: str) -> None:
    zone, chance = ZoneInfo(name), random.Random(name)
    fired = 0
    for moved in moves(zone):
        start, end = moved - timedelta(days=2), moved + timedelta(days=2)
        minutes = minutes_of(zone, start, end)
        for _ in range(IN_EACH):
            schedule = any_schedule(chance, moved.astimezone(zone))
            fires = list(itertools.takewhile(end.__ge__, schedule.after(start, zone)))
            assert fires == every_minute_tried(schedule, minutes), f"{schedule} in {name}"
            fired += bool(fires)
    assert 2 * IN_EACH * len(MOVING) == 814
    assert fired > IN_EACH  # most of them were about to be told


def _fires(cron: str, zone: ZoneInfo, day: str, count: int) -> list[str]:
    found = parse_cron(cron).next_times(count, datetime.fromisoformat(day).replace(tzinfo=zone), zone)
    return [f"{one.astimezone(zone):%d %H:%M %z}" for one in found]


def test_a_time_that_does_not_exist_fires_when_the_clock_jumps() -> None:
    assert _fires("30 2 * * *", BERLIN, "2026-03-28T12:00", 2) == ["29 03:00 +0200", "30 02:30 +0200"]
    assert _fires("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", 2) == ["04 02:30 +1100", "05 02:15 +1100"]


def test_several_times_that_do_not_exist_fire_once() -> None:
    assert _fires("*/20 2 * * *", BERLIN, "2026-03-28T12:00", 2) == ["29 03:00 +0200", "30 02:00 +0200"]


def test_a_fixed_time_that_comes_twice_fires_once() -> None:
    assert _fires("30 2 * * *", BERLIN, "2026-10-24T12:00", 2) == ["25 02:30 +0200", "26 02:30 +0100"]


def test_an_hourly_one_fires_each_hour() -> None:
    assert _fires("0 * * * *", BERLIN, "2026-10-25T00:30", 4) == [
        "25 01:00 +0200",
        "25 02:00 +0200",
        "25 02:00 +0100",
        "25 03:00 +0100",
    ]
    assert _fires("15 * * * *", BERLIN, "2026-03-29T00:30", 2) == ["29 01:15 +0100", "29 03:15 +0200"]


def test_wall_clock_times_stay_wall_clock() -> None:
    new_york = ZoneInfo("America/New_York")
    found = parse_cron("0 9 * * *").next_times(365, datetime(2026, 1, 1, 12, tzinfo=UTC), new_york)
    assert {f"{one.astimezone(new_york):%H:%M}" for one in found} == {"09:00"}
    assert {one.hour for one in found} == {13, 14}
