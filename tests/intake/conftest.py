"""An organization with two projects, and the intake in front of it with a clock that the test turns."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bot.intake.http import create_http_app
from bot.intake.rate_limit import RateLimiter
from bot.intake.server import HttpServer
from bot.intake.tokens import Source, new_token, token_hash
from bot.organization.apply import apply
from bot.organization.file import parse
from bot.secret_box import SecretBox
from storage.engine import Store
from storage.models import Incident, Organization, Project
from storage.queries.tokens import insert_token
from storage.values import Status
from tests.clock import FixedClock
from tests.measuring import unmeasured

ORGANIZATION = """
organization: {slug: acme, name: Acme, workspaces: [T0001]}
teams: [{slug: payments, name: Payments}, {slug: search, name: Search}]
projects:
  - {slug: checkout, name: Checkout, teams: [payments], channels: [C0001]}
  - {slug: catalogue, name: Catalogue, teams: [search]}
members: [{email: ada@acme.test, name: Ada Obi, slack: U0001, role: owner, teams: [payments]}]
"""
SECRET_KEY = "the key of the tests"
SENTRY_SECRET = "0f" * 32
START = datetime(2026, 11, 23, 9, tzinfo=UTC)


@dataclass
class Bench:
    """The intake as a sender sees it, and what it left in the database."""

    client: httpx.Client
    store: Store

    @property
    def now(self) -> datetime:
        """What time it is there."""
        return self.store.clock.now()

    def go_to(self, moment: datetime) -> None:
        """Turns the clock to a moment."""
        self.store.clock.offset += moment - self.now

    def token(self, project: str | None = "checkout", source: Source = Source.EVENTS) -> str:
        """A new token for a project of Acme's, or with None for the organization."""
        token = new_token()
        with self.store.write() as tx:
            project_id = None if project is None else self.project_id(project)
            insert_token(
                tx,
                organization_id=tx.scalars(select(Organization.id)).one(),
                project_id=project_id,
                source=source.value,
                token_hash=token_hash(token),
                secret_encrypted=None,
                now=self.now,
            )
        return token

    def project_id(self, slug: str) -> int:
        """The id of a project."""
        with self.store.read() as connection:
            return connection.scalars(select(Project.id).where(Project.slug == slug)).one()

    def sentry(self, project: str | None = "checkout", secret: str = SENTRY_SECRET) -> str:
        """The path of a new Sentry token."""
        with self.store.write() as tx:
            token_id = insert_token(
                tx,
                organization_id=tx.scalars(select(Organization.id)).one(),
                project_id=None if project is None else self.project_id(project),
                source=Source.SENTRY.value,
                token_hash=None,
                secret_encrypted=SecretBox(SECRET_KEY).seal(secret),
                now=self.now,
            )
        return f"/intake/sentry/{token_id}"

    def post_signed(self, path: str, payload: Any, resource: str, *, secret: str = SENTRY_SECRET) -> httpx.Response:
        """Delivers a payload as Sentry does."""
        body = json.dumps(payload).encode()
        headers = {
            "Content-Type": "application/json",
            "Sentry-Hook-Resource": resource,
            "Sentry-Hook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
        return self.client.post(path, content=body, headers=headers)

    def details(self, number: int = 1) -> Any:
        """What else an incident's alert said."""
        with self.store.read() as connection:
            return connection.scalars(select(Incident.details).where(Incident.identifier == number)).one()

    def post(self, token: str, payload: Any, *, path: str = "/intake/events") -> httpx.Response:
        """Delivers a JSON payload."""
        return self.client.post(path, json=payload, headers={"Authorization": f"Bearer {token}"})

    def post_text(self, token: str, body: str, *, path: str = "/intake/events") -> httpx.Response:
        """Delivers a body as it is: httpx writes no halves of surrogate pairs."""
        return self.client.post(path, content=body, headers={"Authorization": f"Bearer {token}"})

    def later(self, **parts: float) -> None:
        """Turns the clock on, as `timedelta` takes it."""
        self.store.clock.offset += timedelta(**parts)

    def incidents(self) -> list[tuple[int, str, Status]]:
        """Number, title and status of every incident, the oldest first."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(Incident.identifier, Incident.title, Incident.status).order_by(Incident.identifier)
            )
            return [(number, title, Status(status)) for number, title, status in rows]

    def statuses(self) -> list[Status]:
        """The status of every incident, the oldest first."""
        return [status for _, _, status in self.incidents()]


@pytest.fixture(autouse=True)
def measured_by_examples(request: pytest.FixtureRequest) -> Iterator[None]:
    """Other tests show what the parsers do. Measuring those with a thousand made-up deliveries takes minutes."""
    with unmeasured() if request.node.get_closest_marker("hypothesis") else nullcontext():
        yield


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store.open(database_url, clock=FixedClock(START))
    yield opened
    opened.close()


@pytest.fixture
def slack_problems() -> list[str]:
    """What is wrong with the connection to Slack; empty: nothing."""
    return []


@pytest.fixture
def bench(store: Store, slack_problems: list[str]) -> Iterator[Bench]:
    with unmeasured():
        apply(store, parse(ORGANIZATION, "acme.yaml"), START, prune=False, dry_run=False)
        app = create_http_app(
            store,
            slack_problem=lambda: slack_problems[0] if slack_problems else None,
            rate_limiter=RateLimiter(burst=500, per_second=0.001),
            secret_key=SECRET_KEY,
        )
    server = HttpServer(app, "127.0.0.1", 0)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield Bench(client, store)
    server.stop()
