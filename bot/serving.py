"""A process of `serve`: database, HTTP server, connection to Slack, and the bot of each cell, from start to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector
from pydantic import SecretStr
from sqlalchemy import URL

from bot.alertmanager.client import AlertmanagerClient
from bot.app import STOP_S, Bot
from bot.backlog import BacklogCollector
from bot.cells.serving import OtherCells
from bot.database import migrate_database
from bot.first_connection import check_token, connect
from bot.health import add_health_routes
from bot.installations.oauth import OAuthCredentials
from bot.intake.connections import find_file_shortage
from bot.intake.http import create_http_app, open_intake_store
from bot.intake.server import HttpServer
from bot.process_metrics import ProcessMetrics
from bot.processes.member import Member
from bot.processes.port import open_port
from bot.replicas import Heartbeat
from bot.saturation import Saturation, list_connection_pools
from bot.settings import Role, Settings
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.slack.entry import Entry
from bot.slack.listeners import Listeners
from storage.clock import Clock
from storage.engine import Store, is_reachable
from storage.session_settings import IN_TRANSACTION_MODE, Pooling

log = structlog.get_logger(__name__)

_POLL_S = 0.1  # how often a bot that waits for its first connection looks whether it should stop


def serve(
    settings: Settings, url: URL, role: Role, clock: Clock, stop: threading.Event, member: Member | None = None
) -> int:
    """Runs the bot in a role on the database at `url` until `stop` is set. Returns the exit code.

    `member` is what it shares with other processes of a group; one without a port serves no HTTP of its own. Raises
    SettingsError if Slack refuses the credentials or the port is taken, DatabaseUnfit and DatabaseAway.
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
    cells = OtherCells(settings, store, role.value) if settings.cells else None
    backlog = BacklogCollector(store, status.list_workspaces)
    metrics = _create_metrics(role, store, intake, status)
    shown = member.share(metrics.registry) if member else metrics.registry
    for of_database in (backlog, cells):
        if of_database:
            shown.register(of_database)
    http_app = _create_http_app(settings, role, store, intake, status, metrics, shown, cells, member)
    http = _create_http_server(settings, http_app, metrics.saturation, member)
    try:
        if cells:
            cells.check_distinct()
        # While others answer on the same port, this process does not before it can.
        waits = member is not None and member.joins_running_group()
        if http and not waits:
            _serve_http(http, settings, role)
        heartbeat.start()
        if shortage := find_file_shortage():
            log.warning("few open files", problem=shortage[0], mend=shortage[1])
        _run(settings, role, store, status, http_app, http, metrics, stop, cells, backlog, member, waits=waits)
    finally:
        if http:
            http.stop()
        heartbeat.stop()
        if cells:
            cells.close()
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
    shown: CollectorRegistry,
    cells: OtherCells | None,
    member: Member | None,
) -> FastAPI:
    find_other_problem = member.find_problem if member else None
    check_cells = cells.check if cells else None
    metrics_token = _reveal(settings.metrics_token)
    if role.takes_requests:
        return create_http_app(
            store,
            intake=intake,
            slack_problem=status.problem,
            secret_key=_reveal(settings.secret_key),
            public_url=settings.public_url,
            registry=metrics.registry,
            shown=shown,
            find_other_problem=find_other_problem,
            metrics_token=metrics_token,
            saturation=metrics.saturation,
            distribute=cells.distribute if cells else None,
            check_cells=check_cells,
        )
    app = FastAPI(openapi_url=None)
    add_health_routes(
        app,
        store,
        slack_problem=status.problem,
        registry=shown,
        metrics_token=metrics_token,
        find_other_problem=find_other_problem,
        check_cells=check_cells,
    )
    return app


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _create_http_server(
    settings: Settings, app: FastAPI, saturation: Saturation, member: Member | None
) -> HttpServer | None:
    if member and member.port is None:
        return None
    server = HttpServer(
        app,
        settings.http_host,
        settings.http_port,
        listening=(member and member.port) or open_port(settings),
        shared=member is not None,
        on_lag=saturation.loop_lag.observe,
    )
    saturation.watch_http_connections(lambda: len(server.connections))
    return server


