"""Transactions in few messages: BEGIN travels with the first statement, COMMIT with those that wait for no answer.

psycopg2 sends each of them on its own, and every message costs a round trip and a switch between processes. So
connections that write are in autocommit mode as far as psycopg2 knows, and begin and end transactions themselves.

Savepoints are not supported together with deferred statements: one may be sent behind a SAVEPOINT or its ROLLBACK.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, cast

from psycopg2 import errors
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor

# Gives the span around the caller, as W3C's `traceparent`, while traces are recorded (`bot/traced_statements.py`).
get_traceparent: Callable[[], str | None] | None = None


class _OneMessage(Enum):
    """Whether a transaction is one message, which needs neither BEGIN nor COMMIT."""

    NO = auto()
    YES = auto()
    SENT = auto()


class WritingConnection(PgConnection):
    """A connection in autocommit mode whose statements are in a transaction, until `commit` or `rollback`.

    Its cursors must be of the class `WritingCursor`.
    """

    settings = b""  # what each transaction begins with, behind a pooler that gives it another session

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._waiting: list[bytes] = []
        self._one_message = _OneMessage.NO
        self.organization_id: int | None = None  # whose rows the transaction may write; None: those of all
        self._organization = b""  # what makes the setting that row-level security asks for

    def write_for(self, organization_id: int | None) -> None:
        """Has row-level security refuse to write rows of other organizations, until `commit` or `rollback`.

        None: from now on it refuses nothing.
        """
        self.organization_id = organization_id
        setting = b"SET LOCAL tocsin.organization_id = '%s'" % str(organization_id or "").encode()
        # What waits was deferred for the organization of before.
        if self.get_transaction_status() == TRANSACTION_STATUS_IDLE and not self._waiting:
            self._organization = setting + b"; "
        else:
            self.defer(setting)

    def trace_for(self, traceparent: str) -> None:
        """Has what the transaction leaves to delivery from now on belong to a trace. Raises ValueError."""
        self.defer(_name_trace(traceparent))

    def defer(self, statement: bytes) -> None:
        """Sends a statement in front of the next one, or of COMMIT. Its error is raised there."""
        self._waiting.append(statement)

    def expect_one_message(self) -> None:
        """Makes the next message a transaction by itself: PostgreSQL commits at its end what stands in one message.

        Until `commit` or `rollback`, a second message raises RuntimeError.
        """
        self._one_message = _OneMessage.YES

    def take_waiting(self) -> bytes:
        """Returns what must be sent in front of the next statement of the transaction: at its beginning, BEGIN."""
        if self._one_message is _OneMessage.SENT:
            raise RuntimeError("this transaction is over: it was one message")
        begin = b""
        if self.get_transaction_status() == TRANSACTION_STATUS_IDLE:
            begin = b"" if self._one_message is _OneMessage.YES else b"BEGIN; "
            begin += self.settings + self._organization
            if get_traceparent is not None and (traceparent := get_traceparent()):
                begin += _name_trace(traceparent) + b"; "
        if self._one_message is _OneMessage.YES:
            self._one_message = _OneMessage.SENT
        waiting, self._waiting = self._waiting, []
        return begin + b"".join(statement + b"; " for statement in waiting)

    def commit(self) -> None:
        """Commits the transaction, if a statement has begun it. Raises errors of deferred statements too."""
        self._one_message = _OneMessage.NO
        if self._waiting or self.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            with self.cursor() as cursor:
                cursor.execute("COMMIT")
                # PostgreSQL answers COMMIT with ROLLBACK, and no error, after a statement that failed.
                if cursor.statusmessage != "COMMIT":
                    raise errors.InFailedSqlTransaction("the transaction was rolled back: a statement in it failed")
        self._organization, self.organization_id = b"", None

    def rollback(self) -> None:
        """Rolls the transaction back, if a statement has begun it. What was deferred is never sent."""
        self._one_message, self._organization, self.organization_id = _OneMessage.NO, b"", None
        self._waiting.clear()
        if self.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            with self.cursor() as cursor:
                cursor.execute("ROLLBACK")


def _name_trace(traceparent: str) -> bytes:
    """The statement that makes the setting which `outbox` and `post` have as the default of their `traceparent`."""
    if not re.fullmatch("[0-9a-f-]{55}", traceparent):
        raise ValueError("no traceparent")
    return f"SET LOCAL tocsin.traceparent = '{traceparent}'".encode()


class WritingCursor(PgCursor):
    """A cursor of a `WritingConnection`. Its result is that of the last statement of a message.

    If a statement of a message fails, those behind it are not carried out.
    """

    def execute(self, query: Any, vars: Any = None) -> None:
        """Executes a statement behind those that wait for it."""
        connection = cast(WritingConnection, self.connection)
        # PREPARE is not undone by ROLLBACK, so it need not be in the transaction.
        waiting = b"" if isinstance(query, str) and query.startswith("PREPARE ") else connection.take_waiting()
        if waiting:
            super().execute(waiting + self.mogrify(query, vars))
        else:
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Executes a statement for each of the values."""
        for values in vars_list:
            self.execute(query, values)
