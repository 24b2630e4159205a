"""Durations in the organization file and in forms: a number and `s`, `m`, `h` or `d`."""

from __future__ import annotations

import re
from typing import Any

_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.IGNORECASE)
_LONGEST_S = 365 * 86400


def parse_duration(value: Any, *, shortest_s: int = 0, longest_s: int = _LONGEST_S) -> int:
    """The seconds of a duration such as `60m`. Raises ValueError."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("should be a number and s, m, h or d, like 60m")
    seconds = int(found[1]) * _UNITS_S[found[2].lower()]
    if not shortest_s <= seconds <= longest_s:
        raise ValueError(f"should be from {format_duration(shortest_s)} to {format_duration(longest_s)}")
    return seconds


def format_duration(seconds: int) -> str:
    """A duration as the file has it, in the largest unit that fits: 3600 is `1h`."""
    unit = next(unit for unit, size in _UNITS_S.items() if seconds % size == 0 and (seconds or unit == "m"))
    return f"{seconds // _UNITS_S[unit]}{unit}"
