"""Connections to the database of the tests that outlive the store that opened them, for the next store to use.

A new connection costs the server and us more than most tests do with it: a process, its caches, and a plan for each
prepared statement. So a connection that is closed in order is reset and kept; the next one that is opened with the same
parameters in this process is that one, with its caches and plans. What was cut off, ended or left inside a transaction
is not kept.
"""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import (
    ISOLATION_LEVEL_DEFAULT,
    TRANSACTION_STATUS_IDLE,
    connection,
)
from psycopg2.extensions import cursor as ordinary_cursor
from sqlalchemy import event
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.pool import Pool

from storage.transactions import WritingConnection, WritingCursor

MOST_KEPT = 30

# DISCARD ALL without what makes keeping worthwhile: the plans of prepared statements.
_RESET = (
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();"
    " DISCARD TEMP; DISCARD SEQUENCES"
)


class KeptConnection(connection):
    """A connection that goes back to those that are kept when it is closed."""

    key: Any = None  # its parameters; None while it is not to be kept
    prepared: set[str]
    kept_by: KeptConnections

    def close(self) -> None:
        """Keeps the connection if it is as good as new, and closes it otherwise."""
        if not self.kept_by.take_back(self):
            super().close()


class KeptWritingConnection(KeptConnection, WritingConnection):
    """The same for transactions of a store."""


# The classes of those that are kept, by the classes of connection and cursor that are asked for.
_KINDS = {(None, None): KeptConnection, (WritingConnection, WritingCursor): KeptWritingConnection}


class KeptConnections:
    """The connections to one database that nobody uses at the moment."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._idle: list[KeptConnection] = []
        self._connect = psycopg2.connect

    def list_pids(self) -> list[int]:
        """The server's processes of the connections that are kept."""
        with self._lock:
            return [one.info.backend_pid for one in self._idle]

    def connect(self, *positional: Any, **named: Any) -> connection:
        """Does what psycopg2.connect does, with a connection that was kept if there is one."""
        kind = _KINDS.get((named.get("connection_factory"), named.get("cursor_factory")))
        if positional or named.get("dbname", named.get("database")) != self._database or kind is None:
            other: connection = self._connect(*positional, **named)
            return other
        key = tuple(sorted(named.items()))
        while (found := self._find(key)) is not None:
            if _is_alive(found):
                return found
            connection.close(found)
        made: KeptConnection = self._connect(**{**named, "connection_factory": kind})
        made.key, made.prepared, made.kept_by = key, set(), self
        return made

    def _find(self, key: Any) -> KeptConnection | None:
        with self._lock:
            for place in reversed(range(len(self._idle))):
                if self._idle[place].key == key:
                    return self._idle.pop(place)
        return None

    def take_back(self, closed: KeptConnection) -> bool:
        """Whether a connection that its user closes is kept."""
        with self._lock:
            if any(one is closed for one in self._idle):
                return True
        if closed.closed or closed.get_transaction_status() != TRANSACTION_STATUS_IDLE or not _is_alive(closed):
            return False
        try:
            closed.set_session(autocommit=True, isolation_level=ISOLATION_LEVEL_DEFAULT)
            with closed.cursor(cursor_factory=ordinary_cursor) as cursor:
                cursor.execute(_RESET)
            closed.autocommit = False
        except psycopg2.Error:
            return False
        closed.notices.clear()
        closed.notifies.clear()
        with self._lock:
            if len(self._idle) >= MOST_KEPT:
                return False
            self._idle.append(closed)
        return True

    def close(self) -> None:
        """Closes all that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            connection.close(one)


def _is_alive(found: connection) -> bool:
    """Whether the server has neither closed the connection nor sent what nobody has read."""
    with contextlib.suppress(psycopg2.Error, OSError, ValueError):
        poll = select.poll()
        poll.register(found.fileno(), select.POLLIN)
        return not found.closed and not poll.poll(0)
    return False


def _ask_once(initialize: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """What a dialect asks of the server on the first connection of its engine; asked once for all alike connections."""
    answers: dict[Any, dict[str, Any]] = {}

    def initialize_once(dialect: Any, asked: Any) -> None:
        driver = asked.connection.dbapi_connection
        if not isinstance(driver, KeptConnection):
            initialize(dialect, asked)
        elif driver.key in answers:
            vars(dialect).update(answers[driver.key])
        else:
            before = dict(vars(dialect))
            initialize(dialect, asked)
            answers[driver.key] = {
                name: value
                for name, value in vars(dialect).items()
                if before.get(name, ...) != value and isinstance(value, bool | int | str | tuple)
            }

    return initialize_once


@contextlib.contextmanager
def keep_connections(database: str) -> Iterator[KeptConnections]:
    """Keeps the connections to a database that are closed within the block."""
    kept = KeptConnections(database)

    def tell_what_is_prepared(driver: Any, record: Any) -> None:
        if isinstance(driver, KeptConnection):
            record.info["prepared"] = driver.prepared

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg2, "connect", kept.connect)
        patch.setattr(PGDialect_psycopg2, "initialize", _ask_once(PGDialect_psycopg2.initialize))
        event.listen(Pool, "connect", tell_what_is_prepared)
        try:
            yield kept
        finally:
            event.remove(Pool, "connect", tell_what_is_prepared)
            kept.close()
