"""Durations as people type them, and the ends of silences."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.incidents.durations import find_duration, format_duration
from bot.incidents.errors import InvalidInput
from bot.incidents.silence_times import parse_end

NIGHT = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)  # 3:30 in Berlin


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("60m", 3600), ("1h30m", 5400), ("1H30M", 5400), ("1d2h", 93_600), ("2w", 1_209_600), ("90s", 90), ("0m", 0)],
)
def test_a_duration_is_numbers_with_units_the_largest_first(typed: str, seconds: int) -> None:
    assert find_duration(typed) == seconds
    assert find_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("typed", ["", "60", "h", "30m1h", "1h1h", "1.5h", "-1h", "1h ", "١h", "1234567890s"])
def test_anything_else_is_none(typed: str) -> None:
    assert find_duration(typed) is None


@pytest.mark.parametrize(
    ("typed", "end", "reason"),
    [
        ("1h30m upgrade", "11-28T04:00", "upgrade"),
        ('"2h" upgrade', "11-28T04:30", "upgrade"),
        ("“2 hours” upgrade of “db”", "11-28T04:30", "upgrade of “db”"),
        ("“until:18:00” upgrade", "11-28T17:00", "upgrade"),
        ("for 2 hours, upgrade", "11-28T04:30", "upgrade"),
        ("1 hour 30 minutes upgrade", "11-28T04:00", "upgrade"),
        ("2h 3 days of work", "11-28T04:30", "3 days of work"),
        ("until:tomorrow upgrade", "11-29T08:00", "upgrade"),
        ("until tomorrow at 6pm upgrade", "11-29T17:00", "upgrade"),
        ("till 6 pm upgrade", "11-28T17:00", "upgrade"),
        ('until:"tomorrow 18:00" upgrade', "11-29T17:00", "upgrade"),
        ("until:18:00 upgrade", "11-28T17:00", "upgrade"),
        ("until:6pm", "11-28T17:00", ""),
        ("until 6:30 PM upgrade", "11-28T17:30", "upgrade"),
        ("until:3:29", "11-29T02:29", ""),  # has just passed
        ("until:12am", "11-28T23:00", ""),
        ("until:2026-11-29", "11-29T23:00", ""),
    ],
)
def test_the_end_of_a_silence_in_berlin(typed: str, end: str, reason: str) -> None:
    expected = datetime.fromisoformat(f"2026-{end}").replace(tzinfo=UTC)
    assert parse_end(typed, NIGHT, "Europe/Berlin") == (expected, reason)


@pytest.mark.parametrize(
    "typed", ["until:13pm", "until:0am", "until:18", "until:tomorrow2", "until:24:00", "until morning", "2 dbs", ""]
)
def test_what_is_no_end_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        parse_end(typed, NIGHT, "Europe/Berlin")
