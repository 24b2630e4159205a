"""What a database holds, for the directory of cells."""

from __future__ import annotations

from sqlalchemy import Connection


def holds_workspace(connection: Connection, id_: str) -> bool:
    """Returns whether this database has something of a workspace, or of an Enterprise organization."""
    found: bool = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM workspace WHERE id = %(id)s)"
        " OR EXISTS (SELECT FROM installation WHERE id = %(id)s AND date_ended IS NULL)"
        " OR EXISTS (SELECT FROM installation_workspace w JOIN installation i ON i.id = w.installation_id"
        "            WHERE w.workspace_id = %(id)s AND i.date_ended IS NULL)",
        {"id": id_},
    ).scalar_one()
    return found


def holds_token(connection: Connection, token: str | int) -> bool:
    """Returns whether this database has an intake token, given its hash or its id, revoked or not."""
    column = "id" if isinstance(token, int) else "token_hash"
    found: bool = connection.exec_driver_sql(
        f"SELECT EXISTS (SELECT FROM intake_token WHERE {column} = %s)",  # noqa: S608 - one of two names
        (token,),
    ).scalar_one()
    return found


def get_number(connection: Connection, bits: int) -> int:
    """Returns the number of the cell that gives out this database's ids: what stands above the lowest `bits`."""
    last: int | None = connection.exec_driver_sql(
        "SELECT pg_sequence_last_value(pg_get_serial_sequence('organization', 'id')::regclass)"
    ).scalar()
    return (last or 0) >> bits


def has_organizations(connection: Connection) -> bool:
    """Returns whether the database has any organization."""
    found: bool = connection.exec_driver_sql("SELECT EXISTS (SELECT FROM organization)").scalar_one()
    return found


def set_number(tx: Connection, number: int, bits: int) -> None:
    """Makes all sequences of the database give out the ids of the cell with this number."""
    names = tx.exec_driver_sql(
        "SELECT s.oid::regclass::text FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')"
        " WHERE s.relkind = 'S' AND d.classid = 'pg_class'::regclass AND pg_table_is_visible(d.refobjid)"
    ).scalars()
    for name in list(names):
        tx.exec_driver_sql("SELECT setval(%s::regclass, %s)", (name, number << bits))


def take_lock(tx: Connection) -> None:
    """Waits until no other process numbers a cell. Held until the end of the transaction."""
    tx.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('tocsin.cells'))")
