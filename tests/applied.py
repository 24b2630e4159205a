"""An organization file that tests apply again and again: applied once, and its rows inserted from then on.

`apply` asks and writes in sixty statements, which is more than most stories do with the organization.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import URL, Connection, DateTime, Table, create_engine

from storage.embedded import ROLE, as_superuser
from storage.engine import Store
from storage.models import Base

# The rows of each table that has any, by the text of the file.
_APPLIED: dict[str, list[tuple[Table, list[dict[str, Any]]]]] = {}


def let_triggers_be_left_out(server: str | URL) -> None:
    """Lets the bot's role of a server leave out triggers, as fixtures do. The policies bind it all the same."""
    engine = create_engine(as_superuser(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}")
    engine.dispose()


def insert_applied(store: Store, organization: str, now: datetime) -> bool:
    """Inserts into an empty database what an organization file made of it; False if that is not known yet."""
    known = _APPLIED.get(organization)
    if known is None:
        return False
    with store.write() as tx:
        tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # what triggers add is among the rows
        for table, rows in known:
            _insert(tx, table, rows, now)
    return True


def remember_applied(store: Store, organization: str) -> None:
    """Remembers what is in the database, right after an organization file was applied to an empty one."""
    found = []
    with store.read() as connection:
        for table in Base.metadata.sorted_tables:
            rows = connection.exec_driver_sql(f"SELECT to_json(t) FROM {table.name} t").scalars().all()  # noqa: S608
            if rows:
                found.append((table, list(rows)))
    _APPLIED[organization] = found


def _insert(tx: Connection, table: Table, rows: list[dict[str, Any]], now: datetime) -> None:
    columns = [column for column in table.columns if column.computed is None]
    times = {column.name for column in columns if isinstance(column.type, DateTime)}
    given = [
        {name: now.isoformat() if name in times and value is not None else value for name, value in row.items()}
        for row in rows
    ]
    names = ", ".join(column.name for column in columns)
    tx.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) OVERRIDING SYSTEM VALUE"  # noqa: S608
        f" SELECT {names} FROM json_populate_recordset(NULL::{table.name}, %(rows)s::json)",
        {"rows": json.dumps(given)},
    )
    for column in columns:
        if column.identity is not None:  # rows that follow get higher ones, in a new database too
            tx.exec_driver_sql(
                f"SELECT setval(s, greatest(nextval(s), (SELECT max({column.name}) FROM {table.name})))"  # noqa: S608
                f" FROM pg_get_serial_sequence('{table.name}', '{column.name}') s"
            )
