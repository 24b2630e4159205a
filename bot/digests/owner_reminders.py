"""Asks owners from whom nothing was heard, when that is due.

The rows that are due are locked, and each is changed in the transaction that enqueues its message. So each step happens
once, with any number of replicas, even if some are killed.
"""

from __future__ import annotations

from datetime import datetime

from bot.incidents import reminders
from storage.engine import Store

BATCH = 200  # incidents in one transaction


def remind_owners(store: Store, now: datetime) -> None:
    """Asks all owners who are due. Raises DatabaseAway, Contended."""
    while True:
        with store.write() as tx:
            due = reminders.remind_due(tx, now, BATCH)
        if due < BATCH:
            return
