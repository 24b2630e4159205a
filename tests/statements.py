"""Counts what a process asks of the database, in all of its threads but the one that reads the time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from storage.prepared import PreparedStatement


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
    run = PreparedStatement._run

    def add(statement: str) -> None:
        if reads_the_time():
            return
        asked.threads.append(threading.current_thread().name)
        asked.statements.append(" ".join(statement.split()))

    def prepared(
        self: PreparedStatement, connection: Connection, parameters: Mapping[str, Any], **named: bool
    ) -> tuple[list[tuple[Any, ...]], int]:
        add(self.sql)
        return run(self, connection, parameters, **named)

    def ran(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        add(statement)

    def committed(_connection: Connection) -> None:
        asked.commits += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PreparedStatement, "_run", prepared)
        event.listen(Engine, "before_cursor_execute", ran)
        event.listen(Engine, "commit", committed)
        try:
            yield asked
        finally:
            event.remove(Engine, "before_cursor_execute", ran)
            event.remove(Engine, "commit", committed)
