"""The demo's company with the bot in it, in this process: for pictures of what people see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import select

from bot.app import Bot
from bot.demo import HISTORY, conversation, history
from bot.demo.alerts import AlertSender
from bot.demo.company import ORGANIZATION, Company, create_company
from bot.intake.http import create_http_app
from bot.intake.server import HttpServer
from bot.intake.tokens import Source, new_token, token_hash
from bot.organization.apply import apply
from bot.organization.file import parse
from bot.slack.clients import Clients
from bot.slack.manifest import manifest
from sandbox import Sandbox
from storage.engine import Store
from storage.models import Organization
from storage.queries.tokens import insert_token
from tests.patience import PATIENCE_S
from tests.stories.conftest import BRISK, COMMAND


@dataclass
class Demo:
    """The demo's company with the bot in it, in this process."""

    slack: Sandbox
    company: Company
    alerts: AlertSender

    def ask(self, person: str, words: str) -> None:
        """Types a command in #checkout in somebody's name."""
        self.slack.who(person).command(COMMAND, words, channel=self.company.checkout)


@contextmanager
def open_demo(store: Store) -> Iterator[Demo]:
    """A workspace with two weeks behind it; no alert arrives by itself."""
    now = store.clock.now()
    apply(store, parse(ORGANIZATION, "the demo's organization"), now, prune=False, dry_run=False)
    token = new_token()
    with store.write() as tx:
        history.write_history(tx, now)
        insert_token(
            tx,
            organization_id=tx.scalars(select(Organization.id)).one(),
            project_id=None,
            source=Source.EVENTS.value,
            token_hash=token_hash(token),
            secret_encrypted=None,
            now=now,
        )
    with Sandbox(clock_behind=HISTORY.total_seconds(), acknowledge_seconds=PATIENCE_S) as slack:
        slack.install(manifest(COMMAND, None))
        company = create_company(slack)
        conversation.replay(slack, company, HISTORY)
        bot = Bot(
            store,
            Clients.connect(slack.bot_token, slack.api_url),
            api_url=slack.api_url,
            command=COMMAND,
            app_token=slack.app_token,
            signing_secret=slack.signing_secret,
            pace=BRISK,
            deadline_s=PATIENCE_S,
        )
        server = HttpServer(create_http_app(store, slack_problem=lambda: None), "127.0.0.1", 0)
        server.start()
        bot.start()
        slack.wait_until_connected()
        intake = f"http://127.0.0.1:{server.port}"
        try:
            yield Demo(slack, company, AlertSender(intake, token, store.clock.now, lambda _: None))
        finally:
            slack.settle()
            server.stop()
            bot.stop()
