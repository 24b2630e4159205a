"""The demo's own digest comes when the guided path promises it; a visitor's comes by the usual rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.demo import digest
from bot.demo.digest import SCHEDULE, SOON
from bot.digests.scheduler import fire_due
from storage.engine import Store
from tests.digests.test_exactly_once import make_digest
from tests.stories.conftest import ORGANIZATION, apply_file

DUE = datetime(2026, 11, 23, 9, tzinfo=UTC)
SEEDED = digest.is_seeded("U0002", "C0001")


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    store = Store.open(database_url)
    apply_file(store, tmp_path, ORGANIZATION)
    yield store
    store.close()


@pytest.fixture
def digests(store: Store) -> tuple[int, int]:
    """The demo's digest and one that a visitor has made, both due at DUE."""
    seeded = make_digest(store, "C0001", SCHEDULE, DUE, grace_minutes=None)
    visitors = make_digest(store, "C0001", SCHEDULE, DUE, grace_minutes=None)
    with store.write() as tx:
        for digest_id, owner in ((seeded, "U0002"), (visitors, "U0001")):
            tx.execute(
                text("UPDATE digest SET owner_user_id = :owner WHERE id = :id"), {"owner": owner, "id": digest_id}
            )
    return seeded, visitors


def test_a_restart_brings_only_the_demos_own_digest_forward(store: Store, digests: tuple[int, int]) -> None:
    seeded, visitors = digests
    now = DUE - timedelta(minutes=40)
    with store.write() as tx:
        digest.bring_forward(tx, SEEDED, now)
        times = {row.id: row.next_fire_at for row in tx.execute(text("SELECT id, next_fire_at FROM digest"))}
    assert times == {seeded: now + SOON, visitors: DUE}


def test_a_moved_clock_sends_the_demos_digest_and_lets_another_be_missed(
    store: Store, digests: tuple[int, int]
) -> None:
    seeded, visitors = digests
    now = DUE + timedelta(hours=3, minutes=50)
    with store.write() as tx:
        digest.catch_up(tx, SEEDED, now)
    assert fire_due(store, now) == 1
    with store.read() as connection:
        fires = [tuple(row) for row in connection.execute(text("SELECT digest_id, state, fire_at FROM digest_fire"))]
    missed = [(visitors, "missed", DUE), (visitors, "missed", DUE + timedelta(hours=3))]
    assert sorted(fires) == sorted([(seeded, "due", now), *missed])
