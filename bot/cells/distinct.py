"""Finds two cells that are one database: two addresses may lead to one, which the addresses do not show."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from bot.cells.directory import DEFAULT, CellUnfit
from storage.engine import HUNG_AFTER_S, create_pool, translate_errors
from storage.errors import Contended, DatabaseAway
from storage.queries import cells as queries
from storage.watchdog import ConnectionWatchdog


def check_distinct(urls: Mapping[str, URL]) -> frozenset[str]:
    """Returns the cells that answer, each of which is a database of its own. `urls` are those of all cells, by name.

    Raises CellUnfit if two of them are one.
    """
    # Without the settings, which a pooler in transaction mode would leave in other clients' sessions.
    engines = [create_pool(url, size=1, with_settings=False) for url in urls.values()]
    watchdog = ConnectionWatchdog(engines, HUNG_AFTER_S)
    with ThreadPoolExecutor(len(engines)) as pool:
        connections = dict(zip(urls, pool.map(_try_to_connect, engines), strict=True))
    # Each database gets a mark of its own, which only these transactions see. One that has the mark of another is that.
    first_mark = secrets.randbits(62)
    marks: dict[int, str] = {}
    try:
        for mark, (name, connection) in enumerate(connections.items(), first_mark):
            if connection is None:
                continue
            with suppress(DatabaseAway, Contended, SQLAlchemyError), translate_errors():
                found = queries.find_mark(connection, [*marks], or_set=mark)
                if found is not None:
                    raise CellUnfit(_describe(name, marks[found]))
                marks[mark] = name
    finally:
        watchdog.close()
        for connection in connections.values():
            if connection is not None:
                connection.close()
        for engine in engines:
            engine.dispose()
    return frozenset(marks.values())


def _try_to_connect(engine: Engine) -> Connection | None:
    """None if the database does not answer, or not as PostgreSQL does: whoever opens it says what is wrong."""
    with suppress(SQLAlchemyError):
        return engine.connect()
    return None


def _describe(name: str, other: str) -> str:
    of = "DATABASE_URL" if other == DEFAULT else other
    return f"{name} is the database of {of}, under another address; it should be one of its own"
