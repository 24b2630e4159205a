"""The world of the stories: a workspace, an organization, the bot between them."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import httpx
import pytest
from sqlalchemy import select

from bot.app import Bot
from bot.cli import main
from bot.delivery.pace import Pace
from bot.intake.http import create_http_app
from bot.intake.server import HttpServer
from bot.intake.tokens import Source, new_token, token_hash
from bot.log import configure
from bot.organization.apply import apply
from bot.organization.file import load
from bot.settings import LogFormat, LogLevel
from bot.slack import background
from bot.slack.clients import Clients
from bot.slack.manifest import EVENTS, SCOPES
from sandbox import Answer, Person, Sandbox, SeenMessage
from sandbox.records import Channel, UserGroup
from storage.engine import Store
from storage.models import Organization, Project
from storage.queries.tokens import insert_token
from tests.applied import insert_applied, remember_applied
from tests.cli.test_settings import VARIABLES
from tests.measuring import unmeasured
from tests.patience import PATIENCE_S

COMMAND = "/incident"
ORGANIZATION_FILE = "organization.yaml"

# For the stories that are the same in Socket Mode and in HTTP mode: `pytestmark = IN_BOTH_MODES`.
IN_BOTH_MODES = pytest.mark.parametrize("world", ["socket", "http"], indirect=True)
# For stories in a workspace of an Enterprise organization.
IN_AN_ENTERPRISE = pytest.mark.parametrize("slack", [{"enterprise_id": "E0001"}], indirect=True)
OVER_TLS = pytest.mark.parametrize("slack", [{"tls": True}], indirect=True, ids=["tls"])
WITH_AND_WITHOUT_TLS = pytest.mark.parametrize("slack", [{}, {"tls": True}], indirect=True, ids=["plain", "tls"])

ORGANIZATION = """
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams:
  - {slug: payments, name: Payments, slack_usergroup: S0001}
  - {slug: search, name: Search, slack_usergroup: S0002}
projects:
  - {slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}
  - {slug: catalogue, name: Catalogue, teams: [search], channels: [C0002]}
members:
  - {email: ada@acme.test, name: Ada Obi, slack: U0001, role: owner, teams: [payments]}
  - {email: ben@acme.test, name: Ben Tal, role: member, teams: [payments]}
  - {email: cyn@acme.test, name: Cyn Roe, role: member, teams: [search]}
  - {email: dan@acme.test, name: Dan Wu, role: manager}
  - {email: sue@acme.test, name: Sue Perm, role: member, teams: [payments], superuser: true}
