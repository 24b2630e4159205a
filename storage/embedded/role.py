"""The role of the bot in the embedded database: it owns the database and what is in it, and is no superuser.

Superusers are not bound by row-level security (docs/database.md). Databases of versions before this role have their
tables from the superuser, who is still the role that such a version connects with: it works on them as before.
"""

from __future__ import annotations

import threading
import time

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import URL, make_url

from storage.embedded.cluster import SUPERUSER
from storage.errors import EmbeddedPostgresError

ROLE = "tocsin_bot"
OWNED_WITHIN_S = 60  # others may hold tables meanwhile
_LOCK_TIMEOUT = "500ms"  # whoever wants to use a table waits behind the change of its owner
_DEADLOCK_TIMEOUT = "100ms"  # after which autovacuum, which may hold a table for minutes, is cancelled
_PAUSE_S = 0.2

# What is missing, as statements. What extensions made stays theirs, and sequences of columns follow their tables.
_MISSING = f"""
SELECT 'CREATE ROLE {ROLE} LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}')
UNION ALL
SELECT format('ALTER DATABASE %I OWNER TO {ROLE}', datname) FROM pg_database
WHERE datname = current_database() AND pg_get_userbyid(datdba) <> '{ROLE}'
UNION ALL
SELECT format('ALTER TABLE %s OWNER TO {ROLE}', c.oid::regclass) FROM pg_class c
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relowner = current_user::regrole
AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                AND (d.deptype = 'e' OR d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO {ROLE}', p.oid::regprocedure) FROM pg_proc p
WHERE p.proowner = current_user::regrole
AND p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
"""  # noqa: S608 - a constant


def as_superuser(url: str | URL) -> URL:
    """The URL of a database of an embedded server with its superuser, for what tests and benchmarks set up."""
    return make_url(url).set(username=SUPERUSER)


def hand_over(connection: Connection, cancelled: threading.Event) -> None:
    """Create the bot's role and make it the owner of the database, where that has not been done yet.

    `connection` is the superuser's, to the bot's database. Each change is committed by itself, so that nobody waits for
    more than one, and may be repeated: what is left when `cancelled` is set, the next start does. Raises
    EmbeddedPostgresError when somebody holds a table for too long.
    """
    connection.autocommit = True
    until = time.monotonic() + OWNED_WITHIN_S
    with connection.cursor() as cursor:
        while not _lock(cursor):  # released when the connection is closed
            if cancelled.wait(_PAUSE_S):
                return
        cursor.execute(
            f"SET lock_timeout = '{_LOCK_TIMEOUT}'; SET deadlock_timeout = '{_DEADLOCK_TIMEOUT}'; {_MISSING}"
        )
        for (statement,) in cursor.fetchall():
            while not cancelled.is_set():
                try:
                    cursor.execute(statement)
                    break
                except LockNotAvailable as error:
                    if time.monotonic() > until:
                        raise EmbeddedPostgresError(
                            f"The database cannot be given to the role {ROLE}, because somebody holds a table: "
                            f"{statement}. End what uses the database, and start again."
                        ) from error
                    cancelled.wait(_PAUSE_S)


def _lock(cursor: Cursor) -> bool:
    """Whether no other process is handing the database over."""
    cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [ROLE])
    return bool(cursor.fetchall()[0][0])
