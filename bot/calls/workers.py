"""Runs calls: one thread makes the steps that are due, another keeps who is on call."""

from __future__ import annotations

import time

from bot.calls.firing import fire_due
from bot.calls.metrics import CallMetrics
from bot.calls.usergroups import refresh_stale
from bot.people.identity import Identity
from bot.slack.clients import Clients
from bot.work import WorkSignals, WorkThread
from storage.engine import Store
from storage.values import Work


class CallWorkers:
    """The threads of calls, from `start` to `stop`. Any number of replicas may run them."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        identity: Identity,
        signals: WorkSignals,
        metrics: CallMetrics | None = None,
    ) -> None:
        """`signals` wakes them when something is due."""
        self._store = store
        self._clients = clients
        self._identity = identity
        self._metrics = metrics
        self._stopping = False
        # Apart from each other: a call must not wait for an answer of Slack.
        self._threads = [
            WorkThread("calls-steps", lambda _: self.fire(), signals.add_worker(Work.CALLS)),
            WorkThread("calls-usergroups", lambda _: self.refresh(), signals.add_worker(Work.USERGROUPS)),
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Waits at most `seconds` for what has begun. Another replica, or the next start, does the rest."""
        deadline = time.monotonic() + seconds
        self._stopping = True
        for thread in self._threads:
            thread.begin_stop()
        for thread in self._threads:
            thread.stop(deadline - time.monotonic())

    def fire(self) -> None:
        """Makes the steps that are due. Raises DatabaseAway, Contended."""
        fire_due(self._store, self._store.clock.now(), self._metrics)

    def refresh(self) -> None:
        """Reads the user groups that have changed. Raises DatabaseAway, Contended."""
        while not self._stopping and refresh_stale(self._store, self._clients, self._identity, self._store.clock.now()):
            pass
