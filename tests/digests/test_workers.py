"""One kind of work that fails delays no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.digests import workers
from bot.digests.workers import DigestWorkers
from bot.people.identity import Identity
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.work import WorkSignals
from storage.engine import Store
from storage.errors import Contended, DatabaseAway, NoAnswerInTime
from tests.clock import FixedClock
from tests.digests.test_exactly_once import make_digest
from tests.statements import counted
from tests.stories.conftest import ORGANIZATION, apply_file

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    store = Store.open(database_url, clock=FixedClock(NOW))
    apply_file(store, tmp_path, ORGANIZATION)
    make_digest(store, "C0001", "0 9 * * *", NOW)
    yield store
    store.close()


@pytest.fixture
def digests(store: Store) -> Iterator[DigestWorkers]:
    clients = Clients([])
    identity = Identity(store, clients, Background("http://127.0.0.1:9"))
    digests = DigestWorkers(store, clients, identity, WorkSignals(), command="/incident")
    yield digests
    digests.stop(60)


def failing(error: Exception) -> Callable[[Store, datetime], int]:
    def fail(_store: Store, _now: datetime) -> int:
        raise error

    return fail


def count_fires(store: Store) -> int:
    with store.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM digest_fire").scalar_one())


@pytest.mark.parametrize("error", [Contended("locked"), NoAnswerInTime(), ValueError("not expected")])
@pytest.mark.parametrize("kind", ["end_due", "end_blind", "end_lapsed_offers", "remind_owners"])
def test_digests_fire_although_other_work_fails(
    store: Store, digests: DigestWorkers, monkeypatch: pytest.MonkeyPatch, kind: str, error: Exception
) -> None:
    # What nobody expects has no way to be caused from outside.
    monkeypatch.setattr(workers, kind, failing(error))
    with pytest.raises(type(error)):
        digests.tick()  # the thread logs the error, and gives the work once more
    assert count_fires(store) == 1


def test_nothing_more_is_tried_while_the_database_is_away(
    store: Store, digests: DigestWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "end_due", failing(DatabaseAway("away")))
    with pytest.raises(DatabaseAway):
        digests.tick()
    assert count_fires(store) == 0


def test_an_error_before_the_database_went_away_is_logged(
    digests: DigestWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = TypeError("not expected")
    monkeypatch.setattr(workers, "end_due", failing(error))
    monkeypatch.setattr(workers, "remind_owners", failing(DatabaseAway("away")))
    with capture_logs() as lines, pytest.raises(DatabaseAway):
        digests.tick()
    assert [line["exc_info"] for line in lines if line["event"] == "several kinds of work failed"] == [error]


def test_looking_for_fires_where_none_is_due_takes_one_publisher(store: Store, digests: DigestWorkers) -> None:
    with store.write() as tx:
        tx.exec_driver_sql("DELETE FROM digest")
    with counted() as asked:
        digests.tick()
        digests._publishers.close(60)
    looks = [one for one in asked.statements if one.startswith("UPDATE digest_fire f SET leased_until")]
    assert len(looks) == 2, "those without pictures, and those with"
