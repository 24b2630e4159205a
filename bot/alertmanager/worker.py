"""Compares the two sides now and then, in one process at a time: the one that holds the lease."""

from __future__ import annotations

import uuid
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from bot.alertmanager.client import AlertmanagerAway, AlertmanagerClient
from bot.alertmanager.metrics import AlertmanagerMetrics
from bot.alertmanager.sync import SETTLED_AFTER, synchronize
from bot.work import WorkThread
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries.replicas import release_lease, take_lease
from storage.values import Work

log = structlog.get_logger(__name__)

EVERY_S = 10.0
# Longer than a pass takes with the deadlines of its calls.
_LEASE = timedelta(seconds=90)
_LEASE_NAME = "alertmanager"
_STOP_S = 1.0


class AlertmanagerWorker:
    """Keeps the silences here and in Alertmanager in step, from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        client: AlertmanagerClient,
        metrics: AlertmanagerMetrics | None = None,
        *,
        every_s: float = EVERY_S,
        settled_after: timedelta = SETTLED_AFTER,
    ) -> None:
        self._store = store
        self._client = client
        self._metrics = metrics or AlertmanagerMetrics(CollectorRegistry())
        self._settled_after = settled_after
        self._id = uuid.uuid4().hex
        self._away = False
        self._refused: set[int] = set()  # ids of silences; they are tried again after the next start
        self._thread = WorkThread("alertmanager", self._work, every_s=every_s, at_end=self._release)

    def start(self) -> None:
        """Compares the two sides now and every few seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Stops. A pass that is under way for longer than a second is left; another process takes over from it."""
        self._thread.stop(_STOP_S)

    def tick(self) -> bool:
        """Compares the two sides if no other process does. Returns whether it was done.

        Raises DatabaseAway, Contended.
        """
        now = self._store.clock.now()
        try:
            with self._store.read() as connection:
                if not take_lease(connection, _LEASE_NAME, self._id, now, now + _LEASE):
                    return False
            synchronize(self._store, self._client, now, settled_after=self._settled_after, refused=self._refused)
        except AlertmanagerAway as error:
            if not self._away:
                log.warning("Alertmanager is away; silences stand here alone", reason=str(error))
            self._away = True
            self._metrics.passes.labels("away").inc()
            return False
        except (DatabaseAway, Contended):
            raise
        except Exception:
            self._metrics.passes.labels("failed").inc()
            raise
        if self._away:
            log.info("Alertmanager is back", place=self._client.place)
        self._away = False
        self._metrics.passes.labels("ok").inc()
        return True

    def _work(self, _work: Work) -> None:
        self.tick()

    def _release(self) -> None:
        with self._store.read() as connection:  # while the database is away, it ends by itself
            release_lease(connection, _LEASE_NAME, self._id)
