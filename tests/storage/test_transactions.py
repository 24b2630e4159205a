"""Transactions in few messages: nothing is lost, half done or unnoticed because statements travel together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import exc

from storage.engine import Store
from storage.errors import DatabaseAway
from storage.prepared import PreparedStatement
from storage.transactions import WritingCursor

_INSERT = PreparedStatement("INSERT INTO noted VALUES (%(word)s)", {"word": "text"})
_COUNT = PreparedStatement("SELECT count(*) FROM noted")


@pytest.fixture
def noted(store: Store) -> Iterator[Store]:
    with store.write() as tx:
        tx.exec_driver_sql("CREATE TABLE noted (word text PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    yield store
    with store.write() as tx:
        tx.exec_driver_sql("DROP TABLE noted")


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What transactions send, without PREPARE."""
    sent: list[str] = []
    run = WritingCursor.execute

    def execute(self: WritingCursor, query: object, vars: object = None) -> None:
        try:
            run(self, query, vars)
        finally:
            if not str(query).startswith("PREPARE"):
                sent.append((self.query or b"").decode())

    monkeypatch.setattr(WritingCursor, "execute", execute)
    return sent


def read_words(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.exec_driver_sql("SELECT word FROM noted ORDER BY word").scalars())


def test_begin_and_commit_travel_with_statements(noted: Store, messages: list[str]) -> None:
    with noted.write() as tx:
        _INSERT.defer(tx, {"word": "50%"})
        assert _COUNT.row(tx, {}) == (1,)
        _INSERT.defer(tx, {"word": "%(word)s; ROLLBACK; --'"})
    assert read_words(noted) == ["%(word)s; ROLLBACK; --'", "50%"]
    first, last = messages
    assert first.startswith(f"BEGIN; EXECUTE {_INSERT.name} ") and f"; EXECUTE {_COUNT.name}" in first
    assert last.startswith(f"EXECUTE {_INSERT.name} ") and last.endswith("; COMMIT")


def test_what_is_one_message_is_one_transaction(noted: Store, messages: list[str]) -> None:
    with noted.write(in_one_message=True) as tx:
        _INSERT.defer(tx, {"word": "one"})
        assert _COUNT.row(tx, {}) == (1,)
        with pytest.raises(RuntimeError):
            _INSERT.execute(tx, {"word": "two"})
    with pytest.raises(exc.DBAPIError), noted.write(in_one_message=True) as tx:
        _INSERT.defer(tx, {"word": "two"})
        tx.exec_driver_sql("SELECT 1 / 0")
    assert read_words(noted) == ["one"]
    with noted.write() as tx:  # the same connection, and an ordinary transaction again
        _INSERT.execute(tx, {"word": "three"})
        _INSERT.execute(tx, {"word": "four"})
    assert read_words(noted) == ["four", "one", "three"]
    assert [one.split()[0] for one in messages[-3:]] == ["BEGIN;", "EXECUTE", "COMMIT"]


def test_an_exception_rolls_back_what_was_sent_and_forgets_what_was_not(noted: Store) -> None:
    for fails_early in (True, False):
        with pytest.raises(LookupError), noted.write() as tx:
            if not fails_early:
                _INSERT.execute(tx, {"word": "sent"})
            _INSERT.defer(tx, {"word": "deferred"})
            raise LookupError
    with noted.write() as tx:
        assert _COUNT.row(tx, {}) == (0,)


def test_a_failing_commit_is_noticed(noted: Store) -> None:
    with noted.write() as tx:
        _INSERT.execute(tx, {"word": "there"})
    with pytest.raises(exc.IntegrityError), noted.write() as tx:
        _INSERT.execute(tx, {"word": "new"})
        _INSERT.execute(tx, {"word": "there"})  # is found at the end of the transaction
    assert read_words(noted) == ["there"]


def test_a_transaction_whose_error_was_swallowed_does_not_pass_for_committed(noted: Store) -> None:
    with pytest.raises(exc.DBAPIError), noted.write() as tx:
        _INSERT.execute(tx, {"word": "new"})
        with pytest.raises(exc.DBAPIError):
            tx.exec_driver_sql("SELECT 1 / 0")
    assert read_words(noted) == []


def test_a_server_that_goes_away_before_the_commit_is_noticed(noted: Store) -> None:
    with pytest.raises(DatabaseAway), noted.write() as tx:
        _INSERT.execute(tx, {"word": "new"})
        pid = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with noted.read() as other:
            other.exec_driver_sql("SELECT pg_terminate_backend(%(pid)s, 20000)", {"pid": pid})
        _INSERT.defer(tx, {"word": "more"})
    assert read_words(noted) == []
    with noted.write() as tx:
        _INSERT.execute(tx, {"word": "again"})
    assert read_words(noted) == ["again"]
