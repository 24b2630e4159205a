"""Runs the threads that expand changes and send posts. They are woken after a commit, and poll slowly besides."""

from __future__ import annotations

import os
import select
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry
from slack_sdk import WebClient
from sqlalchemy import Connection

from bot.delivery.api_calls import WorkspaceClients
from bot.delivery.due_work import DueWorkWatch
from bot.delivery.expansion import expand_next
from bot.delivery.folding import end_calm_storms
from bot.delivery.metrics import DeliveryMetrics
from bot.delivery.pace import Pace
from bot.delivery.rendering import RenderDigest
from bot.delivery.sender import Sender
from bot.delivery.senders import Senders
from bot.delivery.serving import ServedWorkspaces
from bot.metrics import SlackCallMetrics
from bot.people.identity import Identity
from bot.saturation import PoolUse, list_connection_pools
from bot.slack.clients import Clients, Installation, web_client
from bot.work import WorkSignal, WorkSignals, WorkThread
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import delivery_failures, form_texts, handled_requests, intake, leases, posts
from storage.session_settings import Pooling
from storage.values import ALL_WORK, NO_WORK, Work

log = structlog.get_logger(__name__)

SENDERS = 48
# Connections for delivery and digests only, so that the requests of people never wait for notifications.
READING = 5
WRITING = 9
POOL_WAIT_S = 5.0
HUNG_AFTER_S = 60.0  # several calls to Slack, or a long cleanup, may use one connection
STOP_S = 8.0  # a stop may take ten seconds in all
_CHANNEL = "tocsin_outbox"
_NOTIFY_EVERY_S = 0.05  # shortest interval between two notifications to other replicas
_GATHER_S = 0.05  # changes that alerts make in this time are expanded together
_AFTER_TROUBLE_S = 1.0
_CLEAN_EVERY_S = 600.0
_CLEAN_AT_ONCE = 5000
_RECOVERED_AT_ONCE = 20
# Between two looks at the database where no notifications arrive.
_POLL_WITHOUT_NOTIFICATIONS_S = 0.5
ALERTS_KEPT_FOR = timedelta(days=30)  # after their last message; an alert that goes on sends one every few hours
KEPT_FOR = timedelta(days=14)  # for messages that were sent and will never change


