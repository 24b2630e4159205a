"""`run_bot.py demo`: a Slack workspace on this machine, Acme in it, the bot that `serve` runs, and a page to
look at it all. The one place where the bot's package knows the sandbox.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from datetime import UTC, datetime

import typer
from sqlalchemy import delete

from bot.database import open_database
from bot.demo import history
from bot.demo.company import ORGANIZATION, SLUG, Company, furnish
from bot.demo.process import BotProcess
from bot.organization.apply import apply
from bot.organization.file import parse
from bot.settings import Settings
from sandbox import Sandbox, SandboxError
from storage.engine import Store
from storage.migrate import migrate
from storage.models import Organization

PORTS_TRIED = 50
CONNECT_S = 30.0  # until the bot must have connected
LOOPBACK = "127.0.0.1"


def run(settings: Settings, port: int, *, reset: bool = False) -> int:
    """Runs the demo until SIGINT or SIGTERM; gives the exit code.

    `port` is where the page is served, or the next free one; 0: any. `reset` forgets Acme first, and nothing
    else that the database holds. Raises DatabaseAway.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.database_url is not None:
        typer.echo("DATABASE_URL is left alone: the demo has its own database.", err=True)
        settings = settings.model_copy(update={"database_url": None})
    with open_database(settings) as url:
        migrate(url)
        store = Store.open(url)
        try:
            if reset:
                _forget(store)
            _prepare(store, datetime.now(UTC))
        finally:
            store.close()
        return _play(settings, port, stop)


def _forget(store: Store) -> None:
    with store.write() as tx:
        tx.execute(delete(Organization).where(Organization.slug == SLUG))


def _prepare(store: Store, now: datetime) -> None:
    apply(store, parse(ORGANIZATION, "the demo's organization"), now, prune=False, dry_run=False)
    with store.write() as tx:
        if not history.has_history(tx):
            history.write(tx, now)


def _play(settings: Settings, port: int, stop: threading.Event) -> int:
    slack, company = _open_workspace(port)
    http_port = _free_port(settings.http_port, taken=slack.port)
    environment = {
        "DATABASE_URL": "",
        "TOCSIN_DATA_DIR": str(settings.data_dir.resolve()),
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_SIGNING_SECRET": slack.signing_secret,
        "SLACK_COMMAND": settings.slack_command,
        "HTTP_HOST": LOOPBACK,
        "HTTP_PORT": str(http_port),
        "LOG_FORMAT": "console",
    }
    try:
        with BotProcess(environment, settings.data_dir / "demo.log") as bot:
            if not _connected(slack, bot, stop):
                if stop.is_set():
                    return 0
                typer.echo(f"The bot did not start. The end of {bot.log}:\n{bot.last_words()}", err=True)
                return 1
            typer.echo(f"The bot is connected; its log is {bot.log}. Ctrl-C ends the demo.")
            if sys.stdin.isatty():
                threading.Thread(
                    target=_prompt, args=(company, settings.slack_command), name="prompt", daemon=True
                ).start()
            while not stop.wait(0.5):
                if bot.ended is not None:
                    typer.echo(f"The bot has ended. The end of {bot.log}:\n{bot.last_words()}", err=True)
                    return 1
        typer.echo("Stopped.")
        return 0
    finally:
        slack.stop()


def _open_workspace(port: int) -> tuple[Sandbox, Company]:
    """The workspace on `port` or, where that is taken, on the next port that is free."""
    wanted = range(port, min(port + PORTS_TRIED, 65536)) if port else range(0)
    for candidate in [*wanted, 0]:
        slack = Sandbox(port=candidate)
        company = furnish(slack)
        try:
            slack.start()
        except OSError:
            continue
        if candidate != port:
            typer.echo(f"Port {port} is taken; the next free one is {slack.port}.")
        return slack, company
    raise AssertionError("port 0 is always free")


def _free_port(wanted: int, *, taken: int) -> int:
    """`wanted`, or else a port that is free at this moment."""
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, candidate))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            if port != taken:
                return port
    raise AssertionError("port 0 is always free")


def _connected(slack: Sandbox, bot: BotProcess, stop: threading.Event) -> bool:
    """Waits for the bot; False when it ended, took too long, or the demo is to stop."""
    for _ in range(int(CONNECT_S / 0.1)):
        if slack.connections:
            return True
        if bot.ended is not None or stop.wait(0.1):
            return False
    return False


def _prompt(company: Company, command: str) -> None:
    """Commands typed at the terminal, as one of the people; `as ben` changes who that is."""
    people = {person.handle: person for person in company.people}
    who = company.ada
    typer.echo(f"Type `list` for {command} list, and so on; `as {company.ben.handle}` to be somebody else.")
    while True:
        typer.echo(f"{who.handle}> ", nl=False)
        line = sys.stdin.readline()
        if not line:
            return
        words = line.strip().removeprefix(command).strip()
        if words.removeprefix("as ") in people:
            who = people[words.removeprefix("as ")]
            continue
        try:
            typer.echo(who.command(command, words, channel=company.checkout).text)
        except SandboxError as error:
            typer.echo(str(error), err=True)
