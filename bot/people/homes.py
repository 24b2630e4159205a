"""Whose Home is to be published anew, one worker at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from storage.engine import Store
from storage.queries import homes
from storage.queries.homes import DueHome

LEASE = timedelta(minutes=1)  # after this another worker tries, because this one has died
AGAIN_AFTER = timedelta(seconds=5)  # where Slack could not be asked
AT_ONCE = 10


def take_due(store: Store, workspaces: Sequence[str]) -> list[DueHome]:
    """Leases at most AT_ONCE that are due in these workspaces. Raises DatabaseAway, Contended."""
    with store.write() as tx:
        return homes.take_due(tx, workspaces, store.clock.now(), lease=LEASE, most=AT_ONCE)


def settle(store: Store, home: DueHome, *, published: bool) -> None:
    """Records that one was published, or has it tried again soon. Raises DatabaseAway, Contended."""
    with store.write() as tx:
        homes.settle(tx, home, None if published else store.clock.now() + AGAIN_AFTER)
