"""Puts the parts of the bot on one database together, starts them, and stops them in order."""

from __future__ import annotations

import time
from collections.abc import Callable

from bot.administration.worker import RetentionWorker
from bot.alertmanager.client import AlertmanagerClient
from bot.alertmanager.worker import AlertmanagerWorker
from bot.calls.workers import CallWorkers
from bot.delivery.pace import Pace
from bot.delivery.service import DeliveryService, open_delivery_store
from bot.digests.workers import DigestWorkers
from bot.handlers.context import Services
from bot.handlers.home_worker import HomeWorker
from bot.handlers.router import Router
from bot.installations.assembly import Installations
from bot.installations.oauth import OAuthCredentials
from bot.people.channels import Channels
from bot.people.identity import Identity
from bot.process_metrics import ProcessMetrics
from bot.program import PROGRAM
from bot.saturation import CellSaturation, Saturation
from bot.settings import Role
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.slack.deadline import DEADLINE_S
from bot.slack.entry import Entry
from bot.slack.http_mode import HttpListener
from bot.slack.listeners import Listeners
from bot.slack.socket_mode import SocketListener
from bot.work import WorkSignals
from storage.engine import Store

# A stop may take ten seconds; what is left of them is for the embedded database and the interpreter.
STOP_S = 7.0
DRAIN_S = 5.0  # the part of STOP_S for requests under way


class Bot:
    """The bot on one database and the workspaces of its token, over Socket Mode or HTTP, in one role."""

    def __init__(
        self,
        store: Store,
        clients: Clients,
        *,
        api_url: str,
        command: str,
        app_token: str | None = None,
        signing_secret: str | None = None,
        pace: Pace | None = None,
        metrics: ProcessMetrics | None = None,
        deadline_s: float = DEADLINE_S,
        sockets: int = 1,
        role: Role = Role.ALL,
        alertmanager: AlertmanagerClient | None = None,
        oauth: OAuthCredentials | None = None,
        enter: Callable[[Listeners, Background], Entry] | None = None,
        cell: str | None = None,
    ) -> None:
        """Builds the parts; `start` starts them.

        `deadline_s` is how many seconds a request may take before the person is told that it takes longer, `sockets`
        how many web sockets are kept open in Socket Mode. With `oauth`, the bot can be installed in other workspaces,
        and is where it was installed so.
        """
        self.store = store
        self.clients = clients
        self._role = role
        metrics = metrics or ProcessMetrics()
        self.background = Background(api_url)
        identity = Identity(store, clients, self.background)
        slack_calls = metrics.requests.slack_calls
        self.installations = Installations(store, clients, oauth, api_url, slack_calls) if oauth else None
        service = self.installations.service if self.installations else None
        self.listeners = Listeners(
            clients,
            Router(Services(store, identity, Channels(clients), clients, command, service), metrics.requests),
            self.background,
            api_url=api_url,
            command=command,
            metrics=metrics.requests,
        )
        entry = enter(self.listeners, self.background) if enter else self.listeners
        self.socket = self.http = None
        if role.takes_requests and app_token:
            self.socket = SocketListener(
                entry,
                app_token=app_token,
                api_url=api_url,
                deadline_s=deadline_s,
                metrics=metrics.requests.slack_calls,
                sockets=sockets,
            )
        elif role.takes_requests and signing_secret:
            self.http = HttpListener(entry, signing_secret, store.clock.now, deadline_s)
        sending = open_delivery_store(store)  # closed by delivery, the last to stop
        identity = Identity(sending, clients, self.background)
        signals = WorkSignals()
        self.digests = DigestWorkers(sending, clients, identity, signals, command=command, metrics=metrics.digests)
        self.calls = CallWorkers(sending, clients, identity, signals, metrics.calls)
        self.delivery = DeliveryService(
            sending,
            clients,
            identity,
            api_url=api_url,
            render_digest=self.digests.render,
            pace=pace,
            metrics=metrics.delivery,
            slack_calls=metrics.requests.slack_calls,
            signals=signals,
        )
        self.retention = RetentionWorker(sending)
        services = Services(sending, identity, Channels(clients), clients, command)
        self.homes = HomeWorker(sending, clients, Router(services, metrics.requests), signals)
        self.alertmanager = AlertmanagerWorker(sending, alertmanager, metrics.alertmanager) if alertmanager else None
        store.on_work = self.delivery.wake
        if self.socket:
            metrics.saturation.watch_sockets(self.socket.connections.count_open)
        self._watch(metrics.saturation.of_cell(cell) if cell else metrics.saturation)

    def start(self) -> None:
        """Starts to take requests and to send messages, as far as that is this process's role."""
        if self.installations:
            self.installations.registry.start()
        self.delivery.start(sends=self._role.sends)
        if self._role.sends:
            self.digests.start()
            self.calls.start()
            self.retention.start()
            self.homes.start()
            if self.alertmanager:
                self.alertmanager.start()
        if self.socket:
            self.socket.start()

    @property
    def slack_problem(self) -> str | None:
        """Why requests of Slack cannot arrive, or none can be answered; None while that works.

        A replica with another TOCSIN_SECRET_KEY than the tokens were encrypted with is not ready, so that the ones
        before it stay. With some tokens that it can decrypt it is: that helps those workspaces, and harms no other.
        """
        if self.clients.all_unreadable:
            return f"no token can be decrypted with TOCSIN_SECRET_KEY: {PROGRAM} doctor"
        return self.socket.problem if self.socket else None

    def _watch(self, saturation: Saturation | CellSaturation) -> None:
        """Has the use of threads and connections measured, as far as this process's role uses them."""
        saturation.watch_workers(lambda: [self.background.measure_use()])
        if listener := self.socket or self.http:
            saturation.watch_workers(lambda: [listener.measure_use()])
        if self._role.sends:
            saturation.watch_workers(lambda: [self.delivery.measure_use(), *self.digests.list_pools()])
            saturation.watch_database(self.delivery.list_connection_pools)

    def stop(self, seconds: float = STOP_S) -> None:
        """Takes no more requests, and finishes those under way and what they still send, within `seconds`.

        In HTTP mode the HTTP server must have been stopped before.
        """
        deadline = time.monotonic() + seconds

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        self.delivery.begin_nothing()
        if self.installations:
            self.installations.registry.stop()
        if self.socket:
            self.socket.close(min(DRAIN_S, left()))
        if self.http:
            self.http.close(min(DRAIN_S, left()))
        self.digests.stop(left())
        self.calls.stop(left())
        self.retention.stop(left())
        self.homes.stop(left())
        if self.alertmanager:
            self.alertmanager.stop()
        self.delivery.stop(left())
        self.background.drain(left())
