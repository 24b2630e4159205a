"""Durations, in the organization file, in forms and in commands: numbers and `s`, `m`, `h`, `d` or `w`."""

from __future__ import annotations

import re
from typing import Any

_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SIZES_S = (7 * 86400, *_UNITS_S.values())
_DURATION = re.compile(
    r"(?:([0-9]{1,9})w)?(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?", re.IGNORECASE
)
_LONGEST_S = 365 * 86400


def find_duration(text: str) -> int | None:
    """The seconds of a duration such as `90m` or `1h30m`, the largest unit first; None for any other text."""
    found = _DURATION.fullmatch(text) if text else None
    if found is None:
        return None
    return sum(int(count or 0) * size for count, size in zip(found.groups(), _SIZES_S, strict=True))


def parse_duration(value: Any, *, shortest_s: int = 0, longest_s: int = _LONGEST_S) -> int:
    """The seconds of a duration such as `60m`. Raises ValueError."""
    seconds = find_duration(value) if isinstance(value, str) else None
    if seconds is None:
        raise ValueError("should be a number and s, m, h or d, like 60m")
    if not shortest_s <= seconds <= longest_s:
        raise ValueError(f"should be from {format_duration(shortest_s)} to {format_duration(longest_s)}")
    return seconds


def format_duration(seconds: int) -> str:
    """A duration as the file has it, in the largest unit that fits: 3600 is `1h`."""
    unit = next(unit for unit, size in _UNITS_S.items() if seconds % size == 0 and (seconds or unit == "m"))
    return f"{seconds // _UNITS_S[unit]}{unit}"