class DeliveryService:
    """Runs delivery from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        identity: Identity,
        *,
        api_url: str,
        render_digest: RenderDigest,
        pace: Pace | None = None,
        metrics: DeliveryMetrics | None = None,
        slack_calls: SlackCallMetrics | None = None,
        senders: int = SENDERS,
        signals: WorkSignals | None = None,
    ) -> None:
        """`store` must be opened with `open_delivery_store`."""
        self._pace = pace or Pace()
        self._metrics = metrics or DeliveryMetrics(CollectorRegistry())
        self._store = store
        self._notified = store.pooling is not Pooling.TRANSACTION
        self._poll_s = self._pace.poll_s if self._notified else min(self._pace.poll_s, _POLL_WITHOUT_NOTIFICATIONS_S)
        self._now = store.clock.now
        self._clients = WorkspaceClients(clients, lambda one: _connect(one, api_url, self._pace, slack_calls))
        sender = Sender(store, self._clients, identity, self._pace, self._metrics, render_digest)
        self._served = ServedWorkspaces(self._clients, self._pace, store.clock)
        self._stopping = threading.Event()
        self._signals = signals or WorkSignals()
        self._changes = self._signals.add_worker(Work.CHANGES)
        self._of_alerts = self._signals.add_worker(Work.ALERTS)
        self._posts = self._signals.add_worker(Work.POSTS)  # woken too when a sender has become free
        self._senders = Senders(sender, senders, self._guarded, lambda: self._posts.wake(Work.POSTS))
        self._alert_looks_begun = self._alert_looks_ended = 0  # how often changes of alerts were looked for
        self._id = uuid.uuid4().hex  # by which a process knows its own notifications
        self._storms = self._signals.add_worker(Work.STORMS)
        self._others = WorkSignal(ALL_WORK)  # what to tell other processes
        self._looks = WorkSignal(ALL_WORK)  # to look at once for what is due
        self._watch = DueWorkWatch(store, self._signals, lambda: self._served.possible, self._pace)
        self._workers: list[WorkThread] = []
        self._listener: threading.Thread | None = None
        self._wake_reader, self._wake_writer = os.pipe()

    def start(self, *, sends: bool = True) -> None:
        """Starts the threads. A second call does nothing.

        Without `sends`, it only notifies other processes of changes, which send what they lead to.
        """
        if self._workers or self._stopping.is_set():
            return
        self._workers = [WorkThread("delivery-notifier", self._notify, self._others, at_once=False)]
        if sends:
            self._workers += self._list_workers()
            if self._notified:
                self._listener = threading.Thread(target=self._listen, name="delivery-listener", daemon=True)
                self._listener.start()
        for worker in self._workers:
            worker.start()

    def _list_workers(self) -> list[WorkThread]:
        return [
            WorkThread("delivery-expander", self._expand_changes, self._changes),
            WorkThread("delivery-expander-alerts", self._expand_alerts, self._of_alerts),
            WorkThread("delivery-scheduler", self._hand_out, self._posts),
            WorkThread("delivery-storms", self._end_storms, self._storms),
            WorkThread("delivery-cleaner", self._clean, every_s=_CLEAN_EVERY_S, at_once=False),
            WorkThread("due-work", lambda _: self._watch.look(), self._looks, every_s=self._poll_s),
        ]

    def measure_use(self) -> PoolUse:
        """How many of the senders send."""
        return PoolUse("delivery-senders", self._senders.count - self._senders.free, self._senders.count)

    def list_connection_pools(self) -> list[PoolUse]:
        """The use of the database connections of delivery and digests."""
        return list_connection_pools(self._store, "delivery")

    def wake(self, work: Work) -> None:
        """Wakes those who do this work, here and in other processes, after a commit that left it."""
        self._signals.wake(work)
        self._others.wake(work)

    def begin_nothing(self) -> None:
        """Starts no more work. Messages that are being sent are completed."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for worker in self._workers:
            worker.begin_stop()
        os.write(self._wake_writer, b"x")
        self._senders.stop()

    def stop(self, seconds: float = STOP_S) -> None:
        """Starts no more work. Returns when the outcome of running calls is recorded, or after `seconds`."""
        deadline = time.monotonic() + seconds
        self.begin_nothing()
        running = [worker.thread for worker in self._workers]
        if self._listener:
            running.append(self._listener)
        for thread in running:
            thread.join(max(0.0, deadline - time.monotonic()))
        senders = self._senders.list_threads()  # after the thread that gives them work has ended
        for thread in senders:
            thread.join(max(0.0, deadline - time.monotonic()))
        running += senders
        if not any(thread.is_alive() for thread in running):
            os.close(self._wake_reader)
            os.close(self._wake_writer)
        self._store.close()

    # --- the work of the threads -----------------------------------------------------------------------------

    def _expand_changes(self, _work: Work) -> None:
        more = True
        while more and not self._stopping.is_set():
            before = self._alert_looks_ended
            more = self._expand_some(of_alert=False)
            if self._alert_looks_begun != before:  # it may have found only what had to wait for this
                self._of_alerts.wake(Work.ALERTS)

    def _expand_alerts(self, _work: Work) -> None:
        more = True
        while more and not self._stopping.is_set():
            self._alert_looks_begun += 1
            more = self._expand_some(of_alert=True)
            self._alert_looks_ended = self._alert_looks_begun
            if more:
                self._stopping.wait(_GATHER_S)

    def _expand_some(self, *, of_alert: bool) -> bool:
        """Expands what waits the longest. Returns whether more waits."""
        done = expand_next(self._store, self._metrics, of_alert=of_alert, storm_s=self._pace.storm_s)
        self._signals.wake(done.work)
        return done.more

    def _hand_out(self, _work: Work) -> float | None:
        """Leases due destinations for the free senders. Returns the seconds until others are due, if it is known."""
        free = self._senders.free
        if not free:
            return None  # a sender that becomes free wakes this thread
        with self._store.reading() as reading:
            serving = self._served.find(reading)
            if serving is None:
                return None
            connection, now = reading.connection, self._now()
            count = 1 << (free.bit_length() - 1)  # a power of two: a statement is prepared for each count
            found = leases.lease_destinations(connection, serving, count, self._pace.lease_s, now)
            # A workspace that was added just now may have no client; its lease ends by itself.
            # Even if the next statement fails, leased destinations are served.
            self._senders.submit([one for one in found if one.workspace_id in self._clients])
            if len(found) == count:
                return 0.0 if count < free else None
            return leases.find_seconds_to_next(connection, serving, now)

    def _guarded(self, work: Callable[[], None], what: str) -> None:
        """Runs one step of a loop. An error ends the step, not the loop."""
        try:
            work()
        except (DatabaseAway, Contended) as error:
            if not self._stopping.is_set():
                log.warning("delivery waits for the database", what=what, error=str(error.__cause__ or error))
                self._stopping.wait(_AFTER_TROUBLE_S)
        except Exception:
            log.exception("unexpected error in delivery", what=what)
            self._stopping.wait(_AFTER_TROUBLE_S)

    def _listen(self) -> None:
        """Listens for notifications from other replicas that there is work."""

        def step() -> None:
            with self._store.listen(_CHANNEL) as connection:
                self._looks.wake(ALL_WORK)  # notifications may have been missed before this
                while not self._stopping.is_set():
                    select.select([connection.fileno(), self._wake_reader], [], [])
                    connection.poll()
                    for notification in connection.notifies:
                        self._signals.wake(self._read_notification(notification.payload))
                    connection.notifies.clear()

        while not self._stopping.is_set():
            self._guarded(step, "listening")

    def _read_notification(self, payload: str) -> Work:
        """The work that another process left; none if it was this one."""
        sender, _, work = payload.partition(" ")
        if sender == self._id:
            return NO_WORK
        # The version before says nothing. A newer one may name what this one does not know.
        return Work(int(work)) & ALL_WORK if work else ALL_WORK

    def _notify(self, work: Work) -> None:
        """Tells other processes. Nobody waits for it to be on disk: who misses it finds the work by looking."""
        with self._store.read() as connection:
            connection.exec_driver_sql(f"SET LOCAL synchronous_commit = off; NOTIFY {_CHANNEL}, '{self._id} {work:d}'")
        self._stopping.wait(_NOTIFY_EVERY_S)

    def _end_storms(self, _work: Work) -> None:
        if end_calm_storms(self._store):
            self._posts.wake(Work.POSTS)

    def _clean(self, _work: Work) -> None:
        self.clean_up(self._now())

    def clean_up(self, now: datetime) -> None:
        """Deletes old records, and schedules another attempt at failed channels. Raises DatabaseAway, Contended."""
        with self._store.write() as tx:
            delivery_failures.recover_oldest_channels(tx, self._pace.longest_failed_s, _RECOVERED_AT_ONCE, now)
        self._forget(handled_requests.delete_old_requests, now - handled_requests.KEPT_FOR)
        self._forget(form_texts.delete_old_texts, now - form_texts.KEPT_FOR)
        self._forget(posts.delete_done_posts, now - KEPT_FOR)
        self._forget(intake.delete_silent_alerts, now - ALERTS_KEPT_FOR)

    def _forget(self, forget: Callable[[Connection, datetime, int], int], before: datetime) -> None:
        """Deletes in batches, so that no statement takes long and no connection is occupied for long."""
        while not self._stopping.is_set():
            with self._store.read() as connection:
                if forget(connection, before, _CLEAN_AT_ONCE) < _CLEAN_AT_ONCE:
                    return


def open_delivery_store(store: Store) -> Store:
    """Opens a store on the same database with separate connections, for delivery and digests."""
    return store.open_beside(
        reading=READING, writing=WRITING, wait_s=POOL_WAIT_S, hung_after_s=HUNG_AFTER_S, background=True
    )


def _connect(installation: Installation, api_url: str, pace: Pace, metrics: SlackCallMetrics | None) -> WebClient:
    return web_client(
        api_url,
        installation.client.token,
        timeout_s=pace.call_s,
        metrics=metrics,
        team_id=installation.client.team_id,
    )
