"""Errors of the database, classified by what a person can do about them."""

from __future__ import annotations

import psycopg2
from psycopg2 import errors


class DatabaseAway(Exception):
    """The database cannot be reached, does not answer in time, or is read-only. Nothing was changed."""


class NoAnswerInTime(DatabaseAway):
    """A statement took longer than its time-out, which may be due to this statement alone. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__("no answer in time")


class ReadOnlyServer(DatabaseAway):
    """The server accepts no writes: it is a standby, or was the primary until a failover."""

    def __init__(self) -> None:
        super().__init__("the server is read-only")


class Contended(Exception):
    """Another change to the same row took longer than the lock time-out, or caused a deadlock. Nothing was changed."""


class AlreadyHandled(Exception):
    """A request that must be handled once was handled before. Nothing was changed."""


class OrganizationMoving(Contended):
    """The organization is being moved to another database, and cannot be changed meanwhile. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the organization is being moved to another database")


class DatabaseUnfit(Exception):
    """The database answers, but it or the role is not set up for the bot. The text says what is missing and how to fix
    it."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run. The text tells the person who started the bot why, and what to do."""


class StartCancelled(Exception):
    """The embedded PostgreSQL was told to stop while it started. The next start goes on where this one was."""


MOVING = "TCM01"  # the SQLSTATE of `refuse_while_moved`, a function of the database
# psycopg2 derives these from InternalError, not from OperationalError.
_ENDED_BY_SERVER = errors.IdleInTransactionSessionTimeout | errors.TransactionTimeout


def translate_error(error: BaseException | None) -> DatabaseAway | Contended | AlreadyHandled | None:
    """Converts an error of the driver. Returns None for an error that is a bug in the program."""
    if getattr(error, "pgcode", None) == MOVING:
        return OrganizationMoving()
    if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected):
        return Contended(str(error))
    if isinstance(error, errors.UniqueViolation) and error.diag.constraint_name == "pk_handled_request":
        return AlreadyHandled(str(error))
    if isinstance(error, errors.QueryCanceled):
        return NoAnswerInTime()
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return ReadOnlyServer()
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError | _ENDED_BY_SERVER):
        return DatabaseAway(str(error).strip() or "not reachable")
    return None


class UnknownActivity(Exception):
    """An entry of an activity log was written by a newer version that runs beside this one, and has an unknown type."""

    def __init__(self, type_: int) -> None:
        super().__init__(f"activity of type {type_}")