def _serve_http(http: HttpServer, settings: Settings, role: Role) -> None:
    http.start()
    log.info("serving HTTP", host=settings.http_host, port=http.port, role=role.value)


def _run(
    settings: Settings,
    role: Role,
    store: Store,
    status: _SlackStatus,
    http_app: FastAPI,
    http: HttpServer | None,
    metrics: ProcessMetrics,
    stop: threading.Event,
    cells: OtherCells | None,
    backlog: BacklogCollector,
    member: Member | None,
    *,
    waits: bool,
) -> None:
    """Connects to Slack and takes requests until `stop` is set. Raises SettingsError."""
    clients = connect(settings, stop, metrics.requests.slack_calls)
    if clients is None:
        return
    own = clients.all()
    bot = _create_bot(
        settings,
        store,
        clients,
        role,
        metrics,
        app_token=_reveal(settings.slack_app_token),
        signing_secret=_reveal(settings.slack_signing_secret),
        enter=partial(cells.enter, clients=Clients(own), metrics=metrics.requests) if cells else None,
    )
    if cells and bot.installations:
        cells.complete_installations(bot.installations)
    if bot.http:
        bot.http.add_to(http_app)
    if bot.installations and role.takes_requests:
        bot.installations.add_to(http_app)
    try:
        bot.start()
        status.bot = bot
        if http and waits:
            _serve_http(http, settings, role)
        if cells:
            cells.start(
                lambda name, of_cell: _create_bot(settings, of_cell, Clients(own), role, metrics, cell=name), backlog
            )
        if _wait_until_open(bot, stop):
            log.info("ready", workspaces=[one.workspace_id for one in clients.all()])
            if member:
                member.report_ready()
        stop.wait()
        log.info("stopping")
    finally:
        began = time.monotonic()
        if http:
            http.begin_stop()
        if http and bot.http:
            http.stop()  # before the bot, which answers what came in through it
        if cells:
            cells.begin_stop()
        bot.stop(STOP_S - (time.monotonic() - began))
        if cells:
            cells.stop(STOP_S - (time.monotonic() - began))


def _create_bot(
    settings: Settings,
    store: Store,
    clients: Clients,
    role: Role,
    metrics: ProcessMetrics,
    *,
    app_token: str | None = None,
    signing_secret: str | None = None,
    enter: Callable[[Listeners, Background], Entry] | None = None,
    cell: str | None = None,
) -> Bot:
    """The bot of one database. Without a token and a secret, requests reach it through another's."""
    alertmanager_url = _reveal(settings.alertmanager_url)
    return Bot(
        store,
        clients,
        api_url=settings.slack_api_url,
        alertmanager=AlertmanagerClient(alertmanager_url) if alertmanager_url else None,
        command=settings.slack_command,
        app_token=app_token,
        signing_secret=signing_secret,
        sockets=settings.sockets,
        metrics=metrics,
        role=role,
        oauth=_read_oauth(settings),
        enter=enter,
        cell=cell,
    )


def _wait_until_open(bot: Bot, stop: threading.Event) -> bool:
    """Waits until requests of Slack can arrive. Returns False if `stop` is set meanwhile. Raises SettingsError."""
    if bot.socket is None:
        return True
    while not stop.is_set():
        if bot.socket.connections.wait_until_open(_POLL_S):
            return True
        check_token(bot.socket.connections.problem, "SLACK_APP_TOKEN")
    return False


def _read_oauth(settings: Settings) -> OAuthCredentials | None:
    client_secret, secret_keys = _reveal(settings.slack_client_secret), _reveal(settings.secret_key)
    if not (settings.slack_client_id and client_secret and secret_keys):
        return None
    return OAuthCredentials(settings.slack_client_id, client_secret, secret_keys, settings.public_url)
