"""Ends the silences whose time has come, and tells their makers what they held back.

The row of a silence is locked meanwhile, and one that has ended is not due again. So each ends once, with any number of
replicas, even if some are killed. What a silence still has to hold or to release is done in batches, which any replica
takes up where another one stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.incidents.silences import end_blind_silence, end_due_silence, go_on_holding, go_on_releasing
from bot.people.notices import notify_maker
from storage.engine import Store
from storage.silence_rows import EndedSilence

BLIND_EVERY = timedelta(minutes=1)
BATCHES_AT_ONCE = 5  # of incidents, before digests and other work of the thread have their turn


def end_due(store: Store, now: datetime) -> int:
    """Ends all silences that are due, and returns how many. Raises DatabaseAway, Contended."""
    return _end_all(store, now, end_due_silence)


def end_blind(store: Store, now: datetime) -> int:
    """Ends all silences whose maker no longer sees their project, and returns how many.

    It looks at all that are in force, so not every tick does it. Raises DatabaseAway, Contended.
    """
    return _end_all(store, now, end_blind_silence)


def _end_all(store: Store, now: datetime, end: Callable[[Connection, datetime], EndedSilence | None]) -> int:
    count = 0
    while True:
        with store.write() as tx:
            ended = end(tx, now)
            if ended is None:
                return count
            notify_maker(tx, ended, now)
        count += 1


def hold_more(store: Store, now: datetime) -> bool:
    """Has silences hold more of the incidents that they match. Returns whether there may be others.

    Raises DatabaseAway, Contended.
    """
    for _ in range(BATCHES_AT_ONCE):
        with store.write() as tx:
            if not go_on_holding(tx, now):
                return False
    return True


def release_more(store: Store, now: datetime) -> bool:
    """Has silences that ended release more of their incidents. Returns whether there may be others.

    Raises DatabaseAway, Contended.
    """
    for _ in range(BATCHES_AT_ONCE):
        with store.write() as tx:
            released = go_on_releasing(tx, now)
            if released is None:
                return False
            notify_maker(tx, released, now, by=released.by)
    return True
