"""Connections to PostgreSQL: pools with short time-outs, used through `Store.read` and `Store.write`.

The rest of the project opens connections through this module only.
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
from pydantic_core import from_json
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import QueuePool

from storage.clock import Clock
from storage.errors import DatabaseAway, ReadOnlyServer, translate_error
from storage.reading import Reading
from storage.session_settings import (
    STATEMENT_TIMEOUT_MS,
    Pooling,
    apply_to_session,
    build_settings,
    build_transaction_connection,
    build_transaction_cursor,
)
from storage.transactions import WritingConnection, WritingCursor
from storage.url import normalise_url
from storage.values import Work
from storage.watchdog import ConnectionWatchdog

# Slack waits three seconds for a response, and every wait for the database counts towards that.
POOL_TIMEOUT_S = 0.5  # for a free connection of the pool
CONNECT_TIMEOUT_S = 2  # the shortest that libpq accepts
TCP_USER_TIMEOUT_MS = 2000  # when the server's machine is gone, only the kernel reports it
HUNG_AFTER_S = 5.0  # no request uses a connection for this long
# Pool sizes of the store that serves requests: ten concurrent requests from Slack, plus the background tasks.
READ_CONNECTIONS = 12
WRITE_CONNECTIONS = 10

# Connection parameters for those that the URL does not set.
_CONNECT_OPTIONS = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
    "application_name": "tocsin",
}

# The key in a connection's `info` under which a transaction records the `Work` that it leaves to others.
WORK_LEFT = "work left"


def create_pool(
    url: str | URL,
    *,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    autocommit: bool = False,
    writes: bool = False,
    size: int = READ_CONNECTIONS,
    wait_s: float = POOL_TIMEOUT_S,
    with_settings: bool = True,
    pooling: Pooling = Pooling.NONE,
    search_path: str | None = None,
    background: bool = False,
) -> Engine:
    """Creates an engine with the project's time-outs.

    `statement_timeout_ms=0` turns off the time-outs of statements, locks and idle transactions, for migrations.
    `writes`: its transactions take few messages (`storage.transactions`).
    `size` is the most connections that the pool opens, and `wait_s` the seconds to wait for a free one. With
    `with_settings=False` the sessions keep the settings of the server and the URL. `pooling` is the mode of the pooler
    that the URL leads to. `search_path` replaces that of the role. `background`: nobody waits for what is changed, and
    an organization that is being moved does not refuse it. Raises BadDatabaseUrl.
    """
    read = normalise_url(url) if isinstance(url, str) else url
    settings = build_settings(statement_timeout_ms, search_path)
    if background:
        settings["tocsin.background"] = "'on'"
    arguments: dict[str, Any] = {"client_encoding": "utf8"}
    arguments |= {name: value for name, value in _CONNECT_OPTIONS.items() if name not in read.query}
    if writes:
        pooled = pooling is Pooling.TRANSACTION
        arguments["connection_factory"] = build_transaction_connection(settings) if pooled else WritingConnection
        arguments["cursor_factory"] = WritingCursor
    elif with_settings and pooling is Pooling.TRANSACTION:
        arguments["cursor_factory"] = build_transaction_cursor(settings, in_autocommit=statement_timeout_ms > 0)
    engine = create_engine(
        read,
        pool_size=size,
        max_overflow=0,
        pool_timeout=wait_s,
        pool_use_lifo=True,
        hide_parameters=True,
        json_deserializer=from_json,  # several times as fast as the standard library's
        use_native_hstore=False,  # else psycopg2 looks for hstore on every new connection
        isolation_level="AUTOCOMMIT" if autocommit or writes else "READ COMMITTED",
        skip_autocommit_rollback=autocommit,
        connect_args=arguments,
    )
    if with_settings and pooling is not Pooling.TRANSACTION:
        # Runs before SQLAlchemy's own listeners, so that the time-outs apply to their queries too.
        event.listen(engine, "connect", lambda driver, _record: apply_to_session(driver, settings), insert=True)
    event.listen(engine, "checkout", _discard_dead_connection)
    return engine


def _discard_dead_connection(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Makes the pool replace a connection that the server has closed.

    An idle connection that has data to read has been closed by the server. The check takes a few microseconds, where
    a ping would take a round trip. It lets the first request after a restart of the database succeed.
    """
    poll = select.poll()
    poll.register(dbapi_connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise exc.DisconnectionError


class Store:
    """The database as the rest of the program uses it.

    It has two pools: one for reading, whose connections are always in autocommit mode, and one for transactions.
    Switching a connection between the two modes would cost a round trip each time.
    """

    def __init__(
        self,
        reading: Engine,
        writing: Engine,
        *,
        hung_after_s: float | None = None,
        clock: Clock | None = None,
        pooling: Pooling = Pooling.NONE,
    ) -> None:
        self._reading = reading
        self._writing = writing
        self.pooling = pooling
        self._watchdog = ConnectionWatchdog((reading, writing), hung_after_s) if hung_after_s else None
        self.clock = clock or Clock()  # the time, for all rules that depend on it
        event.listen(reading, "connect", self._adjust_clock)
        self._started_clock = self.clock.start(self._read_database_time)  # connects on a thread: no listener may follow
        # Called after each commit that left work to others, with what it is. The callback must not block.
        self.on_work: Callable[[Work], None] = lambda _work: None

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
        pooling: Pooling = Pooling.NONE,
        background: bool = False,
    ) -> Store:
        """Creates a store for the database at `url`. It connects at first use.

        `reading` and `writing` are the most connections of each pool, and `wait_s` the seconds to wait for a free
        one. `hung_after_s` is the most seconds that a connection may be checked out; None means no limit. `clock` is
        the clock of another store of this process, or a new one for this store. `pooling` is what `check_database` has
        found. `background` is explained at `create_pool`. Raises BadDatabaseUrl.
        """
        return cls(
            create_pool(url, autocommit=True, size=reading, wait_s=wait_s, pooling=pooling, background=background),
            create_pool(url, writes=True, size=writing, wait_s=wait_s, pooling=pooling, background=background),
            hung_after_s=hung_after_s,
            clock=clock,
            pooling=pooling,
        )

    def open_beside(
        self,
        *,
        reading: int,
        writing: int,
        wait_s: float,
        hung_after_s: float = HUNG_AFTER_S,
        background: bool = False,
    ) -> Store:
        """Opens a store on the same database with connections of its own. The caller closes it.

        Its commits that leave work to others call this store's `on_work`.
        """
        other = Store.open(
            self.url,
            reading=reading,
            writing=writing,
            wait_s=wait_s,
            hung_after_s=hung_after_s,
            clock=self.clock,
            pooling=self.pooling,
            background=background,
        )
        other.on_work = lambda work: self.on_work(work)
        return other

    @property
    def max_connections(self) -> int:
        """The most connections that the two pools open together."""
        return sum(cast(QueuePool, engine.pool).size() for engine in (self._reading, self._writing))

    def count_connections(self) -> list[tuple[str, int, int]]:
        """The name of each pool, how many of its connections are in use, and how many there may be."""
        pools = (("reading", cast(QueuePool, self._reading.pool)), ("writing", cast(QueuePool, self._writing.pool)))
        return [(name, pool.checkedout(), pool.size()) for name, pool in pools]

    def _read_database_time(self) -> datetime:
        with self.read() as connection:
            database_time: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        return database_time

    def _adjust_clock(self, driver: Any, _record: Any) -> None:
        """Reads the time on a new connection, which may lead to another server with another clock."""
        asked = time.monotonic()
        with driver.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            self.clock.adjust(cursor.fetchone()[0], asked)

    @property
    def url(self) -> URL:
        """The URL of the database."""
        return self._writing.url

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Gives a connection in autocommit mode, without the round trips of BEGIN and COMMIT for one or two SELECTs.

        Raises DatabaseAway.
        """
        with self._errors(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Like `read`, for callers that return the connection to the pool while they wait for Slack.

        Raises DatabaseAway.
        """
        reading = Reading(self._reading)
        with self._errors():
            try:
                yield reading
            finally:
                reading.end()

    @contextmanager
    def write(self, organization_id: int | None = None, *, in_one_message: bool = False) -> Iterator[Connection]:
        """Runs the block in a transaction: commits when the block ends, rolls back when it raises.

        With `organization_id`, PostgreSQL refuses to write rows of other organizations, whatever the statements say:
        give it wherever a transaction is about one organization (docs/database.md, "A second wall").

        With `in_one_message`, the block runs one statement, after those that it defers; they need neither BEGIN nor
        COMMIT, and are committed when the statement returns. Another statement raises RuntimeError.

        Raises DatabaseAway, Contended. Do not send requests to Slack inside the block.
        """
        with self._errors(), self._writing.begin() as connection:
            if organization_id is not None:
                limit_writes(connection, organization_id)
            if in_one_message:
                cast(WritingConnection, connection.connection.driver_connection).expect_one_message()
            connection.info.pop(WORK_LEFT, None)
            yield connection
            work: Work | None = connection.info.pop(WORK_LEFT, None)
        if work:
            self.on_work(work)

    @contextmanager
    def listen(self, channel: str) -> Iterator[PgConnection]:
        """Gives a connection outside the pools that receives NOTIFY on `channel`. Raises DatabaseAway.

        Notifications do not arrive through a pooler in transaction mode.
        """
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
        """Checks that the server accepts writes. Raises ReadOnlyServer, DatabaseAway.

        Replaces the connections and tries once more if the server is read-only: they may date from before a failover.
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
        """Makes the pools open new connections: after a failover, the old ones lead to the former primary."""
        self._reading.dispose()
        self._writing.dispose()

    def close(self) -> None:
        """Closes the connections of both pools, and stops the watchdog and the clock that this store started."""
        if self._started_clock:
            self.clock.stop()
        if self._watchdog:
            self._watchdog.close()
        self._reading.dispose()
        self._writing.dispose()


def limit_writes(tx: Connection, organization_id: int) -> None:
    """Has PostgreSQL refuse rows of other organizations from now on, in a transaction that had to find out whose it is.

    It costs no round trip.
    """
    cast(WritingConnection, tx.connection.driver_connection).write_for(organization_id)


def trace_for(tx: Connection, traceparent: str) -> None:
    """Has the messages that the transaction requests from now on belong to a trace. It costs no round trip."""
    cast(WritingConnection, tx.connection.driver_connection).trace_for(traceparent)


@contextmanager
def write_everywhere(tx: Connection) -> Iterator[None]:
    """Lets the block write rows of other organizations too, in a transaction that has named one."""
    driver = cast(WritingConnection, tx.connection.driver_connection)
    named = driver.organization_id
    if named is None:
        yield
        return
    driver.write_for(None)
    try:
        yield
    finally:
        driver.write_for(named)


def is_read_only(connection: Connection) -> bool:
    """Whether the server accepts no writes: it is a standby, or configured as read-only."""
    return bool(connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on")


def is_reachable(store: Store) -> bool:
    """Whether the database answers and accepts writes now."""
    try:
        store.ensure_writable()
    except DatabaseAway:
        return False
    return True


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns errors that the driver and the pool raise inside the block into those of `storage.errors`."""
    try:
        yield
    except exc.TimeoutError as error:
        raise DatabaseAway("no free connection") from error
    except exc.DBAPIError as error:
        if error.connection_invalidated:  # whichever error the driver raised
            raise translate_error(error.orig) or DatabaseAway("the connection was lost") from error
        raise translate_error(error.orig) or error from error
    except psycopg2.Error as error:  # from a raw connection, whose errors SQLAlchemy does not wrap
        raise translate_error(error) or error from error
