"""Runs digests: a tick that records the fires that are due, and the threads that publish them.

The same tick ends silences.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from bot.digests import personal
from bot.digests.availability import Availability
from bot.digests.metrics import DigestMetrics
from bot.digests.offer_ends import end_lapsed_offers
from bot.digests.owner_reminders import remind_owners
from bot.digests.publisher import LEASE_S, Publisher
from bot.digests.scheduler import fire_due
from bot.digests.silence_ends import BLIND_EVERY, end_blind, end_due
from bot.messages.blocks import Message
from bot.people.identity import Identity
from bot.saturation import PoolUse
from bot.slack.clients import Clients
from bot.slack.workers import Workers
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries.destinations import Target
from storage.queries.post_kinds import DigestPost

log = structlog.get_logger(__name__)

TICK_S = 1.0
PUBLISHERS = 4  # a publisher spends most of its time waiting for Slack to process a picture


class DigestWorkers:
    """The scheduler and the publishers of digests, from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        identity: Identity,
        *,
        command: str,
        tick_s: float = TICK_S,
        lease_s: float = LEASE_S,
        metrics: DigestMetrics | None = None,
    ) -> None:
        """`lease_s` is the lease of a fire in seconds; after that, another replica can take it."""
        self._store = store
        self._stopping = threading.Event()
        self._metrics = metrics or DigestMetrics(CollectorRegistry())
        self._publishers = Workers(PUBLISHERS, "digest")
        self._renderer = Workers(1, "digest-picture")
        self._publisher = Publisher(
            store,
            clients,
            identity,
            renderer=self._renderer,
            command=command,
            stopping=self._stopping,
            lease_s=lease_s,
            metrics=self._metrics,
        )
        self._free_publishers = threading.BoundedSemaphore(PUBLISHERS)
        # The scheduler only calls the tick. The database decides which digests are due.
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._scheduler = BackgroundScheduler(timezone=UTC, daemon=True)
        self._scheduler.add_job(
            self.tick, "interval", seconds=tick_s, coalesce=True, misfire_grace_time=None, max_instances=1
        )
        self._availability = Availability()
        self._blind_ended: datetime | None = None

    def render(self, tx: Connection, post: DigestPost, target: Target, now: datetime) -> Message | None:
        """Renders a digest that delivery is about to send; None if it must no longer be sent."""
        return self._publisher.render(tx, post, target, now)

    def list_pools(self) -> list[PoolUse]:
        """The use of the publishers, and of the thread that draws pictures."""
        return [self._publishers.measure_use(), self._renderer.measure_use()]

    def start(self) -> None:
        """Starts the ticks."""
        self._scheduler.start()

    def stop(self, seconds: float) -> None:
        """Starts no new work, and waits at most `seconds` until the running fires are enqueued.

        Another replica, or the next start, publishes the rest.
        """
        deadline = time.monotonic() + seconds
        self._stopping.set()
        if self._scheduler.running:
            last_tick = threading.Thread(target=self._scheduler.shutdown, name="digest-shutdown", daemon=True)
            last_tick.start()
            last_tick.join(seconds)
        self._publishers.close(max(0.0, deadline - time.monotonic()))
        self._renderer.close(0)

    def tick(self) -> None:
        """Records the fires that are due, records the outcome of sent digests, and starts publishers."""
        now = self._store.clock.now()
        try:
            end_due(self._store, now)
            if self._blind_ended is None or abs(now - self._blind_ended) >= BLIND_EVERY:
                end_blind(self._store, now)
                self._blind_ended = now
            end_lapsed_offers(self._store, now)
            remind_owners(self._store, now)
            personal.fire_due(self._store, now)
            fire_due(self._store, now, self._availability.explain, self._metrics)
            self._publisher.settle_posted(now)
        except (DatabaseAway, Contended) as error:
            if self._availability.note_away(now):
                log.warning("digests wait for the database", error=str(error.__cause__ or error))
            return
        except Exception:
            log.exception("looking for due digests failed unexpectedly")
            return
        self._availability.note_worked(now)
        while not self._stopping.is_set() and self._free_publishers.acquire(blocking=False):
            self._publishers.submit(self._publish_due)

    def _publish_due(self) -> None:
        try:
            while not self._stopping.is_set() and self._publisher.publish_next():
                pass
        except (DatabaseAway, Contended) as error:
            log.warning("digests wait for the database", error=str(error.__cause__ or error))
        except Exception:
            # The fire stays leased until its lease ends; then any replica tries it again.
            log.exception("publishing a digest failed unexpectedly")
        finally:
            self._free_publishers.release()
