"""Why a digest was missed, and for how long that is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.digests.availability import DATABASE_AWAY, Availability
from bot.digests.scheduler import NOT_RUNNING, fire_due
from storage.engine import Store
from storage.queries import digest_fires
from tests.digests.test_exactly_once import make_digest
from tests.stories.conftest import ORGANIZATION, apply_file

DUE = datetime(2026, 11, 23, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TOO_LATE = DUE + 30 * MINUTE


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    store = Store.open(database_url)
    apply_file(store, tmp_path, ORGANIZATION)
    yield store
    store.close()


@pytest.mark.parametrize(
    ("worked", "away", "reason"),
    [
        ([], [], NOT_RUNNING),  # it has just been started
        ([DUE - MINUTE], [], NOT_RUNNING),  # as after the machine slept
        ([DUE - MINUTE], [DUE, TOO_LATE + MINUTE], DATABASE_AWAY),
        ([], [DUE + MINUTE, TOO_LATE + MINUTE], DATABASE_AWAY),  # it was started meanwhile
        ([], [TOO_LATE + MINUTE], NOT_RUNNING),  # it was started when it was too late
        ([DUE - 60 * MINUTE], [DUE - 59 * MINUTE, DUE - 58 * MINUTE], NOT_RUNNING),  # long before
    ],
)
def test_the_reason_is_what_kept_this_process_from_it(
    worked: list[datetime], away: list[datetime], reason: str
) -> None:
    availability = Availability()
    for moment in worked:
        availability.note_worked(moment)
    for moment in away:
        availability.note_away(moment)
    assert availability.explain(DUE, TOO_LATE) == reason


def missed_before(store: Store) -> tuple[datetime, datetime, str | None] | None:
    """What the fire that is due says about those that were missed before it."""
    with store.read() as connection:
        [(fire, _)] = digest_fires.lease_fires(
            connection, ["T0001"], DUE + timedelta(days=400), 0, pictures=False, most=1
        )
        missed = fire.missed
        return (missed.first, missed.last, missed.reason) if missed else None


def test_the_next_one_names_the_first_and_the_last_that_were_missed(store: Store) -> None:
    make_digest(store, "C0001", "0 * * * *", DUE, grace_minutes=None)
    fire_due(store, DUE + timedelta(hours=4, minutes=40), lambda _due, _too_late: DATABASE_AWAY)
    assert fire_due(store, DUE + timedelta(hours=5)) == 1
    assert missed_before(store) == (DUE, DUE + timedelta(hours=4), DATABASE_AWAY)


def test_a_missed_digest_is_remembered_until_the_next_is_sent_however_rare_they_are(store: Store) -> None:
    digest_id = make_digest(store, "C0001", "0 9 1 1,4,7,10 *", DUE)
    fire_due(store, DUE + timedelta(hours=1))
    assert fire_due(store, datetime(2027, 1, 1, 9, tzinfo=UTC)) == 1
    assert missed_before(store) == (DUE, DUE, NOT_RUNNING)
    with store.write() as tx:
        tx.execute(text("UPDATE digest_fire SET state = 'sent' WHERE state = 'due'"))
    assert fire_due(store, datetime(2027, 4, 1, 9, tzinfo=UTC)) == 1
    assert missed_before(store) is None
    with store.read() as connection:
        states = connection.execute(text("SELECT state FROM digest_fire WHERE digest_id = :id"), {"id": digest_id})
        assert sorted(states.scalars()) == ["due", "sent"]
