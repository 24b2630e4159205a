"""Opens the databases of several cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL

from bot.cells.directory import DEFAULT, CellAway, CellUnfit
from bot.cells.distinct import check_distinct
from bot.cells.identities import number_cell
from bot.database import Migrated, open_store
from bot.settings import Settings
from storage import preflight
from storage.engine import HUNG_AFTER_S, Store
from storage.errors import DatabaseAway, DatabaseUnfit, ReadOnlyServer
from storage.migrate import migrate

# The databases by the names of their cells; None: it was not reached yet.
Stores = dict[str, Store | None]


def migrate_cell(name: str, url: URL) -> Migrated:
    """Migrates the database of a cell to the current schema. Raises DatabaseAway, DatabaseUnfit."""
    with _named(name):
        pooling = preflight.check_database(url)
        return Migrated(*migrate(url, pooling), pooling)


def open_cell(name: str, url: URL, stores: Stores, *, hung_after_s: float | None = HUNG_AFTER_S) -> Store:
    """Opens the database of a cell, migrated and with ids of its own, and adds it to `stores`.

    Raises DatabaseAway, DatabaseUnfit.
    """
    migrated = migrate_cell(name, url)
    store = Store.open(url, pooling=migrated.pooling, hung_after_s=hung_after_s)
    try:
        with _named(name):
            number_cell(name, store, stores)
    except BaseException:
        store.close()
        raise
    stores[name] = store
    return store


@contextmanager
def _named(cell: str) -> Iterator[None]:
    """Has errors name the cell."""
    try:
        yield
    except DatabaseUnfit as error:
        raise CellUnfit(f"{cell}: {error}") from None
    except ReadOnlyServer:
        raise CellAway(f"{cell}: the server is read-only") from None
    except DatabaseAway as error:
        raise CellAway(f"{cell}: {error.__cause__ or error}") from None


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The databases of all cells, for a command that soon ends. None stands for those that are away.

    Raises DatabaseAway if that of the default cell is, and DatabaseUnfit.
    """
    with open_store(settings) as first:
        stores: Stores = {DEFAULT: first, **dict.fromkeys(settings.cells)}
        if settings.cells:
            check_distinct({DEFAULT: first.url, **settings.cells})
        try:
            for name, url in settings.cells.items():
                try:
                    open_cell(name, url, stores, hung_after_s=None)
                except DatabaseAway:
                    continue  # whoever needs this cell says so
            yield stores
        finally:
            for name, store in stores.items():
                if store is not None and name != DEFAULT:
                    store.close()
