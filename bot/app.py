"""Puts the parts of the bot together, starts them, and stops them in order."""

from __future__ import annotations

import threading
import time

import structlog
from fastapi import FastAPI
from prometheus_client import ProcessCollector
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError
from sqlalchemy import URL
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
)

from bot.administration.worker import RetentionWorker
from bot.alertmanager.client import AlertmanagerClient
from bot.alertmanager.worker import AlertmanagerWorker
from bot.backlog import BacklogCollector
from bot.calls.workers import CallWorkers
from bot.database import migrate_database
from bot.delivery.pace import Pace
from bot.delivery.service import DeliveryService, open_delivery_store
from bot.digests.workers import DigestWorkers
from bot.handlers.context import Services
from bot.handlers.router import Router
from bot.health import add_health_routes
from bot.installations.assembly import Installations
from bot.installations.oauth import OAuthCredentials
from bot.intake.connections import find_file_shortage
from bot.intake.http import create_http_app, open_intake_store
from bot.intake.server import HttpServer
from bot.metrics import SlackCallMetrics
from bot.people.channels import Channels
from bot.people.identity import Identity
from bot.process_metrics import ProcessMetrics
from bot.replicas import Heartbeat
from bot.saturation import Saturation, list_connection_pools
from bot.settings import Role, Settings, SettingsError
from bot.slack.background import Background
from bot.slack.backoff import Backoff, reason_of
from bot.slack.clients import Clients
from bot.slack.deadline import DEADLINE_S
from bot.slack.http_mode import HttpListener
from bot.slack.listeners import Listeners
from bot.slack.socket_mode import SocketListener
from bot.work import WorkSignals
from storage.clock import Clock
from storage.engine import Store, is_reachable
from storage.session_settings import IN_TRANSACTION_MODE, Pooling

log = structlog.get_logger(__name__)

# A stop may take ten seconds; what is left of them is for the embedded database and the interpreter.
STOP_S = 7.0
DRAIN_S = 5.0  # the part of STOP_S for requests under way
# Backoff of the call that asks Slack for the token's workspace.
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_POLL_S = 0.1  # how often a bot that waits for its first connection looks whether it should stop
# Errors of Slack that a retry does not help: the token itself is wrong.
_BAD_TOKENS = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)


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
        self.socket = self.http = None
        if role.takes_requests and app_token:
            self.socket = SocketListener(
                self.listeners,
                app_token=app_token,
                api_url=api_url,
                deadline_s=deadline_s,
                metrics=metrics.requests.slack_calls,
                sockets=sockets,
            )
        elif role.takes_requests and signing_secret:
            self.http = HttpListener(self.listeners, signing_secret, store.clock.now, deadline_s)
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
        self.alertmanager = AlertmanagerWorker(sending, alertmanager, metrics.alertmanager) if alertmanager else None
        store.on_work = self.delivery.wake
        self._watch(metrics.saturation)

    def start(self) -> None:
        """Starts to take requests and to send messages, as far as that is this process's role."""
        if self.installations:
            self.installations.registry.start()
        self.delivery.start(sends=self._role.sends)
        if self._role.sends:
            self.digests.start()
            self.calls.start()
            self.retention.start()
            if self.alertmanager:
                self.alertmanager.start()
        if self.socket:
            self.socket.start()

    @property
    def slack_problem(self) -> str | None:
        """Why requests of Slack cannot arrive; None while they can, or where the bot opens no connection for them."""
        return self.socket.problem if self.socket else None

    def _watch(self, saturation: Saturation) -> None:
        """Has the use of threads and connections measured, as far as this process's role uses them."""
        saturation.watch_workers(lambda: [self.background.measure_use()])
        if self.socket:
            saturation.watch_sockets(self.socket.connections.count_open)
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
        if self.alertmanager:
            self.alertmanager.stop()
        self.delivery.stop(left())
        self.background.drain(left())


def serve(settings: Settings, url: URL, role: Role, clock: Clock, stop: threading.Event) -> int:
    """Runs the bot in a role on the database at `url` until `stop` is set. Returns the exit code.

    Raises SettingsError if Slack refuses the credentials or the port is taken, and DatabaseAway.
    """
    migrated = migrate_database(settings, url)
    log.info("the database is ready", schema=migrated.after, was=migrated.before, pooler=migrated.pooling.value)
    if migrated.pooling is Pooling.TRANSACTION:
        log.warning("the pooler is in transaction mode", consequences=IN_TRANSACTION_MODE)
    store = Store.open(url, clock=clock, pooling=migrated.pooling)
    store.clock.read()
    intake = open_intake_store(store)
    status = _SlackStatus()
    heartbeat = Heartbeat(store, role.value)
    metrics = _create_metrics(role, store, intake, status)
    http_app = _create_http_app(settings, role, store, intake, status, metrics)
    http = _create_http_server(settings, http_app, metrics.saturation)
    try:
        http.start()
        heartbeat.start()
        if shortage := find_file_shortage():
            log.warning("few open files", problem=shortage[0], mend=shortage[1])
        log.info("serving HTTP", host=settings.http_host, port=http.port, role=role.value)
        _run(settings, role, store, status, http_app, http, metrics, stop)
    finally:
        http.stop()
        heartbeat.stop()
        intake.close()
        store.close()
    log.info("stopped")
    return 0


class _SlackStatus:
    """The state of the connection to Slack for `/readyz`, also before there is a bot."""

    bot: Bot | None = None

    def problem(self) -> str | None:
        return self.bot.slack_problem if self.bot else "not connected"

    def list_workspaces(self) -> list[str]:
        """The workspaces that the bot has a client for."""
        return [one.workspace_id for one in self.bot.clients.all()] if self.bot else []


