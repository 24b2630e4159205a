"""The bot where it is installed by OAuth: no workspace at first, two that can install it, over HTTP."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from bot.app import Bot
from bot.installations import registry
from bot.installations.oauth import OAuthCredentials
from bot.intake.http import create_http_app
from bot.intake.server import HttpServer
from bot.log import configure
from bot.settings import LogFormat, LogLevel
from bot.slack.clients import Clients
from bot.slack.manifest import manifest
from sandbox import Answer, Person, Sandbox
from storage.engine import Store
from storage.models import Workspace
from tests.patience import PATIENCE_S
from tests.stories.conftest import BRISK, COMMAND, ORGANIZATION, STDERR, Cast, apply_file, populate

KEYS = "a-key-of-these-tests-only"


@dataclass
class Page:
    """What somebody sees in their browser at the end of an installation."""

    status: int
    text: str
    html: str


@dataclass
class Cloud:
    """Slack with two workspaces that share an app, and the bot that can be installed in them."""

    first: Sandbox
    second: Sandbox
    store: Store
    bot: Bot
    server: HttpServer
    cast: Cast
    folder: Path
    zoe: Person  # a member of the second workspace

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def begin(self, query: str = "") -> tuple[httpx.Response, str, str]:
        """Opens the page where an installation begins. Returns it, the cookie, and the link to Slack's page."""
        page = httpx.get(f"{self.url}/slack/install{query}", timeout=PATIENCE_S)
        cookie = SimpleCookie(page.headers.get("set-cookie", ""))
        found = re.search(r'href="([^"]+)"', page.text)
        sent = "; ".join(f"{name}={morsel.value}" for name, morsel in cookie.items())
        return page, sent, html.unescape(found[1]) if found else ""

    def come_back(self, url: str, cookie: str = "") -> Page:
        """Slack sends the browser back to the bot."""
        answer = httpx.get(url, headers={"cookie": cookie} if cookie else {}, timeout=PATIENCE_S)
        text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", answer.text, flags=re.DOTALL)
        return Page(answer.status_code, html.unescape(" ".join(text.split())), answer.text)

    def install(self, slack: Sandbox, person: Person, query: str = "", *, for_enterprise: bool = False) -> Page:
        """A person installs the bot in their workspace."""
        _, cookie, authorize_url = self.begin(query)
        return self.come_back(slack.allow(person, authorize_url, for_enterprise=for_enterprise), cookie)

    def apply(self, organization: str = ORGANIZATION, *, prune: bool = False) -> None:
        apply_file(self.store, self.folder, organization, prune=prune)

    def ask(self, person: Person, words: str) -> Answer:
        return person.command(COMMAND, words)

    def settle(self) -> None:
        for slack in (self.first, self.second):
            slack.settle(PATIENCE_S)

    def find_organization(self, workspace_id: str) -> int | None:
        with self.store.read() as connection:
            return connection.scalar(select(Workspace.organization_id).where(Workspace.id == workspace_id))

    def invite(self, owner: Person) -> str:
        """The query of the link that `workspaces` shows to an owner."""
        answer = self.ask(owner, "workspaces")
        assert answer.message is not None, answer
        found = re.search(r"/slack/install(\?invitation=[\w-]+)", answer.message.markup)
        assert found, answer.message.markup
        return found[1]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def cloud(
    request: pytest.FixtureRequest, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    """The parameter of the fixture is the Enterprise organization that both workspaces belong to."""
    monkeypatch.setattr(registry, "EVERY_S", 3600)  # the tests look themselves
    enterprise_id: str | None = getattr(request, "param", None)
    configure(LogLevel.INFO, LogFormat.JSON, stream=STDERR)
    with (
        Sandbox(enterprise_id=enterprise_id, installed=False, acknowledge_seconds=PATIENCE_S) as first,
        Sandbox(
            team_id="T0002",
            team_name="Labs",
            domain="labs",
            enterprise_id=enterprise_id,
            installed=False,
            acknowledge_seconds=PATIENCE_S,
            app_of=first,
        ) as second,
    ):
        cast = populate(first)
        zoe = second.person("U0021", "Zoe Lab", "zoe@acme.test")
        second.channel("C0021", "labs")
        app = create_http_app(store, slack_problem=lambda: None)
        server = HttpServer(app, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.port}"
        bot = Bot(
            store,
            Clients(),
            api_url=first.api_url,
            command=COMMAND,
            signing_secret=first.signing_secret,
            pace=BRISK,
            deadline_s=PATIENCE_S,
            oauth=OAuthCredentials(first.oauth.client_id, first.oauth.client_secret, KEYS, url),
        )
        assert bot.http and bot.installations
        bot.http.add_to(app)
        bot.installations.add_to(app)
        server.start()
        for slack in (first, second):
            slack.install(manifest(COMMAND, url, many=True))
            slack.use_http(f"{url}/slack/events")
        bot.start()
        yield Cloud(first, second, store, bot, server, cast, tmp_path, zoe)
        for slack in (first, second):
            slack.settle(PATIENCE_S)
        server.stop()
        bot.stop()
        for slack in (first, second):
            slack.expect_no_problems()
