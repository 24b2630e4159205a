"""Migrates a database to the schema of `storage.models`, one replica at a time.

Migrations expand first and contract later: the previous version of the program keeps working on the new schema
during a deploy. So a database that is ahead of the program is not an error.

The files in `storage/migrations/versions` are numbered in the order in which they run.

`python -m storage.migrate check` (CI) migrates an embedded database and fails when models and migrations differ;
`python -m storage.migrate new "what changes"` writes the next migration from the difference.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import URL, Connection, Engine, exc, text

from storage.engine import Store, create_pool, is_read_only, translate_errors
from storage.errors import Contended, DatabaseAway, DatabaseUnfit, ReadOnlyServer
from storage.session_settings import Pooling

if TYPE_CHECKING:
    from alembic.config import Config

# The revision of the newest migration; a test checks this. It is a constant so that Alembic, which takes a tenth of the
# startup time to load, is loaded only when there is something to migrate.
HEAD = "tenant04"
# An arbitrary number, which must be the same in every version of the program.
_MIGRATION_LOCK = 0x70C51
_LOCK_POLL_S = 0.1
# If a long transaction locks a table, the migration retries after a pause in which others can use the table.
_LOCK_RETRY_S = 1.0
_LOCK_RETRIES_END_S = 300.0
_AT_WORK_S = 10.0  # an attempt that lasts longer has done something before it was refused a table


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def _is_known_revision(revision: str) -> bool:
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    try:
        return ScriptDirectory.from_config(_config()).get_revision(revision) is not None
    except CommandError:
        return False


def _find_revision(connection: Connection) -> str | None:
    """Returns the revision of the database; None before the first migration."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


@contextmanager
def _hold_migration_lock(engine: Engine) -> Iterator[None]:
    """Holds the lock in a transaction of a connection of its own.

    A pooler in transaction mode would give the session, and a lock of it, to somebody else. The transaction has no
    snapshot, so that CREATE INDEX CONCURRENTLY does not wait for it. The lock is polled for the same reason: inside
    pg_advisory_lock a replica has a snapshot, and PostgreSQL would report "deadlock detected".
    """
    with engine.connect() as holder:
        while not holder.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}):
            holder.rollback()
            time.sleep(_LOCK_POLL_S)
        yield


def migrate(url: str | URL, pooling: Pooling = Pooling.NONE) -> tuple[str | None, str]:
    """Runs the missing migrations. Returns the revisions before and after. Concurrent calls are safe.

    A database that a later version has already migrated is not changed. If others lock a table, the migration retries.
    `pooling` is what `check_database` has found. Raises DatabaseAway, also when a table stays locked for too long;
    ReadOnlyServer, even if nothing is missing; DatabaseUnfit when the role may not change the schema.
    """
    engine = create_pool(url, statement_timeout_ms=0, pooling=pooling)
    try:
        with translate_errors(), _hold_migration_lock(engine):
            with engine.connect() as connection:
                if is_read_only(connection):
                    raise ReadOnlyServer
                before = _find_revision(connection)
                if before == HEAD:
                    return HEAD, HEAD
                if before is not None and not _is_known_revision(before):
                    return before, before
                search_path = _find_search_path(connection)
            _upgrade(url, pooling, search_path)
            return before, HEAD
    except exc.ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            reason = str(error.orig).splitlines()[0]
            raise DatabaseUnfit(
                f"the schema cannot be changed: {reason}; have the owner of the database do it"
            ) from error
        raise
    finally:
        engine.dispose()


def _find_search_path(connection: Connection) -> str | None:
    """Returns the search path with the schema of pg_trgm added; None if the role's own is enough.

    A DBA may have created the extension in any schema. PostgreSQL finds its operator classes by the search path.
    """
    found: str | None = connection.scalar(
        text(
            "SELECT current_setting('search_path') || ', ' || quote_ident(n.nspname)"
            " FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = 'pg_trgm' AND n.nspname <> ALL (current_schemas(true))"
        )
    )
    return found


def _upgrade(url: str | URL, pooling: Pooling, search_path: str | None) -> None:
    from alembic import command

    engine = create_pool(url, statement_timeout_ms=0, pooling=pooling, search_path=search_path, size=1)
    # Counts from the first of the retries that get no further: filling a large table takes its time.
    until: float | None = None
    revision: str | None = None
    try:
        while True:
            began = time.monotonic()
            try:
                with translate_errors(), engine.connect() as connection:
                    command.upgrade(_config(connection), "head")
                    connection.commit()
                return
            except Contended as error:
                now, before = time.monotonic(), revision
                with translate_errors(), engine.connect() as connection:
                    revision = _find_revision(connection)
                if until is None or revision != before or now - began > _AT_WORK_S:
                    until = now + _LOCK_RETRIES_END_S
                if now > until:
                    raise DatabaseAway(f"the schema cannot be changed, somebody holds a table: {error}") from error
                time.sleep(_LOCK_RETRY_S)
    finally:
        engine.dispose()


def get_revisions(store: Store) -> tuple[str | None, str, bool]:
    """Returns the revision of the database, the one that this program needs, and whether it knows the first."""
    with store.read() as connection:
        found = _find_revision(connection)
    return found, HEAD, found in (None, HEAD) or _is_known_revision(found)


def is_upgrade_due(connection: Connection) -> bool:
    """Whether `migrate` would change the schema."""
    found = _find_revision(connection)
    return found is None or (found != HEAD and _is_known_revision(found))


def is_schema_current(store: Store) -> bool:
    """Whether this program can use the database: a migration to its revision or by a later version has run."""
    found, wanted, known = get_revisions(store)
    return found is not None and (found == wanted or not known)


def _next_number() -> str:
    """Returns the number at the start of the next migration's file name."""
    numbers = [int(path.name[:4]) for path in (Path(__file__).parent / "migrations/versions").glob("[0-9]*.py")]
    return f"{max(numbers) + 1:04d}"


def _run_developer_command(argv: list[str]) -> None:
    from alembic import command

    from storage.embedded import scratch_postgres

    checks, words = argv == ["check"], argv[1:]
    if not checks and not (argv[:1] == ["new"] and len(words) == 1):
        sys.exit('usage: python -m storage.migrate check | new "what changes"')
    with scratch_postgres() as url:
        migrate(url)
        engine = create_pool(url, statement_timeout_ms=0)
        with engine.connect() as connection:
            if checks:
                command.check(_config(connection))
            else:
                command.revision(_config(connection), message=words[0], autogenerate=True, rev_id=_next_number())
        engine.dispose()


if __name__ == "__main__":
    _run_developer_command(sys.argv[1:])
