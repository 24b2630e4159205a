"""Durations in the organization file, as types of its fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from bot.incidents.durations import parse_duration

LongDuration = Annotated[int, BeforeValidator(lambda value: parse_duration(value, shortest_s=60))]  # a minute at least
StormWindow = Annotated[int, BeforeValidator(lambda value: parse_duration(value, shortest_s=1, longest_s=3600))]
