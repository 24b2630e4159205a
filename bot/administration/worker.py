"""Removes what is kept no longer, now and then, on a thread of its own."""

from __future__ import annotations

import threading

import structlog

from bot.administration.retention import remove_all_old
from storage.engine import Store
from storage.errors import Contended, DatabaseAway

log = structlog.get_logger(__name__)

EVERY_S = 600.0


class RetentionWorker:
    """The thread, from `start` to `stop`. Any number of replicas may run one."""

    def __init__(self, store: Store, *, every_s: float = EVERY_S) -> None:
        self._store = store
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Starts the thread. It looks for the first time after a while, so that a start is not slower for it."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Waits at most `seconds` for the batch that has begun. Another replica, or the next start, does the rest."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                remove_all_old(self._store, self._store.clock.now(), stopping=self._stopping.is_set)
            except (DatabaseAway, Contended) as error:
                log.warning("retention waits for the database", error=str(error.__cause__ or error))
            except Exception:
                log.exception("what is kept no longer could not be removed")
