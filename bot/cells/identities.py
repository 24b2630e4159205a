"""Ids that differ between cells: what moves from one cell to another keeps its ids, and meets no others there.

The sequences of each database begin at the number of its cell times 2^40. The first database, which is there before
there are cells, has the number 0. Its ids and those of 8,000 more cells are exact in JSON, too (below 2^53).
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from bot.cells.directory import DEFAULT
from storage.engine import Store
from storage.errors import DatabaseAway, DatabaseUnfit
from storage.queries import cells as queries

ID_BITS = 40


def number_cell(name: str, store: Store, stores: Mapping[str, Store | None]) -> int:
    """Gives a new cell its number; one that has a number keeps it. Returns the number.

    `stores` has the databases of all other cells, which must answer for a new one. Raises DatabaseAway, DatabaseUnfit.
    """
    if (number := read_number(store)) > 0:
        return number
    others = {other: stores[other] for other in stores if other != name}
    known = [found for found in others.values() if found is not None]
    if len(known) < len(others):
        raise DatabaseAway("a new cell gets its number only while all others answer")
    first = stores[DEFAULT]
    assert first is not None
    with first.write() as lock:
        queries.take_lock(lock)
        if (number := read_number(store)) > 0:  # another process was faster
            return number
        number = 1 + max(map(read_number, known))
        with store.write() as tx:
            if queries.has_organizations(tx):
                raise DatabaseUnfit(
                    "the database has organizations already, with ids that other cells may have given out too; only"
                    " that of DATABASE_URL may have some before it becomes a cell"
                )
            _set_number(tx, number)
    return number


def _set_number(tx: Connection, number: int) -> None:
    try:
        queries.set_number(tx, number, ID_BITS)
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise DatabaseUnfit(
                "a new cell needs its number, which this role may not set: run `migrate` once with the role that owns"
                " the tables"
            ) from error
        raise


def read_number(store: Store) -> int:
    """The number of a cell. Raises DatabaseAway."""
    with store.read() as connection:
        return queries.get_number(connection, ID_BITS)
