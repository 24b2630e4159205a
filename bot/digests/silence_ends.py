"""Ends the silences whose time has come, and tells their makers what they held back.

The row of a silence is locked meanwhile, and one that has ended is not due again. So each ends once, with any number of
replicas, even if some are killed.
"""

from __future__ import annotations

from datetime import datetime

from bot.incidents.silences import end_due_silences
from bot.people.notices import notify_maker
from storage.engine import Store

BATCH = 50  # silences in one transaction; each may have held thousands of incidents


def end_due(store: Store, now: datetime) -> int:
    """Ends all silences that are due, and returns how many. Raises DatabaseAway, Contended."""
    count = 0
    while True:
        with store.write() as tx:
            ended = end_due_silences(tx, now, BATCH)
            for one in ended:
                notify_maker(tx, one, now)
        count += len(ended)
        if len(ended) < BATCH:
            return count
