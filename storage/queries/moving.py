"""Moves everything of an organization to another database: what that is, its copy, and what refuses changes meanwhile.

Every table has an organization or a workspace in its key, so one condition for each finds the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from sqlalchemy import Connection, Table

from storage.models import Base
from storage.queries.tables import NOT_MOVED

# What is copied instead of a column: the ids of transactions are another server's.
_INSTEAD = {
    ("audit_entry", "transaction_id"): "0",
    ("installation", "organization_id"): "CASE WHEN organization_id = %(organization)s THEN organization_id END",
    ("installation", "refresh_leased_until"): "NULL::timestamptz",
}
# The log of administration lets its entries go only with their organization, and a member stands in the log.
_LEFT_TO_THE_END = ("audit_entry", "member", "organization")
_TRIGGER = "zz_moving"  # behind the triggers that fill in columns
PAUSED = "moving"
_PAUSED_FOR_S = 10 * 365 * 86400
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with what its rows are found by."""

    organization_id: int
    workspaces: list[str]
    installations: list[str]  # ids

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of all statements."""
        return {
            "organization": self.organization_id,
            "workspaces": self.workspaces,
            "installations": self.installations,
        }


def find_tenant(connection: Connection, organization_id: int) -> Tenant:
    """Returns an organization with its workspaces and their installations."""
    workspaces = connection.exec_driver_sql(
        "SELECT id FROM workspace WHERE organization_id = %s ORDER BY id", (organization_id,)
    ).scalars()
    found = list(workspaces)
    installations = connection.exec_driver_sql(
        "SELECT DISTINCT i.id FROM installation i LEFT JOIN installation_workspace w ON w.installation_id = i.id"
        " WHERE i.id = ANY(%(ids)s) OR w.workspace_id = ANY(%(ids)s) ORDER BY 1",
        {"ids": found},
    ).scalars()
    return Tenant(organization_id, found, list(installations))


def find_shared_installation(connection: Connection, tenant: Tenant) -> str | None:
    """Returns the id of an installation that other organizations use, too; None if there is none."""
    found: str | None = connection.exec_driver_sql(
        "SELECT w.installation_id FROM installation_workspace w JOIN workspace s ON s.id = w.workspace_id"
        " WHERE w.installation_id = ANY(%(installations)s) AND s.organization_id <> %(organization)s LIMIT 1",
        tenant.parameters,
    ).scalar()
    return found


def list_tables() -> list[Table]:
    """Returns the tables that are moved; each comes behind those that it refers to."""
    return [table for table in Base.metadata.sorted_tables if table.name not in NOT_MOVED]


def _build_condition(table: Table) -> str:
    if table.name == "organization":
        return "id = %(organization)s"
    if table.name == "installation":
        return "id = ANY(%(installations)s)"
    if table.name == "installation_workspace":
        return "installation_id = ANY(%(installations)s)"
    if "organization_id" in table.c:
        return "organization_id = %(organization)s"
    return "workspace_id = ANY(%(workspaces)s)"


def _list_columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.computed is None]


def _build_select(table: Table, columns: Sequence[str], *, at_source: bool) -> str:
    values = [_INSTEAD.get((table.name, name), f'"{name}"') if at_source else f'"{name}"' for name in columns]
    return f"SELECT {', '.join(values)} FROM {table.name} WHERE {_build_condition(table)}"  # noqa: S608 - of the models


# --- the copy --------------------------------------------------------------------------------------------------


def write_copy(connection: Connection, table: Table, tenant: Tenant, out: IO[bytes]) -> int:
    """Writes the rows of a table to `out`, in COPY's own format. Returns how many."""
    cursor = connection.connection.cursor()
    select = cursor.mogrify(_build_select(table, _list_columns(table), at_source=True), tenant.parameters).decode()
    cursor.copy_expert(f"COPY ({select}) TO STDOUT", out)
    return int(cursor.rowcount)


def read_copy(tx: Connection, table: Table, source: IO[bytes]) -> None:
    """Inserts what `write_copy` has written."""
    columns = ", ".join(f'"{name}"' for name in _list_columns(table))
    # COPY cannot write into a table with row-level security.
    tx.exec_driver_sql(f"CREATE TEMPORARY TABLE moved (LIKE {table.name}) ON COMMIT DROP")
    tx.connection.cursor().copy_expert(f"COPY moved ({columns}) FROM STDIN", source)
    tx.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM moved")  # noqa: S608 - of the models
    tx.exec_driver_sql("DROP TABLE moved")


