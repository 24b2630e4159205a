"""What a database holds, for the directory of cells."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from sqlalchemy import Connection


class Held(Enum):
    """Whether a database has something."""

    NO = auto()
    LEAVING = auto()  # yes, until it has been moved to another cell
    YES = auto()


def find_workspace(connection: Connection, id_: str) -> Held:
    """Returns whether this database has something of a workspace, or of an Enterprise organization."""
    return _read(
        connection.exec_driver_sql(
            "SELECT m.organization_id IS NOT NULL FROM workspace w"
            " LEFT JOIN organization_move m ON m.organization_id = w.organization_id"
            "   WHERE w.id = %(id)s AND w.date_disconnected IS NULL"
            " UNION ALL SELECT bool_or(m.organization_id IS NOT NULL) FROM installation i"
            "   LEFT JOIN installation_workspace iw ON iw.installation_id = i.id"
            "   LEFT JOIN workspace w ON w.id = iw.workspace_id"
            "   LEFT JOIN organization_move m ON m.organization_id = w.organization_id"
            "   WHERE i.id = %(id)s AND i.date_ended IS NULL GROUP BY i.id"
            " UNION ALL SELECT false FROM installation_workspace iw"
            "   JOIN installation i ON i.id = iw.installation_id"
            "   WHERE iw.workspace_id = %(id)s AND i.date_ended IS NULL LIMIT 1",
            {"id": id_},
        ).scalar()
    )


def is_connected(connection: Connection, id_: str) -> bool:
    """Returns whether an organization has a workspace, or one of those of an Enterprise organization."""
    found: bool = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM workspace WHERE date_disconnected IS NULL AND (id = %(id)s OR id IN"
        " (SELECT workspace_id FROM installation_workspace WHERE installation_id = %(id)s)))",
        {"id": id_},
    ).scalar_one()
    return found


def find_token(connection: Connection, token: str | int) -> Held:
    """Returns whether this database has an intake token, given its hash or its id, revoked or not."""
    column = "id" if isinstance(token, int) else "token_hash"
    statement = (
        "SELECT m.organization_id IS NOT NULL FROM intake_token t"  # noqa: S608 - one of two names
        f" LEFT JOIN organization_move m ON m.organization_id = t.organization_id WHERE t.{column} = %s"
    )
    return _read(connection.exec_driver_sql(statement, (token,)).scalar())


def _read(leaving: bool | None) -> Held:
    if leaving is None:
        return Held.NO
    return Held.LEAVING if leaving else Held.YES


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


def find_mark(tx: Connection, marks: Sequence[int], *, or_set: int) -> int | None:
    """Returns which of the marks the database has from an open transaction; None if it has none, and gets another."""
    found: int | None = tx.exec_driver_sql(
        "SELECT mark FROM unnest(%s::bigint[]) mark WHERE NOT pg_try_advisory_xact_lock_shared(mark) LIMIT 1",
        (list(marks),),
    ).scalar()
    if found is None:
        tx.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (or_set,))
    return found


def take_lock(tx: Connection) -> None:
    """Waits until no other process numbers a cell. Held until the end of the transaction."""
    tx.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('tocsin.cells'))")
