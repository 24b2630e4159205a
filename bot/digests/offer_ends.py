"""Ends offers to take over incidents that nobody has answered in time."""

from __future__ import annotations

from datetime import datetime

from bot.incidents import handoff
from storage.engine import Store


def end_lapsed_offers(store: Store, now: datetime) -> int:
    """Ends all that are due and that no other replica ends. Returns how many. Raises DatabaseAway, Contended."""
    ended = 0
    while True:
        with store.write() as tx:
            if not handoff.end_next_lapsed(tx, now):
                return ended
        ended += 1
