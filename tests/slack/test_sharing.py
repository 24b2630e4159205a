"""Alerts, messages and people share a database, and people have connections of their own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy import select

from bot.delivery.service import open_delivery_store
from bot.intake.http import WRITING, open_intake_store
from bot.intake.tokens import Source, new_token, token_hash
from sandbox import Sandbox
from storage.engine import Store
from storage.models import Organization, Project
from storage.queries.tokens import insert_token
from tests.patience import PATIENCE_S
from tests.slack.serving import ROOT, Serve
from tests.stories.conftest import COMMAND, Cast

SENDERS = 20
COMMANDS = 30


def make_token(store: Store) -> str:
    """Another token for the project checkout."""
    token = new_token()
    with store.write() as tx:
        insert_token(
            tx,
            organization_id=tx.scalars(select(Organization.id)).one(),
            project_id=tx.scalars(select(Project.id).where(Project.slug == "checkout")).one(),
            source=Source.EVENTS,
            token_hash=token_hash(token),
            secret_encrypted=None,
            now=store.clock.now(),
        )
    return token


def blocked(store: Store) -> int:
    """How many transactions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with store.read() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


def test_with_many_senders_no_command_is_told_that_the_database_is_away(
    slack: Sandbox, store: Store, cast: Cast, serve: Serve
) -> None:
    serving = serve()
    people = [cast.ada, cast.ben, cast.sue]
    for person in people:
        person.command(COMMAND, "whoami", channel=cast.checkout)
    cast.ada.command(COMMAND, "declare project:checkout Payments fail", channel=cast.checkout)
    tokens = [make_token(store) for _ in range(SENDERS)]

    def send(number: int) -> int:
        alert = {"dedup_key": f"disk-{number}", "title": f"Disk {number} is full"}
        headers = {"Authorization": f"Bearer {tokens[number]}"}
        return httpx.post(f"{serving.url}/intake/events", json=alert, headers=headers, timeout=PATIENCE_S).status_code

    with ThreadPoolExecutor(SENDERS) as senders:
        with store.write() as tx:
            tx.exec_driver_sql("LOCK TABLE alert_memory IN SHARE MODE")  # so that all of intake's connections are held
            answers = [senders.submit(send, number) for number in range(SENDERS)]
            slack.wait_until(lambda: blocked(store) >= WRITING, timeout=PATIENCE_S, what="deliveries under way")
            for number in range(COMMANDS):
                text = people[number % 3].command(COMMAND, "ack 1", channel=cast.checkout).text
                assert "acknowledged #1" in text, text
        codes = [answer.result() for answer in answers]
    assert set(codes) <= {202, 503}


def test_a_replica_opens_no_more_connections_than_the_readme_says(store: Store) -> None:
    intake, sending = open_intake_store(store), open_delivery_store(store)
    listening = 1
    most = store.max_connections + intake.max_connections + sending.max_connections + listening
    (said,) = re.findall(r"A replica opens at most (\d+) connections", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert int(said) == most
    intake.close()
    sending.close()
