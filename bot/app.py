"""The one place where the parts are put together, and taken down in order again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TypeVar

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector
from slack_sdk.errors import SlackApiError

from bot.database import migrated, open_database
from bot.delivery import counts
from bot.delivery.pace import Pace
from bot.delivery.service import DeliveryService, own_store
from bot.digests.service import Digests
from bot.handlers.call import Tools
from bot.handlers.desk import Desk
from bot.intake.http import create_http_app, intake_store
from bot.intake.server import HttpServer
from bot.metrics import Metrics
from bot.people.channels import Channels
from bot.people.identity import Identity
from bot.settings import Settings, SettingsError
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.slack.http import HttpLine
from bot.slack.line import Line
from bot.slack.socket import SocketLine
from storage.clock import Clock
from storage.engine import Store, answers

log = structlog.get_logger(__name__)

# How long to wait before Slack is tried again while the bot starts: this, doubled each time, up to the last.
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
# What Slack says of credentials that will not get better by waiting, and the variable to look at.
_BAD_TOKENS = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)

T = TypeVar("T")


class Bot:
    """The bot on one database and the workspaces of its token, over Socket Mode or HTTP."""

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
        metrics: Metrics | None = None,
    ) -> None:
        self.store = store
        metrics = metrics or Metrics(CollectorRegistry())
        self.background = Background(api_url)
        identity = Identity(store, clients, self.background)
        self.line = Line(
            clients,
            Desk(Tools(store, identity, Channels(clients), clients, command), metrics),
            self.background,
            api_url=api_url,
            command=command,
            metrics=metrics,
        )
        self.socket = SocketLine(self.line, app_token=app_token, api_url=api_url) if app_token else None
        self.http = HttpLine(self.line, signing_secret, store.clock.now) if signing_secret and not app_token else None
        sending = own_store(store)  # closed by delivery, the last to stop
        identity = Identity(sending, clients, self.background)
        self.delivery = DeliveryService(sending, clients, identity, api_url=api_url, pace=pace)
        store.on_outbox = self.delivery.wake
        self.digests = Digests(sending, clients, identity, command=command)

    def start(self) -> None:
        """Begins to take requests, and to send what is due. Raises SlackApiError, OSError."""
        self.delivery.start()
        self.digests.start()
        if self.socket:
            self.socket.connect()

    @property
    def connected(self) -> bool:
        """Whether Slack's requests can arrive; over HTTP that is Slack's to say."""
        return self.socket is None or self.socket.connected

    def stop(self) -> None:
        """Takes no more requests, finishes those under way and what they left to be sent.

        In HTTP mode the server has been stopped before.
        """
        self.delivery.begin_nothing()
        if self.socket:
            self.socket.close()
        if self.http:
            self.http.close()
        self.digests.stop()
        self.delivery.stop()
        self.background.drain()


def serve(settings: Settings, clock: Clock | None = None) -> int:
    """Runs the bot until SIGTERM or SIGINT, by `clock` where one is given; gives the exit code.

    Raises SettingsError for credentials that Slack refuses and a port that is taken, DatabaseAway.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with open_database(settings) as url:
        before, after = migrated(settings, url)
        log.info("the database is ready", schema=after, was=before)
        store = Store.open(url, clock=clock)
        store.clock.read()
        intake = intake_store(store)
        line = _SlackLine()
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        counts.show(registry)
        ProcessCollector(registry=registry)
        metrics.watch(database_up=lambda: answers(store), slack_connected=lambda: line.problem() is None)
        http_app = _http_app(settings, store, intake, line, registry)
        http = _http_server(settings, http_app)
        try:
            http.start()
            log.info("serving HTTP", host=settings.http_host, port=http.port)
            _run(settings, store, line, http_app, http, metrics, stop)
        finally:
            http.stop()
            intake.close()
            store.close()
    log.info("stopped")
    return 0


class _SlackLine:
    """What `/readyz` says of the connection to Slack, from before there is one."""

    bot: Bot | None = None

    def problem(self) -> str | None:
        return None if self.bot and self.bot.connected else "not connected"


def _http_app(
    settings: Settings, store: Store, intake: Store, line: _SlackLine, registry: CollectorRegistry
) -> FastAPI:
    secret_key = settings.secret_key.get_secret_value() if settings.secret_key else None
    return create_http_app(store, intake=intake, slack_problem=line.problem, secret_key=secret_key, registry=registry)


def _http_server(settings: Settings, app: FastAPI) -> HttpServer:
    try:
        return HttpServer(app, settings.http_host, settings.http_port)
    except OSError as error:
        address = f"{settings.http_host}:{settings.http_port}"
        raise SettingsError(f"HTTP_HOST, HTTP_PORT: {address} cannot be used: {error.strerror or error}") from None


def _run(
    settings: Settings,
    store: Store,
    line: _SlackLine,
    http_app: FastAPI,
    http: HttpServer,
    metrics: Metrics,
    stop: threading.Event,
) -> None:
    """Connects to Slack and takes requests until it is told to stop. Raises SettingsError."""
    assert settings.slack_bot_token is not None
    bot_token = settings.slack_bot_token.get_secret_value()
    clients = _until_slack_answers(lambda: Clients.connect(bot_token, settings.slack_api_url), "SLACK_BOT_TOKEN", stop)
    if clients is None:
        return
    bot = Bot(
        store,
        clients,
        api_url=settings.slack_api_url,
        command=settings.slack_command,
        app_token=settings.slack_app_token.get_secret_value() if settings.slack_app_token else None,
        signing_secret=(settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else None),
        metrics=metrics,
    )
    if bot.http:
        bot.http.add_to(http_app)
    try:
        _until_slack_answers(bot.start, "SLACK_APP_TOKEN", stop)
        line.bot = bot
        log.info("ready", workspaces=[one.workspace_id for one in clients.all()])
        stop.wait()
        log.info("stopping")
    finally:
        if bot.http:
            http.stop()  # before the bot, which answers what came in through it
        bot.stop()


def _until_slack_answers(connect: Callable[[], T], variable: str, stop: threading.Event) -> T | None:
    """Tries until Slack can be reached; None when the bot is told to stop meanwhile. Raises SettingsError."""
    wait = _FIRST_WAIT_S
    while not stop.is_set():
        try:
            return connect()
        except SlackApiError as error:
            reason = str(error.response.get("error"))
            if reason in _BAD_TOKENS:
                raise SettingsError(f"{variable}: Slack refuses this token ({reason})") from None
        except OSError as error:
            reason = str(error)
        log.warning("Slack cannot be reached yet", reason=reason, next_try_s=wait)
        stop.wait(wait)
        wait = min(wait * 2, _LONGEST_WAIT_S)
    return None
