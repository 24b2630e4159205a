"""Whose Home is to be published anew, one worker at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from storage.engine import Store
from storage.queries import homes
from storage.queries.homes import DueHome

LEASE = timedelta(minutes=1)  # after this another worker tries again
AT_ONCE = 10


def take_due(store: Store, workspaces: Sequence[str]) -> list[DueHome]:
    """Leases at most AT_ONCE that are due in these workspaces. Raises DatabaseAway, Contended."""
    with store.write() as tx:
        return homes.take_due(tx, workspaces, store.clock.now(), lease=LEASE, most=AT_ONCE)


def settle(store: Store, home: DueHome) -> None:
    """Records that one was published. Raises DatabaseAway, Contended."""
    with store.write() as tx:
        homes.settle(tx, home)