"""


class PatientPace(Pace):
    """Slack may take its time to answer a call. What it has not done soon after a call broke off, it never does."""

    @property
    def settles_s(self) -> float:
        return 2.5


# The workspace sets no limit of pace, and nobody wants to wait for one.
BRISK = PatientPace(
    post_s=0.02,
    update_s=0.02,
    poll_s=0.5,
    storm_s=0.05,
    call_s=60,
    paused_s=0.5,
    failed_s=0.2,
    first_retry_s=0.1,
    answered_s=0.2,
    refused_s=0.1,
)

Run = Callable[..., tuple[int, str, str]]  # gives exit code, output and errors


@dataclass(frozen=True)
class Cast:
    """Who and what there is in the workspace."""

    ada: Person  # owner, of Payments
    ben: Person  # member, of Payments
    cyn: Person  # member, of Search
    dan: Person  # manager, of no team
    sue: Person  # member and superuser, of Payments
    eve: Person  # nobody to Acme
    checkout: Channel  # the channel of the project checkout, which is Payments'
    catalogue: Channel  # the channel of the project catalogue, which is Search's
    random: Channel  # no project's
    payments: UserGroup
    search: UserGroup


@dataclass
class World:
    """Acme's workspace with the bot in it."""

    slack: Sandbox
    store: Store
    bot: Bot
    cast: Cast
    folder: Path
    http_url: str | None = None  # where Slack's requests arrive, in HTTP mode

    def __post_init__(self) -> None:
        cast = self.cast
        self.ada, self.ben, self.cyn = cast.ada, cast.ben, cast.cyn
        self.dan, self.sue, self.eve = cast.dan, cast.sue, cast.eve

    def apply(self, organization: str, *, prune: bool = False) -> None:
        """Makes the database match an organization file."""
        apply_file(self.store, self.folder, organization, prune=prune)

    def joined_long_ago(self) -> None:
        """The workspace has been the organization's since before that was kept, as the migration leaves it."""
        with self.store.write() as tx:
            tx.exec_driver_sql("UPDATE workspace SET date_added = NULL")

    def declare(self, title: str, *, by: Person | None = None, options: str = "project:checkout") -> int:
        """An incident, declared by Ada unless somebody else is named; gives its number."""
        answer = self.ask(by or self.ada, f"declare {options} {title}")
        assert answer.message is not None
        return int(answer.text.split("#", 1)[1].split(maxsplit=1)[0])

    def seen_by(self, person: Person, identifier: int) -> str:
        """What `view` shows somebody of an incident."""
        return self.ask(person, f"view {identifier}").text

    def view(self, person: Person, identifier: int) -> SeenMessage:
        """The answer to `view`, to press its buttons."""
        return self.shown(self.ask(person, f"view {identifier}"))

    @staticmethod
    def shown(answer: Answer) -> SeenMessage:
        """The message of an answer that has one."""
        assert answer.message is not None
        return answer.message

    def settle(self) -> None:
        """Waits until the bot has answered everything, and sent what was to follow its answers."""
        self.slack.settle()
        everybody = threading.Barrier(background.WORKERS + 1)

        def meet() -> None:
            everybody.wait(PATIENCE_S)

        for _ in range(background.WORKERS):
            self.bot.background.submit(meet)
        meet()

    def see(self, person: Person, words: str, *, channel: Channel | None = None) -> SeenMessage:
        """The message with which a command is answered."""
        return self.shown(self.ask(person, words, channel=channel))

    def rest(self, seconds: float = PATIENCE_S) -> None:
        """Waits until delivery has nothing left to do, now or later; raises AssertionError."""
        self.slack.settle()
        busy = (
            "SELECT EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM post WHERE wanted_version > drawn_version)"
            " OR EXISTS (SELECT FROM destination WHERE leased_until > now())"
        )
        deadline = time.monotonic() + seconds
        while True:
            with self.store.read() as connection:
                if not connection.exec_driver_sql(busy).scalar_one():
                    return
            assert time.monotonic() < deadline, "delivery does not come to rest"
            time.sleep(0.02)

    def wait_until_expanded(self) -> None:
        """Waits until every change so far has become posts, which may still have to be sent."""

        def expanded() -> bool:
            with self.store.read() as connection:
                return not connection.exec_driver_sql("SELECT EXISTS (SELECT FROM outbox)").scalar_one()

        self.slack.wait_until(expanded, what="changes to be expanded")

    @contextmanager
    def nobody_writes(self, table: str) -> Iterator[None]:
        """Whoever would write to the table waits until the block ends. Who only reads it, as workers do, does not."""
        with self.store.write() as tx:
            tx.exec_driver_sql(f"LOCK TABLE {table} IN SHARE MODE")
            yield

    def wait_for_blocked(self, count: int = 1) -> None:
        """Waits until so many of the bot's transactions wait for a lock."""
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )

        def enough() -> bool:
            with self.store.read() as connection:
                return int(connection.exec_driver_sql(blocked).scalar_one()) >= count

        self.slack.wait_until(enough, what=f"{count} blocked transactions")

    def ask(self, person: Person, words: str, *, channel: Channel | None = None) -> Answer:
        """What somebody types behind the slash command, in #checkout unless another channel is named."""
        return person.command(COMMAND, words, channel=channel or self.cast.checkout)


def apply_file(store: Store, folder: Path, organization: str, *, prune: bool = False) -> None:
    """Applies the text of an organization file."""
    path = folder / ORGANIZATION_FILE
    path.write_text(organization, encoding="utf-8")
    apply(store, load(path), store.clock.now(), prune=prune, dry_run=False)


def populate(slack: Sandbox) -> Cast:
    """The people and channels that ORGANIZATION speaks of, and some whom it does not."""
    ada = slack.person("U0001", "Ada Obi", "ada@acme.test", tz="Europe/Berlin")
    ben = slack.person("U0002", "Ben Tal", "ben@acme.test", tz="America/New_York")
    cyn = slack.person("U0003", "Cyn Roe", "cyn@acme.test", tz="Asia/Kolkata")
    return Cast(
        ada=ada,
        ben=ben,
        cyn=cyn,
        dan=slack.person("U0004", "Dan Wu", "dan@acme.test"),
        sue=slack.person("U0005", "Sue Perm", "sue@acme.test"),
        eve=slack.person("U0006", "Eve Out", "eve@elsewhere.test"),
        checkout=slack.channel("C0001", "checkout"),
        catalogue=slack.channel("C0002", "catalogue"),
        random=slack.channel("C0003", "random"),
        payments=slack.usergroup("S0001", "payments", "Payments", [ada, ben]),
        search=slack.usergroup("S0002", "search", "Search", [cyn]),
    )


