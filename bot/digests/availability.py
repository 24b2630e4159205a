"""Remembers when this process could reach the database, to say why a digest was missed."""

from __future__ import annotations

from datetime import datetime

from bot.digests.scheduler import NOT_RUNNING

DATABASE_AWAY = "the database was not available."


class Availability:
    """When the database was last away. Only the tick uses it, on one thread."""

    def __init__(self) -> None:
        self._worked_at: datetime | None = None  # the last tick that reached the database
        self._away: tuple[datetime, datetime] | None = (
            None  # from the last tick that reached it to the last that did not
        )
        self._is_away = False

    def note_away(self, now: datetime) -> None:
        """Records that a tick did not reach the database."""
        since = self._away[0] if self._away and self._is_away else self._worked_at or now
        self._away, self._is_away = (since, now), True

    def note_worked(self, now: datetime) -> None:
        """Records that a tick reached the database."""
        self._worked_at, self._is_away = now, False

    def explain(self, due: datetime, too_late: datetime) -> str:
        """Says why a digest that was due at `due` was missed, if no tick looked at it until `too_late`."""
        if self._away and self._away[0] <= too_late and due <= self._away[1]:
            return DATABASE_AWAY
        return NOT_RUNNING
