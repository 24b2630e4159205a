"""The checks of `doctor` of the databases of further cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from sqlalchemy import URL

from bot.cells.directory import CellUnfit
from bot.cells.distinct import check_distinct
from bot.doctor.finding import Finding, get_reason
from storage import preflight
from storage.engine import Store
from storage.errors import DatabaseAway, DatabaseUnfit


def check_addresses(urls: Mapping[str, URL]) -> Iterator[Finding]:
    """Whether two cells, by name, are one database."""
    try:
        check_distinct(urls)
    except CellUnfit as error:
        yield Finding("cells", str(error), "Mend TOCSIN_CELLS, and run doctor again.")


def check_cell(name: str, url: URL, check_store: Callable[[Store], Iterator[Finding]]) -> Iterator[Finding]:
    """What `check_store` finds in the database of a cell, with the cell's name."""
    try:
        store = Store.open(url, pooling=preflight.check_database(url))
        try:
            for finding in check_store(store):
                yield replace(finding, what=f"{name}: {finding.what}")
        finally:
            store.close()
    except DatabaseUnfit as error:
        yield Finding(f"{name}: database", str(error), "Then run doctor again.")
    except DatabaseAway as error:
        fix = "Check TOCSIN_CELLS, that the server runs, and that this machine may reach it."
        yield Finding(f"{name}: database", f"cannot be used: {get_reason(error)}", fix)
