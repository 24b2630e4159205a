"""A storm of alerts while replicas are killed and Slack loses answers: one message of it, with everything counted."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from bot.incidents import lifecycle
from sandbox import Sandbox
from storage.engine import Store
from storage.rows import NewIncident
from storage.values import Status, StatusMethod
from tests.delivery.conftest import Company, Replicas, found_company
from tests.delivery.test_faults import REST_S, in_trouble, replies_lost
from tests.long import LONG

ALERTS, BATCH = (3000, 50) if LONG else (300, 25)
KILL_EVERY = 2  # batches


@pytest.fixture
def company(slack: Sandbox, store: Store, tmp_path: Path) -> Company:
    # A storm ends when nothing has begun for so long: whatever dies, and however busy the machine is, not in this test.
    return found_company(slack, store, tmp_path, 2, storm="5, within: 10m")


def open_alerts(company: Company, first: int, count: int) -> None:
    """So many alerts; every twentieth is critical."""
    now = company.store.clock.now()
    with company.store.write() as tx:
        lifecycle.open_incidents(
            tx,
            company.access.organization_id,
            [
                NewIncident(
                    title=f"Host {number} is down",
                    status=Status.WARNING if number % 20 else Status.CRITICAL,
                    method=StatusMethod.RULE_TRIGGERED,
                    project_ids=list(company.access.project_ids),
                    source="events",
                    date_started=now,
                    date_detected=now,
                )
                for number in range(first, first + count)
            ],
            now,
        )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("trouble", [replies_lost, in_trouble])
def test_a_storm_has_one_message_whatever_dies(company: Company, replicas: Replicas, trouble: object) -> None:
    replicas.start(2)
    with trouble(company.slack):  # type: ignore[operator]
        for number, first in enumerate(range(1, ALERTS + 1, BATCH)):
            open_alerts(company, first, BATCH)
            if number % KILL_EVERY:
                time.sleep(random.uniform(0.05, 0.6))
                replicas.kill_one()
                replicas.start()
        company.comment("declared")
    company.rest(REST_S)
    messages = [one for one in company.slack.messages("C0001") if one.from_app]
    (storm,) = [one for one in messages if "storm" in one.notification]
    assert f"Alert storm: {ALERTS} new incidents" in storm.text
    cards = Counter(re.sub(r" \(.*", "", one.notification) for one in messages if one.notification.startswith("#"))
    assert set(cards.values()) == {1}
    assert len(cards) == 5 + 10 + 1, "the first ones, the first critical ones, and what was declared"
    assert any("Outage declared" in card for card in cards)