class Stderr(io.TextIOBase):
    """Whatever stderr is at the time: pytest gives every test another one."""

    def write(self, text: str, /) -> int:
        return sys.stderr.write(text)


STDERR = cast("TextIO", Stderr())


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def measured_in_one_mode(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of a story in both modes, coverage sees the one over Socket Mode; `tests/slack` has what is only in HTTP mode."""
    again = hasattr(request.node, "callspec") and request.node.callspec.params.get("world") == "http"
    with unmeasured() if again else nullcontext():
        yield


@pytest.fixture
def slack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A workspace that fails its test when the bot did anything on the wire that Slack would not take.

    It grants the bot what its manifest asks for, and nothing else. Its parameter is what else the workspace is made
    with (see IN_AN_ENTERPRISE, WITH_AND_WITHOUT_TLS).
    """
    with Sandbox(scopes=SCOPES, subscriptions=EVENTS, **getattr(request, "param", {})) as sandbox:
        if sandbox.tls:
            monkeypatch.setenv("SSL_CERT_FILE", str(sandbox.authority))
        yield sandbox
        sandbox.expect_no_problems()


@pytest.fixture
def world(request: pytest.FixtureRequest, slack: Sandbox, store: Store, tmp_path: Path) -> Iterator[World]:
    """The bot on the workspace, with Acme's organization applied.

    Over Socket Mode, unless the test asks for "http" (see IN_BOTH_MODES).
    """
    over_http = getattr(request, "param", "socket") == "http"
    configure(LogLevel.WARNING, LogFormat.JSON, stream=STDERR)  # what goes wrong stands below the failed test
    with unmeasured():  # tests/organization has that, and much more
        cast = populate(slack)
        if insert_applied(store, ORGANIZATION, store.clock.now()):
            (tmp_path / ORGANIZATION_FILE).write_text(ORGANIZATION, encoding="utf-8")
        else:
            apply_file(store, tmp_path, ORGANIZATION)
            remember_applied(store, ORGANIZATION)
    bot = Bot(
        store,
        Clients.connect(slack.bot_token, slack.api_url),
        api_url=slack.api_url,
        command=COMMAND,
        app_token=None if over_http else slack.app_token,
        signing_secret=slack.signing_secret,
        pace=BRISK,
    )
    server = url = None
    if bot.http:
        with unmeasured():
            app = create_http_app(store, slack_problem=lambda: None)
        bot.http.add_to(app)
        server = HttpServer(app, "127.0.0.1", 0)
        server.start()
        url = f"http://127.0.0.1:{server.port}/slack/events"
        slack.use_http(url)
    bot.start()
    if not over_http:
        slack.wait_until_connected()
    yield World(slack, store, bot, cast, tmp_path, url)
    slack.settle()
    if server:
        server.stop()
    bot.stop(PATIENCE_S)


Deliver = Callable[[Source, Any], httpx.Response]


@pytest.fixture
def intake(world: World) -> Iterator[str]:
    """The address of an intake on the world's database."""
    with unmeasured():
        app = create_http_app(world.store, slack_problem=lambda: None)
    server = HttpServer(app, "127.0.0.1", 0)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def deliver(world: World, intake: str) -> Iterator[Deliver]:
    """Delivers a payload of a source for the project checkout."""
    tokens: dict[Source, str] = {}
    with httpx.Client(base_url=intake) as client:

        def post(source: Source, payload: Any) -> httpx.Response:
            if source not in tokens:
                tokens[source] = token_for_checkout(world, source)
            headers = {"Authorization": f"Bearer {tokens[source]}"}
            return client.post(f"/intake/{source}", json=payload, headers=headers)

        yield post


def token_for_checkout(world: World, source: Source) -> str:
    """A new token for the project checkout."""
    token = new_token()
    with world.store.write() as tx:
        insert_token(
            tx,
            organization_id=tx.scalars(select(Organization.id)).one(),
            project_id=tx.scalars(select(Project.id).where(Project.slug == "checkout")).one(),
            source=source,
            token_hash=token_hash(token),
            secret_encrypted=None,
            now=world.store.clock.now(),
        )
    return token


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], database_url: str) -> Run:
    """Runs a command in an empty folder on the database of the world."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", str(database_url))
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return code, captured.out, captured.err

    return typed
