"""Looks for what is due, for all workers of the process, and watches the database's clock.

Commits and notifications wake the workers at once. What becomes due as time passes, and what was left by a process that
died, by a lost notification or by a command of the operator, is found here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bot.delivery.pace import Pace
from bot.work import WorkSignals
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import due_work, pacing
from storage.queries.leases import Serving
from storage.values import Work

log = structlog.get_logger(__name__)

_LEAST_S = 0.05  # between two looks
_SET_BACK_S = 5.0  # a clock that goes back this far was set, not gradually corrected
_SET_BACK_WATCHED_S = 30.0


class DueWorkWatch:
    """Wakes the workers that have something to do. One thread uses it."""

    def __init__(self, store: Store, signals: WorkSignals, get_serving: Callable[[], Serving], pace: Pace) -> None:
        self._store = store
        self._signals = signals
        self._get_serving = get_serving
        self._pace = pace
        self._clocks_seen: tuple[float, float] | None = None  # the monotonic clock and the database's, read together
        self._set_back_at: float | None = None  # on the monotonic clock

    def look(self) -> float | None:
        """Wakes who has something to do. Returns the seconds until other work is due, if that is known.

        Raises DatabaseAway, Contended.
        """
        asked = time.monotonic()
        try:
            with self._store.read() as connection:
                found = due_work.find_due_work(connection, self._get_serving(), self._store.clock.now())
        except (DatabaseAway, Contended):
            self._signals.wake(Work.DIGESTS)  # to note why a digest is missed, should that come of it
            raise
        self._store.clock.adjust(found.database_time, asked)
        self._watch_clock()
        self._signals.wake(found.work)
        return None if found.next_s is None else max(_LEAST_S, found.next_s)

    def _watch_clock(self) -> None:
        """Adjusts stored times after the database's clock was set back, so that nothing waits for the old time.

        A clock that was set ahead does no harm: some messages are sent early, and Slack refuses those that are too
        early.
        """
        here, there = time.monotonic(), self._store.clock.now().timestamp()
        if self._clocks_seen is not None:
            seen_here, seen_there = self._clocks_seen
            back_s = (here - seen_here) - (there - seen_there)
            if back_s > _SET_BACK_S:
                log.warning("the database's clock was set back", seconds=round(back_s))
                self._set_back_at = here
        self._clocks_seen = here, there
        # This is repeated for a while, because other replicas notice later and write times of the old clock until then.
        if self._set_back_at is not None and here - self._set_back_at < _SET_BACK_WATCHED_S:
            with self._store.write() as tx:
                pacing.adjust_to_clock_set_back(tx, self._pace.lease_s, self._store.clock.now())
