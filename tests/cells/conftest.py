"""A bot with two cells: the database of the run's server, and one on a server that a test may kill and start again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, create_engine, text

from bot import serving
from bot.app import Bot
from bot.cells import directory
from bot.cells import serving as cell_serving
from bot.installations import registry
from bot.intake.server import HttpServer
from bot.log import configure
from bot.settings import LogFormat, LogLevel, Role, Settings
from bot.slack.manifest import manifest
from sandbox import Answer, Person, Sandbox
from sandbox.records import Channel
from storage.clock import Clock
from storage.embedded import ROLE, EmbeddedPostgres, as_superuser
from storage.embedded.scratch import scratch_folder
from storage.engine import Store
from storage.migrate import migrate
from storage.url import normalise_url
from tests.clock import find_shadows_first, shadow_database_time
from tests.installations.conftest import Cloud
from tests.patience import PATIENCE_S
from tests.stories.conftest import BRISK, COMMAND, STDERR, Run, apply_file, populate, run

__all__ = ["run"]

TEMPLATE = "cell_template"
KEYS = "a-key-of-these-tests-only"
ACME = """
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams: [{slug: payments, name: Payments}]
projects: [{slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}]
members: [{email: ada@acme.test, name: Ada Obi, slack: U0001, role: owner, teams: [payments]}]
"""
LABS = """
organization: {slug: labs, name: Labs, workspaces: [T0002]}
teams: [{slug: probes, name: Probes}]
projects: [{slug: rocket, name: Rocket, teams: [probes], channels: [C0021]}]
members: [{email: zoe@acme.test, name: Zoe Lab, slack: U0021, role: owner, teams: [probes]}]
"""


class SecondServer:
    """The second PostgreSQL. It can be killed, and comes back with what was committed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"
        self.start()
        self._run(f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}")
        template = self._url.set(database=TEMPLATE)
        shadow_database_time(template)
        migrate(template)

    def start(self) -> None:
        """Starts it, at the address that it had before."""
        self._server = EmbeddedPostgres(self._folder, durable=False)
        self._url = normalise_url(self._server.start())

    def kill(self) -> None:
        """Ends it as a broken machine would, and leaves it so."""
        [pid_file] = self._folder.rglob("postmaster.pid")
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        self._server.stop()

    def stop(self) -> None:
        self._server.stop()

    def create_database(self) -> URL:
        """An empty database with the current schema."""
        self._run("DROP DATABASE IF EXISTS cell WITH (FORCE)", f"CREATE DATABASE cell TEMPLATE {TEMPLATE} OWNER {ROLE}")
        made = self._url.set(database="cell")
        find_shadows_first(made)
        return made

    def _run(self, *statements: str) -> None:
        engine = create_engine(as_superuser(self._url), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


@pytest.fixture(scope="session")
def second_server() -> Iterator[SecondServer]:
    with scratch_folder() as folder:
        server = SecondServer(folder)
        yield server
        server.stop()


@pytest.fixture
def cell_url(second_server: SecondServer) -> URL:
    return second_server.create_database()


@dataclass
class Cells(Cloud):
    """Acme's workspace in the default cell, that of Labs in the cell `two`, and the bot in both."""

    two: Store
    cells: cell_serving.OtherCells
    run: Run
    rocket: Channel
    token: str = ""  # of Acme's alerts

    def check_ready(self) -> tuple[int, dict[str, Any]]:
        answer = httpx.get(f"{self.url}/readyz", timeout=PATIENCE_S)
        return answer.status_code, answer.json()

    def create_token(self, organization: str) -> str:
        return self.type("token", "create", "--organization", organization, "--source", "events").splitlines()[-1]

    def type(self, *words: str) -> str:
        """Runs a command; gives what it prints."""
        code, out, errors = self.run(*words)
        self.reconfigure_log()
        assert code == 0, errors
        return out

    def rest(self) -> None:
        """Waits until delivery has nothing left to do in either cell."""
        self.settle()
        busy = (
            "SELECT EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM post WHERE wanted_version > drawn_version)"
            " OR EXISTS (SELECT FROM destination WHERE leased_until > now())"
        )
        for store in (self.store, self.two):
            wait_for(lambda store=store: not find(store, busy))
        self.settle()

    def reconfigure_log(self) -> None:
        """Has the bot, which goes on, log to what it logged to before a command."""
        configure(LogLevel.INFO, LogFormat.JSON, stream=STDERR)

    def alert(self, token: str, key: str, project: str) -> httpx.Response:
        alert = {"dedup_key": key, "title": f"{key} is down", "project": project}
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(f"{self.url}/intake/events", json=alert, headers=headers, timeout=PATIENCE_S)

    def see(self, person: Person, words: str) -> str:
        answer: Answer = self.ask(person, words)
        return answer.message.markup if answer.message else answer.text


@pytest.fixture
def cells(
    run: Run, database_url: str, cell_url: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cells]:
    monkeypatch.setattr(registry, "EVERY_S", 3600)  # a request from an unknown workspace has it looked up
    monkeypatch.setattr(cell_serving, "RETRY_S", 0.05)
    monkeypatch.setattr(directory, "CACHED_S", 0.0)
    monkeypatch.setattr(directory, "AWAY_S", 0.0)
    monkeypatch.setattr(directory, "ASKED_FOR_S", PATIENCE_S)
    monkeypatch.setattr(cell_serving, "CHECKED_WITHIN_S", PATIENCE_S)
    configure(LogLevel.INFO, LogFormat.JSON, stream=STDERR)
    servers: list[HttpServer] = []

    class Recorded(HttpServer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            servers.append(self)

    bots: list[Bot] = []

    def create_bot(*arguments: Any, **options: Any) -> Bot:
        bots.append(Bot(*arguments, **options, pace=BRISK, deadline_s=PATIENCE_S))
        return bots[-1]

    others: list[cell_serving.OtherCells] = []

    class RecordedCells(cell_serving.OtherCells):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            others.append(self)

    monkeypatch.setattr(serving, "HttpServer", Recorded)
    monkeypatch.setattr(serving, "Bot", create_bot)
    monkeypatch.setattr(serving, "OtherCells", RecordedCells)
    with (
        Sandbox(installed=False, acknowledge_seconds=PATIENCE_S) as first,
        Sandbox(
            team_id="T0002",
            team_name="Labs",
            domain="labs",
            installed=False,
            acknowledge_seconds=PATIENCE_S,
            app_of=first,
        ) as second,
    ):
        cast = populate(first)
        zoe = second.person("U0021", "Zoe Lab", "zoe@acme.test")
        rocket = second.channel("C0021", "rocket")
        for name, value in {
            "TOCSIN_CELLS": f"two={cell_url.render_as_string(hide_password=False)}",
            "SLACK_API_URL": first.api_url,
            "SLACK_SIGNING_SECRET": first.signing_secret,
            "SLACK_CLIENT_ID": first.oauth.client_id,
            "SLACK_CLIENT_SECRET": first.oauth.client_secret,
            "TOCSIN_SECRET_KEY": KEYS,
            "HTTP_PORT": "0",
        }.items():
            monkeypatch.setenv(name, value)
        settings = Settings.load()
        assert settings.database_url is not None
        stop = threading.Event()
        codes: list[int] = []
        serve = partial(serving.serve, settings, settings.database_url, Role.ALL, Clock(), stop)
        thread = threading.Thread(target=lambda: codes.append(serve()), name="serve")
        thread.start()
        store, two = Store.open(database_url), Store.open(cell_url)
        try:
            wait_for(lambda: bool(servers and others and bots) and others[0].check() == {"two": "ok"})
            url = f"http://127.0.0.1:{servers[0].port}"
            for slack in (first, second):
                slack.install(manifest(COMMAND, url, many=True))
                slack.use_http(f"{url}/slack/events")
            yield Cells(first, second, store, bots[0], servers[0], cast, tmp_path, zoe, two, others[0], run, rocket)
            for slack in (first, second):
                slack.settle(PATIENCE_S)
        finally:
            stop.set()
            thread.join(PATIENCE_S)
            store.close()
            two.close()
        assert codes == [0]
        for slack in (first, second):
            slack.expect_no_problems()


@pytest.fixture
def served(cells: Cells, tmp_path: Path) -> Cells:
    """The bot is installed in both workspaces, and each is an organization's."""
    apply_file(cells.store, tmp_path, ACME)
    apply_file(cells.two, tmp_path, LABS)
    assert cells.install(cells.first, cells.cast.ada).status == 200
    assert cells.install(cells.second, cells.zoe).status == 200
    return cells


def find(store: Store, query: str) -> Any:
    """What a query finds."""
    with store.read() as connection:
        return connection.exec_driver_sql(query).scalar()


def wait_for(holds: Any) -> None:
    """Waits until something holds."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        if holds():
            return
        waiting.wait(0.02)
    raise AssertionError("it never came true")
