"""Removes what is kept no longer, now and then, on a thread of its own."""

from __future__ import annotations

from bot.administration.retention import remove_all_old
from bot.work import WorkThread
from storage.engine import Store
from storage.values import Work

EVERY_S = 600.0


class RetentionWorker:
    """The thread, from `start` to `stop`. Any number of replicas may run one."""

    def __init__(self, store: Store, *, every_s: float = EVERY_S) -> None:
        self._store = store
        self._thread = WorkThread("retention", self._remove, every_s=every_s, at_once=False)

    def start(self) -> None:
        """Starts the thread. It looks for the first time after a while, so that a start is not slower for it."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Waits at most `seconds` for the batch that has begun. Another replica, or the next start, does the rest."""
        self._thread.stop(seconds)

    def _remove(self, _work: Work) -> None:
        remove_all_old(self._store, self._store.clock.now(), stopping=self._thread.is_stopping)
