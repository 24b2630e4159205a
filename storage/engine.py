"""The line to PostgreSQL: one pool, short time-outs, two ways to use it (`read` and `write`).

Nothing else in the project creates engines or opens connections.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import psycopg2
from psycopg2.extensions import connection as PgConnection
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import QueuePool

from storage.clock import Clock
from storage.errors import DatabaseAway, ReadOnlyServer, translate_error
from storage.url import normalise_url
from storage.watchdog import ConnectionWatchdog

# Slack waits three seconds for an answer; every wait on the way is a part of that.
POOL_TIMEOUT_S = 0.5  # for a free connection
CONNECT_TIMEOUT_S = 2  # the least that libpq honours
STATEMENT_TIMEOUT_MS = 2000
LOCK_TIMEOUT_MS = 1000
TCP_USER_TIMEOUT_MS = 2000  # a server whose machine has gone says nothing; the kernel does
IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
HUNG_AFTER_S = 5.0  # nothing that somebody waits for holds a connection so long
# Of the store that people's requests use: ten of Slack's requests at once, and what the background asks.
READ_CONNECTIONS = 12
WRITE_CONNECTIONS = 10

# What a connection is opened with, where the URL does not say it.
_CONNECT_OPTIONS = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
    "application_name": "tocsin",
}

# Where a transaction notes, in its connection's `info`, that delivery has something to do once it is committed, and
# whether at once.
OUTBOX_WRITTEN = "outbox written"


def create_pool(
    url: str | URL,
    *,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    autocommit: bool = False,
    size: int = READ_CONNECTIONS,
    wait_s: float = POOL_TIMEOUT_S,
    with_settings: bool = True,
) -> Engine:
    """An engine with the project's time-outs. `statement_timeout_ms` 0 lifts those (migrations).

    Without settings its sessions are as the server and the URL make them.
    """
    read = normalise_url(url) if isinstance(url, str) else url
    engine = create_engine(
        read,
        pool_size=size,
        max_overflow=0,
        pool_timeout=wait_s,
        pool_use_lifo=True,
        hide_parameters=True,
        use_native_hstore=False,  # which would be looked for on every new connection
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
        skip_autocommit_rollback=autocommit,
        connect_args={
            "client_encoding": "utf8",
            **{name: value for name, value in _CONNECT_OPTIONS.items() if name not in read.query},
        },
    )
    if with_settings:
        settings = _build_settings(statement_timeout_ms)

        def make_settings(driver: PgConnection, _record: Any) -> None:
            driver.autocommit = True  # else BEGIN and COMMIT would be round trips of their own
            with driver.cursor() as cursor:
                cursor.execute(settings)
            driver.autocommit = False

        # Before SQLAlchemy's own listeners, whose questions are then under the time-outs too.
        event.listen(engine, "connect", make_settings, insert=True)
    event.listen(engine, "checkout", _discard_dead_connection)
    return engine


def _build_settings(statement_timeout_ms: int) -> str:
    """The statements that make a session the project's, for one round trip.

    SET after connecting, and no startup parameter `options`: PgBouncer refuses that one or drops it, and so what the
    URL says in `options` stays, save for these.
    """
    limited = statement_timeout_ms > 0
    settings = {
        # What is prepared here (`storage.prepared`) is meant to be planned once, whatever its parameters.
        "plan_cache_mode": "force_generic_plan",
        "statement_timeout": statement_timeout_ms,
        "lock_timeout": LOCK_TIMEOUT_MS if limited else 0,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS if limited else 0,
        "timezone": "'UTC'",
    }
    return "; ".join(f"SET {name} = {value}" for name, value in settings.items())


def _discard_dead_connection(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """An idle connection that has something to read has been closed by the server; the pool opens another.

    Costs a few microseconds where a ping would cost a round trip, and lets the first request after a restart of
    the database succeed.
    """
    poll = select.poll()
    poll.register(dbapi_connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise exc.DisconnectionError


class Reading:
    """A connection in autocommit that can be given back while something else than the database is waited for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._over = False

    @property
    def connection(self) -> Connection:
        """The connection; another one where it was given back. Raises DatabaseAway at the end of the block."""
        if self._connection is None:
            if self._over:
                raise RuntimeError("this request reads no more")
            self._connection = self._engine.connect()
        return self._connection

    def give_back(self) -> None:
        """Before Slack is asked, which may take seconds: everybody shares the connections."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def end(self) -> None:
        """Gives the connection back, and takes no other."""
        self._over = True
        self.give_back()


class Store:
    """The database as the rest of the program uses it.

    Two pools: one whose connections are in autocommit for good, for reading, and one for transactions. Switching
    a connection between the two would cost a round trip each time.
    """

    def __init__(
        self, reading: Engine, writing: Engine, *, hung_after_s: float | None = None, clock: Clock | None = None
    ) -> None:
        self._reading = reading
        self._writing = writing
        self._watchdog = ConnectionWatchdog((reading, writing), hung_after_s) if hung_after_s else None
        self.clock = clock or Clock()  # what time it is, for everything that decides by time
        self._started_clock = self.clock.start(self._read_database_time)
        event.listen(reading, "connect", self._adjust_clock)
        # Called after each commit that left something in the outbox, with whether it is to be sent at once (False:
        # only alerts made it). Must return at once.
        self.on_outbox: Callable[[bool], None] = lambda _at_once: None

    @classmethod
    def open(
        cls,
        url: str | URL,
        *,
        reading: int = READ_CONNECTIONS,
        writing: int = WRITE_CONNECTIONS,
        wait_s: float = POOL_TIMEOUT_S,
        hung_after_s: float | None = HUNG_AFTER_S,
        clock: Clock | None = None,
    ) -> Store:
        """A store at that URL, with so many connections at the most, for which is waited `wait_s` seconds.

        `hung_after_s` is the longest that a connection may be held; None: as long as it takes. `clock` is that of
        another store of this process, or a new one that is to be this one's. Connects at first use, not now.
        """
        return cls(
            create_pool(url, autocommit=True, size=reading, wait_s=wait_s),
            create_pool(url, size=writing, wait_s=wait_s),
            hung_after_s=hung_after_s,
            clock=clock,
        )

    def open_beside(self, *, reading: int, writing: int, wait_s: float, hung_after_s: float = HUNG_AFTER_S) -> Store:
        """A store on the same database with connections of its own; what it leaves in the outbox is told the same way.

        Whoever opens it closes it.
        """
        other = Store.open(
            self.url, reading=reading, writing=writing, wait_s=wait_s, hung_after_s=hung_after_s, clock=self.clock
        )
        other.on_outbox = lambda at_once: self.on_outbox(at_once)
        return other

    @property
    def max_connections(self) -> int:
        """How many connections its pools open at the most."""
        return sum(cast(QueuePool, engine.pool).size() for engine in (self._reading, self._writing))

    def _read_database_time(self) -> datetime:
        with self.read() as connection:
            said: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        return said

    def _adjust_clock(self, driver: Any, _record: Any) -> None:
        """A new connection may lead to another server, whose clock is another one."""
        asked = time.monotonic()
        with driver.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            self.clock.adjust(cursor.fetchone()[0], asked)

    @property
    def url(self) -> URL:
        """Where the database is."""
        return self._writing.url

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in autocommit: no BEGIN and COMMIT round trips around one or two selects.

        Raises DatabaseAway.
        """
        with self._errors(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """The same for what asks Slack in between, and gives the connection back meanwhile. Raises DatabaseAway."""
        reading = Reading(self._reading)
        with self._errors():
            try:
                yield reading
            finally:
                reading.end()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, committed when the block ends and rolled back when it raises.

        Raises DatabaseAway, Contended. Nothing is sent to Slack inside it.
        """
        with self._errors(), self._writing.begin() as connection:
            connection.info.pop(OUTBOX_WRITTEN, None)
            yield connection
            at_once: bool | None = connection.info.pop(OUTBOX_WRITTEN, None)
        if at_once is not None:
            self.on_outbox(at_once)

    @contextmanager
    def listen(self, channel: str) -> Iterator[PgConnection]:
        """A connection of its own, beside the pools, that hears NOTIFY on `channel`. Raises DatabaseAway."""
        with self._errors():
            pooled = self._reading.raw_connection()
            connection = cast(PgConnection, pooled.dbapi_connection)
            pooled.detach()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f'LISTEN "{channel}"')
                yield connection
            finally:
                connection.close()

    def ensure_writable(self) -> None:
        """Returns when a server is reached that takes changes. Raises ReadOnlyServer, DatabaseAway.

        Connections that are left of a time before a failover are replaced.
        """
        for pooled in (True, False):
            with translate_errors(), self._writing.connect() as connection:
                if not is_read_only(connection):
                    return
            if pooled:
                self._replace_connections()
        raise ReadOnlyServer

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with translate_errors():
                yield
        except ReadOnlyServer:
            self._replace_connections()
            raise

    def _replace_connections(self) -> None:
        """Has new connections opened: after a failover, the old ones lead to the server that was the primary."""
        self._reading.dispose()
        self._writing.dispose()

    def close(self) -> None:
        """Closes the pools' connections."""
        if self._started_clock:
            self.clock.stop()
        if self._watchdog:
            self._watchdog.close()
        self._reading.dispose()
        self._writing.dispose()


def is_read_only(connection: Connection) -> bool:
    """Whether the server takes no changes: a standby, or one that is told to take none."""
    return bool(connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on")


def is_reachable(store: Store) -> bool:
    """Whether the database can be used now."""
    try:
        store.ensure_writable()
    except DatabaseAway:
        return False
    return True


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns what the driver and the pool raise inside the block into the errors of `storage.errors`."""
    try:
        yield
    except exc.TimeoutError as error:
        raise DatabaseAway("no free connection") from error
    except exc.DBAPIError as error:
        if error.connection_invalidated:  # whatever the driver calls it
            raise translate_error(error.orig) or DatabaseAway("the connection was lost") from error
        raise translate_error(error.orig) or error from error
    except psycopg2.Error as error:  # of a raw connection, which SQLAlchemy does not wrap
        raise translate_error(error) or error from error
