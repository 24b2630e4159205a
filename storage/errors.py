"""What can go wrong with the database, told apart by what a person can do about it."""

from __future__ import annotations

import psycopg2
from psycopg2 import errors


class DatabaseAway(Exception):
    """The database cannot be reached, does not answer in time or takes no changes. Nothing was changed."""


class ReadOnlyServer(DatabaseAway):
    """The server takes no changes: a standby, or one that was the primary until a failover."""

    def __init__(self) -> None:
        super().__init__("the server is read-only")


class Contended(Exception):
    """Another change to the same row took longer than the lock time-out. Nothing was changed."""


class DatabaseUnfit(Exception):
    """The database is there, but it or the role is not set up for the bot. The text says what is missing, and how to
    mend it."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run. The text is a sentence for whoever started the bot, with the way out."""


# Where psycopg2 has them among the errors of a transaction, and not of operation.
_ENDED_BY_SERVER = errors.IdleInTransactionSessionTimeout | errors.TransactionTimeout


def translate_error(error: BaseException | None) -> DatabaseAway | Contended | None:
    """What an error of the driver comes to; None for one that is a defect of the program."""
    if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected):
        return Contended(str(error))
    if isinstance(error, errors.QueryCanceled):
        return DatabaseAway("no answer in time")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return ReadOnlyServer()
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError | _ENDED_BY_SERVER):
        return DatabaseAway(str(error).strip() or "not reachable")
    return None


class UnknownActivity(Exception):
    """A newer version beside this one wrote an entry of a log, and only it knows what the entry tells."""

    def __init__(self, type_: int) -> None:
        super().__init__(f"activity of type {type_}")
