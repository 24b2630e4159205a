"""The clock of the process goes by the database's time, whatever the machine's own says."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from storage import clock as clocks
from storage.clock import Clock
from storage.engine import Store
from storage.errors import DatabaseAway
from tests.statements import counted

YEAR = timedelta(days=365)


def hear(clock: Clock, said: datetime, *, took_s: float = 0.0) -> None:
    """An answer that has just come, to a question asked `took_s` seconds ago."""
    clock.adjust(said, time.monotonic() - took_s)


def database_time(store: Store) -> datetime:
    with store.read() as connection:
        said: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return said


def test_it_is_the_databases_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    before = database_time(store)
    assert before - timedelta(minutes=1) <= store.clock.now() <= database_time(store) + timedelta(minutes=1)
    assert store.clock.now().tzinfo is UTC


def test_it_costs_no_round_trip(store: Store) -> None:
    store.clock.now()
    with counted() as asked:
        for _ in range(100):
            store.clock.now()
    assert asked.statements == []


@pytest.mark.parametrize("moved", [-YEAR, timedelta(minutes=-5), timedelta(minutes=5), YEAR])
def test_a_clock_that_was_set_is_followed_at_the_next_reading(moved: timedelta) -> None:
    clock, start = Clock(), datetime(2030, 1, 1, tzinfo=UTC)
    hear(clock, start)
    hear(clock, start + moved)
    assert abs(clock.now() - (start + moved)) < timedelta(minutes=1)


def test_a_slow_answer_moves_nothing() -> None:
    clock, start = Clock(), datetime(2030, 1, 1, tzinfo=UTC)
    hear(clock, start)
    known = clock._epoch_offset_s
    hear(clock, start - timedelta(minutes=5), took_s=600)  # given somewhere within the ten minutes
    assert clock._epoch_offset_s == known


def test_a_new_connection_is_a_reading(store: Store) -> None:
    hear(store.clock, datetime(2001, 1, 1, tzinfo=UTC))
    with store.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert abs(store.clock.now() - database_time(store)) < timedelta(minutes=1)


def test_it_goes_on_while_the_database_is_away() -> None:
    gone = Store.open("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseAway):
        gone.clock.now()
    start = datetime(2030, 1, 1, tzinfo=UTC)
    hear(gone.clock, start)
    with pytest.raises(DatabaseAway):
        gone.clock.read()
    assert start <= gone.clock.now() < start + timedelta(minutes=5)
    gone.close()


def test_it_is_read_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "READ_EVERY_S", 0.001)
    times = iter([datetime(2030, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)])

    def ask() -> datetime:
        said = next(times, None)
        if said is None:
            clock._stopping.set()
            raise DatabaseAway("at the end of the test")
        return said

    clock = Clock()
    assert clock.start(ask)
    assert clock._thread is not None
    clock._thread.join()
    assert clock.now().year == 2040


def test_an_unexpected_error_is_logged_and_the_time_is_read_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clocks, "READ_EVERY_S", 0.001)
    errors = iter([RuntimeError("not expected")])

    def ask() -> datetime:
        for error in errors:
            raise error
        clock._stopping.set()
        return datetime(2040, 1, 1, tzinfo=UTC)

    clock = Clock()
    assert clock.start(ask)
    assert clock._thread is not None
    clock._thread.join()
    assert clock.now().year == 2040
    assert caplog.text.count("RuntimeError: not expected") == 1


def test_the_stores_of_a_process_share_it(store: Store) -> None:
    other = Store.open(store.url, clock=store.clock)
    store.clock.offset += YEAR
    assert other.clock.now() > database_time(store) + YEAR - timedelta(minutes=1)
    other.close()
    assert not store.clock._stopping.is_set(), "closing the one stops the other's readings"
