"""Replicas whose clocks are wrong decide as all others do: by the database's time."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from bot.intake.tokens import Source, new_token, token_hash
from sandbox import Sandbox
from sandbox.records import Channel
from storage.engine import Store
from storage.models import Digest, DigestFire, Incident, Organization
from storage.queries.tokens import insert_token
from storage.values import Status
from tests.patience import PATIENCE_S
from tests.slack.serving import Serve
from tests.stories.conftest import Cast

FIVE_MINUTES_S = 300


def wrong_clock(ahead_s: int) -> dict[str, str]:
    """The environment of a replica whose machine's clock is so far ahead."""
    return {"CLOCK_AHEAD_S": str(ahead_s)}


def token(store: Store) -> str:
    """A new token of Acme's."""
    made = new_token()
    with store.write() as tx:
        insert_token(
            tx,
            organization_id=tx.scalars(select(Organization.id)).one(),
            project_id=None,
            source=Source.EVENTS,
            token_hash=token_hash(made),
            secret_encrypted=None,
            now=store.clock.now(),
        )
    return made


def test_a_replica_that_is_ahead_posts_no_digest_early(slack: Sandbox, cast: Cast, store: Store, serve: Serve) -> None:
    serve(environment=wrong_clock(FIVE_MINUTES_S))
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.checkout)
    for channel, minutes in ((cast.checkout, 0), (cast.random, 3)):
        cast.ada.command("/incident", 'digest add "0 0 1 1 *" picture:no', channel=channel)
        with store.write() as tx:
            due = store.clock.now() + timedelta(minutes=minutes)
            tx.execute(update(Digest).where(Digest.channel_id == channel.id).values(next_fire_at=due))

    def told(channel: Channel) -> bool:
        return any("1 open incident" in message.text for message in slack.messages(channel))

    slack.wait_until(lambda: told(cast.checkout), what="the digest that is due", timeout=PATIENCE_S)
    assert not told(cast.random)
    with store.read() as connection:
        assert len(connection.scalars(select(DigestFire.id)).all()) == 1


@pytest.mark.usefixtures("cast")
def test_a_replica_that_is_behind_closes_what_has_ended(store: Store, serve: Serve) -> None:
    """The alert began a moment ago, and another replica has heard of it."""
    right, behind = serve(), serve(environment=wrong_clock(-FIVE_MINUTES_S))
    headers = {"Authorization": f"Bearer {token(store)}"}
    alert = {"dedup_key": "disk", "title": "Disk is full", "project": "checkout"}
    for bot, said in ((right, {"started_at": store.clock.now().isoformat()}), (behind, {"status": "resolved"})):
        answer = httpx.post(f"{bot.url}/intake/events", json=alert | said, headers=headers, timeout=PATIENCE_S)
        assert (answer.status_code, answer.json()["accepted"]) == (202, [1])
    with store.read() as connection:
        assert connection.scalars(select(Incident.status)).all() == [Status.CLOSED]


def test_a_replica_whose_clock_is_wrong_takes_slacks_signatures(cast: Cast, serve: Serve) -> None:
    serve(over_http=True, environment=wrong_clock(2 * FIVE_MINUTES_S))
    assert "No open incidents" in cast.ada.command("/incident", "list", channel=cast.checkout).text
