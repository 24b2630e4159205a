"""Durations in the organization file, as types of its fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from bot.incidents.durations import parse_duration

LongDuration = Annotated[int, BeforeValidator(lambda value: parse_duration(value, shortest_s=60))]  # a minute at least
# Longer than the longest quiet time, in which a closed incident may be reopened.
Retention = Annotated[
    int, BeforeValidator(lambda value: parse_duration(value, shortest_s=86400, longest_s=36500 * 86400))
]
StormWindow = Annotated[int, BeforeValidator(lambda value: parse_duration(value, shortest_s=1, longest_s=3600))]
