"""Runs digests: a thread that records the fires that are due, and those that publish them.

The same thread ends silences and offers, and asks owners. APScheduler wakes it every minute, which is the unit of
schedules; the look at what is due wakes it for the rest. Neither decides what is due: the database does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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
from bot.digests.pausing import settle_posted
from bot.digests.publisher import LEASE_S, Publisher
from bot.digests.scheduler import fire_due
from bot.digests.sending import SendingRenderer
from bot.digests.silence_ends import BLIND_EVERY, end_blind, end_due, hold_more, release_more
from bot.messages.blocks import Message
from bot.people.identity import Identity
from bot.saturation import PoolUse
from bot.slack.clients import Clients
from bot.slack.thread_pool import ThreadPool
from bot.work import WorkSignals, WorkThread
from storage.engine import Store
from storage.errors import Contended, DatabaseAway, NoAnswerInTime
from storage.queries.destinations import Target
from storage.queries.post_kinds import DigestPost
from storage.values import ALL_WORK, Work

log = structlog.get_logger(__name__)

PUBLISHERS = 4  # a publisher spends most of its time waiting for Slack to process a picture


class DigestWorkers:
    """The scheduler and the publishers of digests, from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        identity: Identity,
        signals: WorkSignals,
        *,
        command: str,
        lease_s: float = LEASE_S,
        metrics: DigestMetrics | None = None,
    ) -> None:
        """`signals` wakes them when something is due.

        `lease_s` is the lease of a fire in seconds; after that, another replica can take it.
        """
        self._store = store
        self._stopping = threading.Event()
        self._metrics = metrics or DigestMetrics(CollectorRegistry())
        self._publishers = ThreadPool(PUBLISHERS, "digest")
        self._renderer = ThreadPool(1, "digest-picture")
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
        self._sending = SendingRenderer(self._metrics)
        self._free_publishers = threading.BoundedSemaphore(PUBLISHERS)
        self._kinds: tuple[tuple[Work, Callable[[datetime], object]], ...] = (
            (Work.SILENCES, lambda now: end_due(store, now)),
            # One that is busy or fails does not hold up the other. Who waits for cards and calls goes first.
            (Work.SILENCES, lambda now: self._go_on_with_silences(release_more, now)),
            (Work.SILENCES, lambda now: self._go_on_with_silences(hold_more, now)),
            (ALL_WORK, self._end_blind),
            (Work.OFFERS, lambda now: end_lapsed_offers(store, now)),
            (Work.REMINDERS, lambda now: remind_owners(store, now)),
            (Work.PERSONAL_DIGESTS, lambda now: personal.fire_due(store, now)),
            (Work.DIGESTS, self._fire_due),
            (Work.POSTED, lambda now: settle_posted(store, now, command, self._metrics)),
            (Work.FIRES, lambda _now: self._start_publisher()),
        )
        signal = signals.add_worker(
            Work.SILENCES
            | Work.OFFERS
            | Work.REMINDERS
            | Work.PERSONAL_DIGESTS
            | Work.DIGESTS
            | Work.FIRES
            | Work.POSTED
        )
        self._signal = signal
        self._ticks = WorkThread("digests", self.tick, signal)
        self._scheduler = BackgroundScheduler(timezone=UTC, daemon=True)
        # Silences that nobody is to see any more are looked for at the same time.
        self._scheduler.add_job(
            signal.wake, "cron", [Work.DIGESTS], second=0, coalesce=True, misfire_grace_time=None, max_instances=1
        )
        self._availability = Availability()
        self._blind_ended: datetime | None = None

    def render(self, tx: Connection, post: DigestPost, target: Target, now: datetime) -> Message | None:
        """Renders a digest that delivery is about to send; None if it must no longer be sent."""
        return self._sending.render(tx, post, target, now)

    def list_pools(self) -> list[PoolUse]:
        """The use of the publishers, and of the thread that draws pictures."""
        return [self._publishers.measure_use(), self._renderer.measure_use()]

    def start(self) -> None:
        """Starts the ticks."""
        self._ticks.start()
        self._scheduler.start()

    def stop(self, seconds: float) -> None:
        """Starts no new work, and waits at most `seconds` until the running fires are enqueued.

        Another replica, or the next start, publishes the rest.
        """
        deadline = time.monotonic() + seconds
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._ticks.stop(seconds)
        self._publishers.close(max(0.0, deadline - time.monotonic()))
        self._renderer.close(0)

    def tick(self, work: Work = ALL_WORK) -> None:
        """Does what is due of this work: ends, asks, records fires of digests and their outcome, and publishes them.

        Raises DatabaseAway, Contended.
        """
        now = self._store.clock.now()
        try:
            self._do_each(work, now)
        except (DatabaseAway, Contended):
            self._availability.note_away(now)
            raise
        self._availability.note_worked(now)

    def _do_each(self, work: Work, now: datetime) -> None:
        """Does every kind of this work, also if another kind fails; then raises the last error. Raises DatabaseAway.

        After an error the work is given once more, which does nothing twice.
        """
        problem: Exception | None = None
        for kind, do in self._kinds:
            if not work & kind:
                continue
            try:
                do(now)
            except Exception as error:
                if problem is not None:
                    log.warning("several kinds of work failed", exc_info=problem)
                if isinstance(error, DatabaseAway) and not isinstance(error, NoAnswerInTime):
                    raise  # the others need the database too
                problem = error
        if problem is not None:
            raise problem

    def _go_on_with_silences(self, go_on: Callable[[Store, datetime], bool], now: datetime) -> None:
        if go_on(self._store, now):
            self._signal.wake(Work.SILENCES)

    def _end_blind(self, now: datetime) -> None:
        if self._blind_ended is None or abs(now - self._blind_ended) >= BLIND_EVERY:
            end_blind(self._store, now)
            self._blind_ended = now

    def _fire_due(self, now: datetime) -> None:
        if fire_due(self._store, now, self._availability.explain, self._metrics):
            self._start_publisher()

    def _start_publisher(self) -> None:
        """Has one more publisher look for fires, if one is free. What it finds starts the next one."""
        if not self._stopping.is_set() and self._free_publishers.acquire(blocking=False):
            self._publishers.submit(self._publish_due)

    def _publish_due(self) -> None:
        try:
            while not self._stopping.is_set() and self._publisher.publish_some(self._start_publisher):
                pass
        except (DatabaseAway, Contended) as error:
            log.warning("digests wait for the database", error=str(error.__cause__ or error))
        except Exception:
            # The fire stays leased until its lease ends; then any replica tries it again.
            log.exception("publishing a digest failed unexpectedly")
        finally:
            self._free_publishers.release()
