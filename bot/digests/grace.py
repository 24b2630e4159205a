"""How late a digest may still be sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.digests.schedule import parse_cron
from storage.digest_rows import DigestRow, Fire

MAX_DEFAULT = timedelta(hours=2)
# Preparing and sending a digest takes some time, whatever its grace is. The shortest default is as long.
MIN = timedelta(seconds=30)


def get_grace(minutes: int | None, fire_at: datetime, following: datetime) -> timedelta:
    """Returns the grace of a digest that is due at `fire_at`, and the next time at `following`.

    `minutes` is what the organization file says. None is the default: half the time to the next digest, at most
    MAX_DEFAULT.
    """
    if minutes is not None:
        return max(timedelta(minutes=minutes), MIN)
    return max(min((following - fire_at) / 2, MAX_DEFAULT), MIN)


def is_too_late(digest: DigestRow, fire: Fire, now: datetime) -> bool:
    """Whether a fire may no longer be sent. One that a person requested may be as late as MAX_DEFAULT by default."""
    late = now - fire.fire_at
    if late <= MIN:
        return False
    if fire.by_hand and digest.grace_minutes is None:
        return late > MAX_DEFAULT
    following = parse_cron(digest.cron).next(fire.fire_at, ZoneInfo(digest.zone))
    return late > get_grace(digest.grace_minutes, fire.fire_at, following)
