"""A storm of alerts: none is lost, the channel keeps its pace, and a mention is not kept waiting by the cards."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from bot.intake.tokens import Source
from storage.models import Incident
from tests.long import LONG
from tests.stories.conftest import Deliver, World

ALERTS = 10_000 if LONG else 2_000
BATCH = 50


def test_thousands_of_alerts_are_taken_in_and_a_mention_overtakes_their_cards(
    world: World,
    deliver: Deliver,
) -> None:
    number = world.declare("Payments fail")

    def post(first: int) -> None:
        batch = [{"dedup_key": f"storm-{n}", "title": f"Host {n} is down"} for n in range(first, first + BATCH)]
        answer = deliver(Source.EVENTS, batch)
        for _ in range(10):  # as every sender does when it is told to come again
            if answer.status_code != 503:
                break
            time.sleep(1)
            answer = deliver(Source.EVENTS, batch)
        assert answer.status_code == 202
        assert answer.json()["errors"] == []
        assert len(answer.json()["accepted"]) == BATCH

    post(0)
    with ThreadPoolExecutor(4) as senders:
        list(senders.map(post, range(BATCH, ALERTS, BATCH)))
    with world.store.read() as connection:
        identifiers = connection.scalars(select(Incident.identifier).order_by(Incident.identifier)).all()
        assert connection.scalar(select(func.count(Incident.dedup_key.distinct()))) == ALERTS
    assert identifiers == list(range(1, ALERTS + 2)), "each once, without a gap"

    world.ask(world.ada, f"comment {number} @ben can you look at this first?")
    message = world.ben.wait_for_message(containing="can you look at this first?")
    assert "Ada Obi mentioned you" in message.text
    with world.store.read() as connection:
        waiting = connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar_one()
        drawn = connection.exec_driver_sql(
            "SELECT count(*) FROM post WHERE kind = 'card' AND ts IS NOT NULL"
        ).scalar_one()
    assert waiting > 0 or drawn < ALERTS, "the cards were still under way"