def compute_checksum(connection: Connection, table: Table, tenant: Tenant, *, at_source: bool) -> tuple[int, int]:
    """Returns how many rows of a table an organization has, and a sum over what is in them, in any order."""
    select = _build_select(table, _list_columns(table), at_source=at_source)
    count, total = connection.exec_driver_sql(
        f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM ({select}) t",  # noqa: S608
        tenant.parameters,
    ).one()
    return int(count), int(total)


def make_room(tx: Connection, tenant: Tenant) -> None:
    """Deletes installations that have ended here before: those that come are the same ones."""
    tx.exec_driver_sql(
        "DELETE FROM installation WHERE id = ANY(%(installations)s) AND date_ended IS NOT NULL", tenant.parameters
    )


# --- what is recorded, and what refuses changes ------------------------------------------------------------------


def owns_tables(connection: Connection) -> bool:
    """Returns whether the role may create and drop triggers of every table that is moved."""
    owned: bool = connection.exec_driver_sql(
        "SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class"
        " WHERE oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) name)",
        ([table.name for table in list_tables()],),
    ).scalar_one()
    return owned


def try_lock(tx: Connection, organization_id: int) -> bool:
    """Returns whether nobody else moves an organization of this database, until the end of the transaction."""
    locked: bool = tx.exec_driver_sql(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('tocsin.move', %s))", (organization_id,)
    ).scalar_one()
    return locked


def begin_move(tx: Connection, organization_id: int, cell: str, now: datetime) -> str:
    """Records that an organization is moved to a cell. Returns where it is moved to, which an earlier call has said."""
    tx.exec_driver_sql(
        "INSERT INTO organization_move (organization_id, cell, date_started) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (organization_id, cell, now),
    )
    found: str = tx.exec_driver_sql(
        "SELECT cell FROM organization_move WHERE organization_id = %s", (organization_id,)
    ).scalar_one()
    return found


def find_move(connection: Connection, organization_id: int) -> str | None:
    """Returns the cell to which an organization is moved; None if it is not."""
    found: str | None = connection.exec_driver_sql(
        "SELECT cell FROM organization_move WHERE organization_id = %s", (organization_id,)
    ).scalar()
    return found


def list_moves(connection: Connection) -> set[int]:
    """Returns the ids of the organizations that are being moved away."""
    return set(connection.exec_driver_sql("SELECT organization_id FROM organization_move").scalars())


def end_move(tx: Connection, organization_id: int) -> None:
    """Records that an organization stays."""
    tx.exec_driver_sql("DELETE FROM organization_move WHERE organization_id = %s", (organization_id,))


def pause(tx: Connection, tenant: Tenant, now: datetime) -> None:
    """Has nothing sent to the workspaces of an organization. Why a workspace is paused already stays recorded."""
    tx.exec_driver_sql(
        "UPDATE workspace SET paused_reason = coalesce(paused_reason, %(reason)s),"
        " paused_until = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE organization_id = %(organization)s AND date_disconnected IS NULL",
        {**tenant.parameters, "reason": PAUSED, "now": now, "seconds": _PAUSED_FOR_S},
    )


def stop_refreshes(tx: Connection, tenant: Tenant, now: datetime) -> bool:
    """Has no process refresh the tokens of the installations. Returns False while one still does."""
    tx.exec_driver_sql(
        "UPDATE installation SET refresh_leased_until = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE id = ANY(%(installations)s) AND (refresh_leased_until IS NULL OR refresh_leased_until <= %(now)s)",
        {**tenant.parameters, "now": now, "seconds": _PAUSED_FOR_S},
    )
    busy: bool = tx.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM installation WHERE id = ANY(%(installations)s)"
        " AND refresh_leased_until < %(now)s + make_interval(secs => %(seconds)s / 2.0))",
        {**tenant.parameters, "now": now, "seconds": _PAUSED_FOR_S},
    ).scalar_one()
    return not busy


def allow_refreshes(tx: Connection, tenant: Tenant) -> None:
    """Has processes refresh the tokens again."""
    tx.exec_driver_sql(
        "UPDATE installation SET refresh_leased_until = NULL WHERE id = ANY(%(installations)s)", tenant.parameters
    )


