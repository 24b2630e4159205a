"""The bot behind PgBouncer in transaction mode, where no statement finds the session of the one before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from bot.intake.tokens import Source
from storage import preflight
from storage.engine import Store
from storage.session_settings import Pooling
from tests.changes import change
from tests.storage import pgbouncer
from tests.stories.conftest import Deliver, World
from tests.stories.test_cards import card


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """Through a pooler that has few sessions and takes another one each time."""
    settings = {"default_pool_size": "6", "server_round_robin": "1"}
    with pgbouncer.running(make_url(database_url), tmp_path, "transaction", **settings) as url:
        pooling = preflight.check_database(url)
        assert pooling is Pooling.TRANSACTION
        with closing(Store.open(url, pooling=pooling)) as store:
            yield store


def test_people_alerts_and_delivery_at_once(world: World, deliver: Deliver) -> None:
    world.declare("Payments fail")
    shown = card(world)
    people = [world.ada, world.ben, world.dan, world.sue]
    words = ["ack 1", "list", "view 1", "comment 1 Looking", "activity 1", "list fail since:24h"]
    alert = {"title": "Disk is full", "status": "firing", "severity": "critical"}
    with ThreadPoolExecutor(12) as pool:
        alerts = [pool.submit(deliver, Source.EVENTS, alert | {"dedup_key": f"disk-{n % 4}"}) for n in range(24)]
        asked = [pool.submit(world.ask, person, word) for word in words for person in people]
        assert Counter(one.result().status_code for one in alerts) == {202: 24}
        for one in asked:
            answer = one.result().text
            assert "database" not in answer and "went wrong" not in answer, answer
    world.rest()
    assert "Seen by" in shown.markup
    assert sum("Disk is full" in one.markup for one in world.slack.messages(world.cast.checkout)) == 4


def test_another_replicas_work_is_found_without_notifications(world: World, database_url: str) -> None:
    """A replica that wrote a change may have ended before it could send it."""
    world.declare("Payments fail")
    shown = card(world)
    world.rest()
    with closing(Store.open(database_url)) as another:
        change(
            another,
            "UPDATE incident SET title = 'Payments fail again'",
            "UPDATE destination SET due_at = now()",
            "UPDATE post SET wanted_version = wanted_version + 1, due_at = now()",
        )
    shown.wait_for(lambda message: "Payments fail again" in message.markup)
