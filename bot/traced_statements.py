"""Records the statements of database connections as spans, without their values. Loaded only where traces are sent."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, Protocol

from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor
from sqlalchemy import Engine, event

from storage import transactions
from storage.transactions import WritingConnection

_LONGEST_STATEMENT = 2000  # characters


class StatementRecorder(Protocol):
    """Records spans of statements."""

    def is_recording(self) -> bool:
        """Whether there is a span around the caller that is recorded."""

    def get_traceparent(self) -> str | None:
        """The span around the caller; None if there is none."""

    def trace_statement(self, name: str, text: str) -> AbstractContextManager[Any]:
        """A span of a statement."""


_recorder: StatementRecorder | None = None


def start(recorder: StatementRecorder) -> None:
    """Has connections that are opened from now on record their statements."""
    global _recorder
    _recorder = recorder
    transactions.get_traceparent = recorder.get_traceparent
    event.listen(Engine, "do_connect", _trace_statements)


def stop() -> None:
    """Records no more statements."""
    global _recorder
    _recorder = None
    transactions.get_traceparent = None
    event.remove(Engine, "do_connect", _trace_statements)


def _trace_statements(_dialect: Any, _record: Any, _arguments: Any, named: dict[str, Any]) -> None:
    """Has a new database connection record its statements. SQLAlchemy calls it before it connects."""
    named["cursor_factory"] = _trace_cursor(named.get("cursor_factory") or PgCursor)
    named["connection_factory"] = _trace_connection(named.get("connection_factory") or PgConnection)


@lru_cache
def _trace_connection(factory: type[PgConnection]) -> type[PgConnection]:
    if issubclass(factory, WritingConnection):
        return factory  # it commits and rolls back by its cursors

    class Traced(factory):  # type: ignore[misc, valid-type]
        """A connection that records the end of its transactions."""

        def commit(self) -> None:
            with _trace("COMMIT"):
                super().commit()

        def rollback(self) -> None:
            with _trace("ROLLBACK"):
                super().rollback()

    return Traced


@lru_cache
def _trace_cursor(factory: type[PgCursor]) -> type[PgCursor]:
    class Traced(factory):  # type: ignore[misc, valid-type]
        """A cursor that records its statements, without their values."""

        def execute(self, query: Any, vars: Any = None) -> None:
            with _trace(query):
                super().execute(query, vars)

        def executemany(self, query: Any, vars_list: Any) -> None:
            with _trace(query):
                super().executemany(query, vars_list)

    return Traced


def _trace(query: Any) -> AbstractContextManager[Any]:
    """A span of a statement, if it belongs to something that is recorded: most statements only look for work."""
    if isinstance(query, str) and (found := _PREPARE.match(query)):
        _prepared[found[1]] = found[2]  # whether this is recorded or not, what executes it may be
    recorder = _recorder
    if recorder is None or not recorder.is_recording():
        return nullcontext()
    return recorder.trace_statement(*_describe(query if isinstance(query, str) else ""))


_PREPARE = re.compile(r"PREPARE (\w+) (?:\([^)]*\) )?AS (.*)", re.DOTALL)
_EXECUTE = re.compile(r"EXECUTE (\w+)")
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LITERALS = re.compile(r"'(?:[^']|'')*'|\$\w*\$.*", re.DOTALL)  # from a dollar quote on, everything is left out
_CHANGE = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) (?!SET\b|OF\b|SKIP\b|NOWAIT\b)\"?(\w+)", re.IGNORECASE)
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|NOTIFY) \"?(\w+)", re.IGNORECASE)
_prepared: dict[str, str] = {}  # by the name of a prepared statement, its text


def _describe(query: str) -> tuple[str, str]:
    """What a statement does to which table, and its text without values."""
    if found := _EXECUTE.match(query):
        query = _prepared.get(found[1], query)
    return _describe_text(query)


@lru_cache(2000)
def _describe_text(query: str) -> tuple[str, str]:
    text = " ".join(_LITERALS.sub("?", _COMMENTS.sub(" ", query)).split())
    verb = text.partition(" ")[0].upper()
    if verb == "WITH":  # what it changes, or else what it reads first
        change = _CHANGE.search(text)
        verb = change[1].partition(" ")[0].upper() if change else "SELECT"
        table = change[2] if change else _find_table(text)
    else:
        table = _find_table(text)
    summary = f"{verb} {table}" if table else verb or "statement"
    return summary, text[:_LONGEST_STATEMENT]


def _find_table(text: str) -> str:
    found = _TABLE.search(text)
    return found[1] if found else ""
