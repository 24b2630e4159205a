"""Counts what a process asks of the database, in all of its threads but the one that reads the time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

from sqlalchemy import Connection, Engine, event

from storage.prepared import PreparedStatement

T = TypeVar("T")


def reads_the_time() -> bool:
    """Whether this thread is a clock's, which asks every ten seconds: in any test, if that is slow enough."""
    return threading.current_thread().name == "database clock"


@dataclass
class Asked:
    """Statements, and the transactions of those that were not in autocommit. PREPARE and what Alembic runs are none."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0
    threads: list[str] = field(default_factory=list)  # which ran the statement of the same place

    def clear(self) -> None:
        """Forgets all of it."""
        self.statements.clear()
        self.threads.clear()
        self.commits = 0

    def by(self, thread: str) -> list[str]:
        """The statements of the threads whose names begin like this."""
        pairs = zip(list(self.threads), list(self.statements), strict=False)
        return [statement for name, statement in pairs if name.startswith(thread)]


@contextmanager
def counted() -> Iterator[Asked]:
    """Counts while the block runs."""
    asked = Asked()

    def add(_connection: Connection, statement: str) -> None:
        asked.threads.append(threading.current_thread().name)
        asked.statements.append(" ".join(statement.split()))

    def committed(_connection: Connection) -> None:
        asked.commits += 1

    event.listen(Engine, "commit", committed)
    try:
        with observed(add, lambda *_: None):
            yield asked
    finally:
        event.remove(Engine, "commit", committed)


@contextmanager
def observed(begin: Callable[[Connection, str], T], end: Callable[[Connection, str, Any, T], None]) -> Iterator[None]:
    """Calls `begin` before and `end` after each statement of this process, in the thread that runs it.

    `end` is called with the parameters, and what `begin` returned. Of a prepared statement `begin` gets the text as it
    stands in the code, `end` one that can be run as it is.
    """
    run = PreparedStatement._run

    def prepared(
        self: PreparedStatement, connection: Connection, parameters: Mapping[str, Any], **named: bool
    ) -> tuple[list[tuple[Any, ...]], int]:
        begun = begin(connection, self.sql)
        try:
            return run(self, connection, parameters, **named)
        finally:
            end(connection, self._unprepared, parameters, begun)

    def runs(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        connection.info[observed] = begin(connection, statement)

    def ran(connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if observed in connection.info:  # else the statement was under way when the block began
            end(connection, statement, parameters or None, connection.info.pop(observed))

    with mock.patch.object(PreparedStatement, "_run", prepared):
        event.listen(Engine, "before_cursor_execute", runs)
        event.listen(Engine, "after_cursor_execute", ran)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", runs)
            event.remove(Engine, "after_cursor_execute", ran)
