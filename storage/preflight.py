"""Checks that a database is set up for the bot. Runs when a command starts, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, exc, text

from storage.engine import create_pool, translate_errors
from storage.errors import DatabaseAway, DatabaseUnfit
from storage.migrate import is_upgrade_due
from storage.models import Base
from storage.session_settings import STATEMENT_TIMEOUT_MS, Pooling
from storage.url import describe_server
from storage.watchdog import ConnectionWatchdog

# A pooler that has no server connection left makes a query wait for minutes.
_HUNG_AFTER_S = 5.0
# How many times the two sessions are compared. A pooler in transaction mode reuses the connection that was released
# last, so one comparison is enough if the pooler has no other clients.
_COMPARISONS = 8

_SETTINGS = """
SELECT current_user AS role, current_database() AS database, current_schema() AS schema,
  current_setting('search_path') AS search_path,
  has_schema_privilege(current_schema(), 'CREATE') AS may_create,
  has_database_privilege(current_database(), 'CREATE') AS may_extend,
  EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') AS available,
  (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm')
    AS trgm_in
"""
_TABLES = """
SELECT c.relname,
  pg_has_role(c.relowner, 'USAGE') AS owned,
  has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
    AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') AS usable
FROM unnest(CAST(:names AS text[])) name JOIN pg_class c ON c.oid = to_regclass(quote_ident(name))
ORDER BY c.relname
"""


def check_database(url: URL) -> Pooling:
    """Checks the connection pooler, if there is one, and the privileges of the role. Returns the pooler's mode.

    Raises DatabaseUnfit, DatabaseAway.
    """
    try:
        with translate_errors():
            pooling = _find_pooling(url)
            if pooling is not Pooling.NONE:
                _check_settings(url, pooling)
            with _connect(url, pooling, autocommit=True) as connection:
                _check_role(connection)
            return pooling
    except exc.DBAPIError as error:
        # The server is not PostgreSQL, or too old for the statements and settings of this program.
        lines = str(error.orig).strip().splitlines() or ["no answer"]
        raise DatabaseUnfit(f"{describe_server(url)} does not answer as PostgreSQL does: {lines[0]}") from error


def _find_pooling(url: URL) -> Pooling:
    """Finds out whether a pooler may run each transaction in another session of the server."""
    # Without the settings: in transaction mode, they would stay in a session that other clients use too.
    engine = create_pool(url, autocommit=True, size=2, with_settings=False)
    watchdog = ConnectionWatchdog((engine,), _HUNG_AFTER_S)
    try:
        with engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            # The server sends the pid of its process to a new connection; a pooler makes a number up instead.
            if _get_backend_pid(connection) == driver.get_backend_pid():
                return Pooling.NONE
            shared = _shares_server_processes(connection, engine)
            return Pooling.TRANSACTION if shared else Pooling.SESSION
    finally:
        watchdog.close()
        engine.dispose()


def _shares_server_processes(connection: Connection, engine: Engine) -> bool:
    """Whether one process of the server serves two open sessions, or several processes serve one session."""
    first, second = set(), set()
    try:
        with engine.connect() as other:
            for _ in range(_COMPARISONS):
                first.add(_get_backend_pid(connection))
                second.add(_get_backend_pid(other))
    except exc.OperationalError:
        raise DatabaseAway("the pooler has no second connection for the bot") from None
    return len(first) > 1 or len(second) > 1 or bool(first & second)


def _get_backend_pid(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def _check_settings(url: URL, pooling: Pooling) -> None:
    """Refuses a pooler that ignores SET, or that gives the statements of one transaction to several sessions."""
    try:
        with _connect(url, pooling, autocommit=False) as connection:
            milliseconds = connection.scalar(
                text("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'"),
            )
    except exc.OperationalError:
        with _connect(url, pooling, autocommit=True) as connection:
            connection.execute(text("SELECT 1"))
        # Only a transaction is cut off. PgBouncer gives no reason.
        raise DatabaseUnfit(
            f"the pooler at {describe_server(url)} is in statement mode; the bot needs session or transaction mode"
        ) from None
    if milliseconds != str(STATEMENT_TIMEOUT_MS):
        raise DatabaseUnfit(
            f"the pooler at {describe_server(url)} drops settings (statement_timeout); the bot needs one that keeps"
            " them"
        )


@contextmanager
def _connect(url: URL, pooling: Pooling, *, autocommit: bool) -> Iterator[Connection]:
    engine = create_pool(url, autocommit=autocommit, size=1, pooling=pooling)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _check_role(connection: Connection) -> None:
    """Refuses a role that lacks a privilege that the bot, or a pending migration, needs."""
    found = connection.execute(text(_SETTINGS)).one()
    if found.schema is None:
        raise DatabaseUnfit(
            f"no schema of the search path ({found.search_path}) is there for the role {found.role}: CREATE SCHEMA or"
            f" GRANT USAGE, CREATE ON SCHEMA … TO {found.role}"
        )
    tables = connection.execute(text(_TABLES), {"names": ["alembic_version", *Base.metadata.tables]}).all()
    for table in tables:
        if not table.usable:
            raise DatabaseUnfit(
                f"the role {found.role} may not read and write the table {table.relname}: GRANT SELECT, INSERT, UPDATE,"
                f" DELETE ON ALL TABLES IN SCHEMA {found.schema} TO {found.role}, or make it the owner"
            )
    if not is_upgrade_due(connection):
        return
    if not found.may_create:
        raise DatabaseUnfit(
            f"the role {found.role} may not create tables in schema {found.schema}: GRANT CREATE ON SCHEMA"
            f" {found.schema} TO {found.role}, or make it the owner"
        )
    for table in tables:
        if not table.owned:
            raise DatabaseUnfit(
                f"the role {found.role} does not own the table {table.relname}, and the schema has to be changed:"
                f" run `migrate` as its owner, or ALTER TABLE … OWNER TO {found.role}"
            )
    _check_extension(connection, found)


def _check_extension(connection: Connection, found: Any) -> None:
    if found.trgm_in is None and not found.available:
        raise DatabaseUnfit(
            "the extension pg_trgm is needed, and the server does not have it: install PostgreSQL's contrib package"
        )
    if found.trgm_in is None and not found.may_extend:
        raise DatabaseUnfit(
            f"the extension pg_trgm is needed, and the role {found.role} may not make it: have a DBA run CREATE"
            f" EXTENSION pg_trgm in the database {found.database}"
        )
    if found.trgm_in and not connection.scalar(
        text("SELECT has_schema_privilege(:schema, 'USAGE')"), {"schema": found.trgm_in}
    ):
        raise DatabaseUnfit(
            f"the extension pg_trgm is in schema {found.trgm_in}, which the role {found.role} may not use: GRANT USAGE"
            f" ON SCHEMA {found.trgm_in} TO {found.role}"
        )