def resume(tx: Connection, tenant: Tenant, now: datetime) -> None:
    """Has messages sent to them again. What paused a workspace before the move is tried at once."""
    tx.exec_driver_sql(
        "UPDATE workspace SET paused_reason = NULLIF(paused_reason, %(reason)s),"
        " paused_until = CASE WHEN paused_reason <> %(reason)s THEN %(now)s::timestamptz END"
        " WHERE organization_id = %(organization)s AND date_disconnected IS NULL AND paused_reason IS NOT NULL",
        {**tenant.parameters, "reason": PAUSED, "now": now},
    )


def is_sending(connection: Connection, tenant: Tenant, now: datetime) -> bool:
    """Returns whether a worker serves a conversation of the workspaces at this moment."""
    found: bool = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM destination WHERE workspace_id = ANY(%(workspaces)s) AND leased_until > %(now)s)",
        {**tenant.parameters, "now": now},
    ).scalar_one()
    return found


def list_fences(tenant: Tenant) -> Iterator[Callable[[Connection], None]]:
    """The statements that make a table refuse changes of the organization, each for a transaction of its own.

    Each waits for those who are changing the table, so afterwards nobody has an uncommitted change of it.
    """
    for table in list_tables():
        if "organization_id" in table.c or table.name == "organization":
            yield lambda tx, table=table: _fence(tx, table, tenant)  # type: ignore[misc]


def _fence(tx: Connection, table: Table, tenant: Tenant) -> None:
    id_ = f"{tenant.organization_id:d}"
    if table.name == "installation":
        condition = f"NEW.id = ANY({_quote(tx, tenant.installations)})"
        _create_trigger(tx, f"write_{id_}", table.name, "INSERT OR UPDATE", condition, "people")
        return
    column = "id" if table.name == "organization" else "organization_id"
    _create_trigger(tx, f"write_{id_}", table.name, "INSERT OR UPDATE", f"NEW.{column} = {id_}", "people")
    _create_trigger(tx, f"delete_{id_}", table.name, "DELETE", f"OLD.{column} = {id_}", "people")
    if table.name == "post":
        # Whoever is to post a message records it before, and does not post it where that fails.
        begins = "NEW.attempted_at IS NOT NULL AND NEW.attempted_at IS DISTINCT FROM OLD.attempted_at"
        _create_trigger(tx, f"begin_{id_}", table.name, "UPDATE", f"NEW.organization_id = {id_} AND {begins}", "all")


def _quote(tx: Connection, values: list[str]) -> str:
    return str(tx.connection.cursor().mogrify("%s::text[]", (values,)).decode())


def _create_trigger(tx: Connection, name: str, table: str, kind: str, condition: str, argument: str) -> None:
    driver: Any = tx.connection
    driver.cursor().execute(
        f"CREATE OR REPLACE TRIGGER {_TRIGGER}_{name} BEFORE {kind} ON {table}"
        f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse_while_moved('{argument}')"
    )


def list_fence_removals(connection: Connection, organization_id: int) -> list[str]:
    """Returns the statements that remove what refuses changes, each for a transaction of its own."""
    rows = connection.exec_driver_sql(
        "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE tgname ~ %s",
        (f"^{_TRIGGER}_[a-z]+_{organization_id}$",),
    )
    return [f"DROP TRIGGER IF EXISTS {name} ON {table}" for name, table in rows]


# --- the end -----------------------------------------------------------------------------------------------------


def delete_batch(tx: Connection, table: Table, tenant: Tenant) -> int:
    """Deletes some rows of a table. Returns how many."""
    condition = _build_condition(table)
    return tx.exec_driver_sql(
        f"DELETE FROM {table.name} WHERE ctid = ANY (ARRAY("  # noqa: S608 - of the models
        f"SELECT ctid FROM {table.name} WHERE {condition} LIMIT {_BATCH})) AND {condition}",
        tenant.parameters,
    ).rowcount


def list_emptied() -> list[Table]:
    """Returns the tables that are emptied in batches, each before those that it refers to."""
    return [table for table in reversed(list_tables()) if table.name not in _LEFT_TO_THE_END]


def delete_organization(tx: Connection, organization_id: int) -> None:
    """Deletes an organization with what is left of it."""
    tx.exec_driver_sql("DELETE FROM organization WHERE id = %s", (organization_id,))
