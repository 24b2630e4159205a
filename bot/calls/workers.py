"""Runs calls: one thread makes the steps that are due, another keeps who is on call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from bot.calls.firing import fire_due
from bot.calls.usergroups import refresh_stale
from bot.people.identity import Identity
from bot.slack.clients import Clients
from storage.engine import Store
from storage.errors import Contended, DatabaseAway

log = structlog.get_logger(__name__)

TICK_S = 1.0


class CallWorkers:
    """The threads of calls, from `start` to `stop`. Any number of replicas may run them."""

    def __init__(self, store: Store, clients: Clients, identity: Identity, *, tick_s: float = TICK_S) -> None:
        """`tick_s` is how often, in seconds, they look for what is due."""
        self._store = store
        self._clients = clients
        self._identity = identity
        self._tick_s = tick_s
        self._stopping = threading.Event()
        # Apart from each other: a call must not wait for an answer of Slack.
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"calls-{name}", daemon=True)
            for name, work in (("steps", self.fire), ("usergroups", self.refresh))
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Waits at most `seconds` for what has begun. Another replica, or the next start, does the rest."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def fire(self) -> None:
        """Makes the steps that are due. Raises DatabaseAway, Contended."""
        fire_due(self._store, self._store.clock.now())

    def refresh(self) -> None:
        """Reads the user groups that have changed. Raises DatabaseAway, Contended."""
        refresh_stale(self._store, self._clients, self._identity, self._store.clock.now())

    def _run(self, work: Callable[[], None]) -> None:
        while not self._stopping.wait(self._tick_s):
            try:
                work()
            except (DatabaseAway, Contended) as error:
                log.warning("calls wait for the database", error=str(error.__cause__ or error))
            except Exception:
                log.exception("calls failed unexpectedly")
