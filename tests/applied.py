"""An organization file that tests apply again and again: applied once, and its rows inserted from then on.

`apply` asks and writes in sixty statements, which is more than most stories do with the organization.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import URL, DateTime, Table, create_engine

from storage.embedded import ROLE, as_superuser
from storage.engine import Store
from storage.models import Base

# By the text of the file: the statements that insert the rows of each table that has any, and the rows.
_APPLIED: dict[str, tuple[str, dict[str, list[dict[str, Any]]]]] = {}

_NOW = "the time of the insertion"
# What triggers add is among the rows.
_WITHOUT_TRIGGERS = "SET LOCAL session_replication_role = replica"


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
    statements, rows = known
    with store.write() as tx:
        given = json.dumps(rows).replace(json.dumps(_NOW), json.dumps(now.isoformat()))
        tx.exec_driver_sql(statements, {"rows": given})
    return True


def remember_applied(store: Store, organization: str) -> None:
    """Remembers what is in the database, right after an organization file was applied to an empty one."""
    statements, found = [_WITHOUT_TRIGGERS], {}
    with store.read() as connection:
        for table in Base.metadata.sorted_tables:
            rows = connection.exec_driver_sql(f"SELECT to_json(t) FROM {table.name} t").scalars().all()  # noqa: S608
            if rows:
                statements += _build_inserts(table)
                found[table.name] = [_without_times(table, row) for row in rows]
    _APPLIED[organization] = "; ".join(statements), found


def _without_times(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    times = {column.name for column in table.columns if isinstance(column.type, DateTime)}
    return {name: _NOW if name in times and value is not None else value for name, value in row.items()}


def _build_inserts(table: Table) -> list[str]:
    columns = [column for column in table.columns if column.computed is None]
    names = ", ".join(column.name for column in columns)
    insert = (
        f"INSERT INTO {table.name} ({names}) OVERRIDING SYSTEM VALUE"  # noqa: S608
        f" SELECT {names} FROM json_populate_recordset(NULL::{table.name}, %(rows)s::json -> '{table.name}')"
    )
    return [
        insert,
        *(  # rows that follow get higher ones, in a new database too
            f"SELECT setval(s, greatest(nextval(s), (SELECT max({column.name}) FROM {table.name})))"  # noqa: S608
            f" FROM pg_get_serial_sequence('{table.name}', '{column.name}') s"
            for column in columns
            if column.identity is not None
        ),
    ]
