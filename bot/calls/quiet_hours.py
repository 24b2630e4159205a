"""Quiet hours, in which a step waits: from one time of the day to another, in a team's zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def find_end(quiet: str, zone: str | None, now: datetime) -> datetime | None:
    """When the quiet hours end that `now` is in; None outside of them. `quiet` is "22:00-07:00", `zone` an IANA name.

    Without a zone they are in UTC. A time that clocks skip is the moment at which they do.
    """
    begin, end = (time.fromisoformat(part) for part in quiet.split("-"))
    local = now.astimezone(ZoneInfo(zone or "UTC"))
    clock = local.time()
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if clock >= end else 0)
    return datetime.combine(day, end, local.tzinfo).astimezone(UTC)