def _create_metrics(role: Role, store: Store, intake: Store, status: _SlackStatus) -> ProcessMetrics:
    metrics = ProcessMetrics()
    ProcessCollector(registry=metrics.registry)
    metrics.registry.register(BacklogCollector(store, status.list_workspaces))
    metrics.requests.set_sources(
        database_up=lambda: is_reachable(store), slack_connected=lambda: status.problem() is None
    )
    metrics.saturation.watch_database(lambda: list_connection_pools(store, "people"))
    if role.takes_requests:
        metrics.saturation.watch_database(lambda: list_connection_pools(intake, "intake"))
    return metrics


def _create_http_app(
    settings: Settings,
    role: Role,
    store: Store,
    intake: Store,
    status: _SlackStatus,
    metrics: ProcessMetrics,
) -> FastAPI:
    metrics_token = _reveal(settings.metrics_token)
    if role.takes_requests:
        return create_http_app(
            store,
            intake=intake,
            slack_problem=status.problem,
            secret_key=_reveal(settings.secret_key),
            public_url=settings.public_url,
            registry=metrics.registry,
            metrics_token=metrics_token,
            saturation=metrics.saturation,
        )
    app = FastAPI(openapi_url=None)
    add_health_routes(app, store, slack_problem=status.problem, registry=metrics.registry, metrics_token=metrics_token)
    return app


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _create_http_server(settings: Settings, app: FastAPI, saturation: Saturation) -> HttpServer:
    try:
        server = HttpServer(app, settings.http_host, settings.http_port, on_lag=saturation.loop_lag.observe)
    except OSError as error:
        address = f"{settings.http_host}:{settings.http_port}"
        raise SettingsError(f"HTTP_HOST, HTTP_PORT: {address} cannot be used: {error.strerror or error}") from None
    saturation.watch_http_connections(lambda: len(server.connections))
    return server


def _run(
    settings: Settings,
    role: Role,
    store: Store,
    status: _SlackStatus,
    http_app: FastAPI,
    http: HttpServer,
    metrics: ProcessMetrics,
    stop: threading.Event,
) -> None:
    """Connects to Slack and takes requests until `stop` is set. Raises SettingsError."""
    clients = _connect(settings, stop, metrics.requests.slack_calls)
    if clients is None:
        return
    alertmanager_url = _reveal(settings.alertmanager_url)
    bot = Bot(
        store,
        clients,
        api_url=settings.slack_api_url,
        alertmanager=AlertmanagerClient(alertmanager_url) if alertmanager_url else None,
        command=settings.slack_command,
        app_token=_reveal(settings.slack_app_token),
        signing_secret=_reveal(settings.slack_signing_secret),
        sockets=settings.sockets,
        metrics=metrics,
        role=role,
        oauth=_read_oauth(settings),
    )
    if bot.http:
        bot.http.add_to(http_app)
    if bot.installations and role.takes_requests:
        bot.installations.add_to(http_app)
    try:
        bot.start()
        status.bot = bot
        if _wait_until_open(bot, stop):
            log.info("ready", workspaces=[one.workspace_id for one in clients.all()])
        stop.wait()
        log.info("stopping")
    finally:
        began = time.monotonic()
        http.begin_stop()
        if bot.http:
            http.stop()  # before the bot, which answers what came in through it
        bot.stop(STOP_S - (time.monotonic() - began))


def _wait_until_open(bot: Bot, stop: threading.Event) -> bool:
    """Waits until requests of Slack can arrive. Returns False if `stop` is set meanwhile. Raises SettingsError."""
    if bot.socket is None:
        return True
    while not stop.is_set():
        if bot.socket.connections.wait_until_open(_POLL_S):
            return True
        _check_token(bot.socket.connections.problem, "SLACK_APP_TOKEN")
    return False


def _read_oauth(settings: Settings) -> OAuthCredentials | None:
    client_secret, secret_keys = _reveal(settings.slack_client_secret), _reveal(settings.secret_key)
    if not (settings.slack_client_id and client_secret and secret_keys):
        return None
    return OAuthCredentials(settings.slack_client_id, client_secret, secret_keys, settings.public_url)


def _connect(settings: Settings, stop: threading.Event, metrics: SlackCallMetrics) -> Clients | None:
    """Asks Slack for the token's workspace until it answers.

    Returns None if `stop` is set meanwhile. Raises SettingsError.
    """
    if settings.slack_bot_token is None:
        return Clients()  # those of the installations follow
    trying = Retrying(
        retry=retry_if_exception_type((SlackApiError, OSError)),
        wait=Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=_report_retry,
    )
    try:
        return trying(Clients.connect, settings.slack_bot_token.get_secret_value(), settings.slack_api_url, metrics)
    except RetryError:
        return None


def _report_retry(retry_state: RetryCallState) -> None:
    assert retry_state.outcome is not None and retry_state.next_action is not None
    error = retry_state.outcome.exception()
    _check_token(error, "SLACK_BOT_TOKEN")
    next_try_s = round(retry_state.next_action.sleep, 1)
    log.warning("Slack cannot be reached yet", reason=reason_of(error), next_try_s=next_try_s)


def _check_token(problem: BaseException | None, variable: str) -> None:
    if isinstance(problem, SlackApiError) and reason_of(problem) in _BAD_TOKENS:
        raise SettingsError(f"{variable}: Slack refuses this token ({reason_of(problem)})") from None
