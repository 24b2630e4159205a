"""The settings of the bot's connections to PostgreSQL, and how they reach a server behind a connection pooler.

They are not passed in the startup parameter `options`, because PgBouncer refuses or drops it. With SET, the other
settings in the URL's `options` also stay in effect.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor
from psycopg2.extensions import connection as PgConnection

from storage.transactions import WritingConnection

# Slack waits three seconds for a response, and every wait for the database counts towards that.
STATEMENT_TIMEOUT_MS = 2000
LOCK_TIMEOUT_MS = 1000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000


class Pooling(StrEnum):
    """Which session of the server a connection uses."""

    NONE = "none"  # its own: no pooler is in between
    SESSION = "session"  # one until it is closed
    TRANSACTION = "transaction"  # maybe another for each transaction: nothing that a session keeps can be relied on


# What the bot cannot do there, for the log and `doctor`.
IN_TRANSACTION_MODE = "statements are not prepared, and work of other replicas is found by polling"


def build_settings(statement_timeout_ms: int, search_path: str | None = None) -> dict[str, str]:
    """Returns the settings by name. `statement_timeout_ms=0` turns off all time-outs; `search_path` is in SQL."""
    limited = statement_timeout_ms > 0
    settings = {
        "statement_timeout": f"{statement_timeout_ms}",
        "lock_timeout": f"{LOCK_TIMEOUT_MS if limited else 0}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_MS if limited else 0}",
        "timezone": "'UTC'",
    }
    return settings if search_path is None else settings | {"search_path": search_path}


def apply_to_session(driver: PgConnection, settings: dict[str, str]) -> None:
    """Makes the settings of a session that stays with the connection, in one round trip."""
    # Prepared statements (`storage.prepared`) are planned once, for all values of their parameters.
    settings = {"plan_cache_mode": "force_generic_plan", **settings}
    driver.autocommit = True  # else BEGIN and COMMIT would each be a round trip
    with driver.cursor(cursor_factory=cursor) as session:  # a cursor that begins no transaction
        session.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
    driver.autocommit = False


class TransactionCursor(cursor):
    """A cursor that sends the settings with the first statement of each transaction.

    Several statements in one message are one transaction, so this works in autocommit mode too, and costs no round
    trip. Statements that PostgreSQL refuses in a transaction need `in_autocommit = False`.
    """

    settings = ""
    in_autocommit = True

    def execute(self, query: Any, vars: Any = None) -> None:
        """Executes a statement, behind the settings if it begins a transaction."""
        driver = self.connection
        begins = driver.get_transaction_status() == TRANSACTION_STATUS_IDLE
        if begins and (self.in_autocommit or not driver.autocommit):
            settings = self.settings if vars is None else self.settings.replace("%", "%%")
            query = settings.encode() + query if isinstance(query, bytes) else settings + query
        super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Executes a statement for each of the values."""
        for values in vars_list:
            self.execute(query, values)


def build_transaction_cursor(settings: dict[str, str], *, in_autocommit: bool) -> type[TransactionCursor]:
    """Returns the cursor class for a pooler in transaction mode, for psycopg2's `cursor_factory`."""
    attributes = {"settings": _build_local_settings(settings), "in_autocommit": in_autocommit}
    return type("TransactionCursor", (TransactionCursor,), attributes)


def build_transaction_connection(settings: dict[str, str]) -> type[WritingConnection]:
    """Returns the class of connections that write through such a pooler, for psycopg2's `connection_factory`."""
    attributes = {"settings": _build_local_settings(settings).encode()}
    return type("TransactionConnection", (WritingConnection,), attributes)


def keeps_session(used: cursor) -> bool:
    """Whether the next transaction of a connection, given by its cursor, runs in the same session."""
    connection = used.connection
    return not isinstance(used, TransactionCursor) and not (
        isinstance(connection, WritingConnection) and connection.settings
    )


def _build_local_settings(settings: dict[str, str]) -> str:
    return "".join(f"SET LOCAL {name} = {value}; " for name, value in settings.items())
