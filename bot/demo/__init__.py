"""`run_bot.py demo`: a Slack workspace on this machine with the company Acme, the bot, and alerts that arrive.

This is the only package of the bot that imports the sandbox.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
import typer
from sqlalchemy import delete, select

from bot.database import migrate_database, open_database
from bot.demo import conversation, digest, history
from bot.demo.alerts import AlertSender
from bot.demo.company import ORGANIZATION, SLUG, Company, create_company
from bot.demo.guide import GuidedPath
from bot.demo.process import BotProcess
from bot.demo.saved_workspace import SavedWorkspace
from bot.intake.tokens import Source, new_token, token_hash
from bot.organization.apply import apply
from bot.organization.file import parse
from bot.settings import Settings
from bot.slack.manifest import manifest
from bot.stopping import stop_on_signals
from sandbox import NotAcknowledged, NotConnected, Sandbox
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.models import Organization
from storage.queries import tokens

log = structlog.get_logger(__name__)

PORTS_TRIED = 50
CONNECT_S = 30.0  # the bot must have connected by then
LOOK_S = 0.5  # how often the progress on the guided path is checked
KEEP_S = 5.0  # how often the workspace is saved
HISTORY = timedelta(days=14)
LOOPBACK = "127.0.0.1"
TERMINAL_WIDTH = 80


def run(settings: Settings, port: int, *, reset: bool = False) -> int:
    """Runs the demo until SIGINT or SIGTERM; gives the exit code.

    `port` is where the page is served, or the next free one; 0: any. `reset` forgets Acme and what was said first,
    and nothing else that the database holds. Raises DatabaseAway.
    """
    with stop_on_signals() as stop:
        return _run(settings, port, stop, reset=reset)


def _run(settings: Settings, port: int, stop: threading.Event, *, reset: bool) -> int:
    if settings.database_url is not None:
        typer.echo("DATABASE_URL is not used: the demo has a database of its own.", err=True)
    # Beside the embedded database of a real bot, which must hold nothing of the demo.
    settings = settings.model_copy(update={"database_url": None, "data_dir": settings.data_dir / "demo"})
    saved = SavedWorkspace(settings.data_dir / "workspace.json")
    with open_database(settings) as url:
        migrate_database(settings, url)
        store = Store.open(url, hung_after_s=None)
        try:
            if reset:
                _delete_company(store)
                saved.delete()
            _prepare(store, store.clock.now())
            return Demo(settings, store, saved, stop).run(port)
        finally:
            store.close()


def _delete_company(store: Store) -> None:
    with store.write() as tx:
        tx.execute(delete(Organization).where(Organization.slug == SLUG))


def _prepare(store: Store, now: datetime) -> None:
    apply(store, parse(ORGANIZATION, "the demo's organization"), now, prune=False, dry_run=False)
    with store.write() as tx:
        if not history.has_history(tx):
            history.write_history(tx, now)


class Demo:
    """One run of the demo on a database that holds Acme."""

    def __init__(self, settings: Settings, store: Store, saved: SavedWorkspace, stop: threading.Event) -> None:
        self._settings = settings
        self._store = store
        self._saved = saved
        self._stop = stop
        self._path: GuidedPath | None = None

    def run(self, port: int) -> int:
        """Everything, from the workspace's start to its end; gives the exit code."""
        slack, company = self._open_workspace(port)
        http_port = _free_port(self._settings.http_port, taken=slack.port)
        intake = f"http://{LOOPBACK}:{http_port}"
        try:
            with BotProcess(self._environment(slack, http_port), self._settings.data_dir / "bot.log") as bot:
                seeded = digest.is_seeded(company.ben.id, company.checkout.id)
                digest.ClockFollower(slack, self._store, bot, seeded)
                if not self._connected(slack, bot):
                    if self._stop.is_set():
                        return 0
                    typer.echo(f"The bot did not start. The end of {bot.log}:\n{bot.log_tail()}", err=True)
                    return 1
                token = self._load_token()
                self._print_address(slack, company, bot)
                page = f"http://{LOOPBACK}:{slack.port}"

                def arrived(number: int) -> None:
                    self._print_commands(page, intake, token, number)
                    self._main_incident(slack, company, number, alerts.start_storm)

                alerts = AlertSender(intake, token, self._store.clock.now, arrived)
                alerts.start()
                try:
                    return self._watch(slack, bot)
                finally:
                    alerts.stop()
        finally:
            self._saved.write(slack)
            slack.stop()

    # -- the workspace

    def _open_workspace(self, port: int) -> tuple[Sandbox, Company]:
        """The workspace on `port` or, where that is taken, on the next port that is free."""
        wanted = range(port, min(port + PORTS_TRIED, 65536)) if port else range(0)
        for candidate in [*wanted, 0]:
            if candidate and not _is_free(candidate):
                continue
            slack, company = self._create_workspace(candidate)
            try:
                slack.start()
            except OSError:
                continue
            if candidate != port:
                typer.echo(f"Port {port} is taken; the next free one is {slack.port}.")
            return slack, company
        raise AssertionError("port 0 is always free")

    def _create_workspace(self, port: int) -> tuple[Sandbox, Company]:
        slack, company = self._install(Sandbox(port=port))
        if not self._saved.restore(slack):
            slack, company = self._install(Sandbox(port=port, clock_behind=HISTORY.total_seconds()))
            conversation.replay(slack, company, HISTORY)
        return slack, company

    def _install(self, slack: Sandbox) -> tuple[Sandbox, Company]:
        slack.install(manifest(self._settings.slack_command, None))
        return slack, create_company(slack)

    # -- the bot

    def _environment(self, slack: Sandbox, http_port: int) -> dict[str, str]:
        return {
            "DATABASE_URL": "",
            "TOCSIN_DATA_DIR": str(self._settings.data_dir.resolve()),
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_SIGNING_SECRET": slack.signing_secret,
            "SLACK_COMMAND": self._settings.slack_command,
            "HTTP_HOST": LOOPBACK,
            "HTTP_PORT": str(http_port),
            "LOG_FORMAT": "console",
        }

    def _connected(self, slack: Sandbox, bot: BotProcess) -> bool:
        """Waits for the bot; False when it ended, took too long, or the demo is to stop."""
        for _ in range(int(CONNECT_S / 0.1)):
            if slack.connections:
                return True
            if bot.exit_code is not None or self._stop.wait(0.1):
                return False
        return False

    def _load_token(self) -> str:
        """An intake token of Acme's. It is the same in the next run: people may still have its line in a terminal."""
        path = self._settings.data_dir / "token"
        token = path.read_text("utf-8").strip() if path.is_file() else ""
        with self._store.write() as tx:
            if tokens.filter_valid_tokens(tx, hashes=[token_hash(token)], ids=[]):
                return token
            token = new_token()
            tokens.insert_token(
                tx,
                organization_id=tx.scalars(select(Organization.id).where(Organization.slug == SLUG)).one(),
                project_id=None,
                source=Source.EVENTS.value,
                token_hash=token_hash(token),
                secret_encrypted=None,
                now=self._store.clock.now(),
            )
        path.touch(mode=0o600)
        path.write_text(token, "utf-8")
        return token

    # -- what happens while it runs

    def _main_incident(self, slack: Sandbox, company: Company, number: int, start_storm: Callable[[], None]) -> None:
        """The incident of the guided path is there: Ben asks Ada for help with it, and a digest is a minute away."""
        command = self._settings.slack_command
        self._path = path = GuidedPath(slack, self._store, company, command, number, start_storm)
        try:
            if path.mention_is_due():
                company.ben.command(command, f"ack {number}", channel=company.checkout)
                company.ben.command(
                    command,
                    f"comment {number} {company.ada.at} can you help me with this? It began with the release at noon.",
                    channel=company.checkout,
                )
            with self._store.read() as connection:
                has_digest = digest.has_digest(connection)
            if not has_digest:
                company.ben.command(command, f'digest add "{digest.SCHEDULE}"', channel=company.checkout)
            with self._store.write() as tx:
                seeded = digest.is_seeded(company.ben.id, company.checkout.id)
                digest.bring_forward(tx, seeded, self._store.clock.now())
        except (NotAcknowledged, NotConnected, DatabaseAway, Contended) as error:
            log.warning("the demo is without somebody who asks for help, or without a digest", reason=str(error))

    def _watch(self, slack: Sandbox, bot: BotProcess) -> int:
        """Until the demo is to stop: the path's ticks, and what was said, written down."""
        looks = 0
        while not self._stop.wait(LOOK_S):
            if bot.exit_code is not None:
                typer.echo(f"The bot has ended. The end of {bot.log}:\n{bot.log_tail()}", err=True)
                return 1
            looks += 1
            try:
                if self._path is not None:
                    self._path.show()
            except (DatabaseAway, Contended) as error:
                log.warning("how far the guided path is cannot be seen", reason=str(error))
            if looks % int(KEEP_S / LOOK_S) == 0:
                self._saved.write(slack)
        typer.echo("Stopped. What you did is saved; `demo --reset` starts again.")
        return 0

    def _print_address(self, slack: Sandbox, company: Company, bot: BotProcess) -> None:
        """Prints where the page is."""
        typer.echo(
            f"""
Open this in your browser:

    http://{LOOPBACK}:{slack.port}/?as={company.ada.id}#{company.checkout.id}

You are {company.ada.name} of Acme. An alert arrives at once, and the guided path on the
page shows what to do with it. The menu at the top left makes you somebody else.

The log of the bot: {bot.log}
Ctrl-C stops the demo."""
        )

    def _print_commands(self, page: str, intake: str, token: str, number: int) -> None:
        """Prints the guided path for people without a browser. It needs the number of the incident."""
        command = self._settings.slack_command
        typed = [
            "list",
            f"ack {number}",
            f"comment {number} @payments a fix is on its way",
            f"resolve {number} rolled back",
        ]
        lines = "\n".join(_curl(f"-d '{command} {words}'", f"{page}/type/ada") for words in typed)
        typer.echo(
            f"""
Incident #{number} has arrived. Without a browser, type as Ada with curl:

{lines}

An alert of your own:

    token={token}
    curl -H "Authorization: Bearer $token" \\
      -d '{{"dedup_key": "mine", "title": "Mine", "project": "checkout"}}' \\
      {intake}/intake/events
"""
        )


def _curl(arguments: str, url: str) -> str:
    """A line for a shell, which goes on in a second one where it would be too long for a terminal."""
    line = f"    curl {arguments} {url}"
    return line if len(line) <= TERMINAL_WIDTH else f"    curl {arguments} \\\n      {url}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _free_port(wanted: int, *, taken: int) -> int:
    """`wanted`, or else a port that is free at this moment."""
    if wanted and wanted != taken and _is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
