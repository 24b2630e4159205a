"""Which database a command works on: the one that DATABASE_URL names, or the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL

from bot.settings import Settings
from storage.engine import Store, normalise_url
from storage.migrate import migrate, schema_is_current


@contextmanager
def open_database(settings: Settings) -> Iterator[URL]:
    """The URL of the database; the embedded server runs while the block does, unless DATABASE_URL is set.

    Raises EmbeddedPostgresError.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    from storage.embedded import EmbeddedPostgres  # where DATABASE_URL is set, none of that code runs

    with EmbeddedPostgres(settings.data_dir) as url:
        yield normalise_url(url)


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The database of a command that is over in a moment, brought to the current schema before.

    Raises DatabaseAway.
    """
    with open_database(settings) as url:
        store = Store.open(url, hung_after_s=None)
        try:
            if not schema_is_current(store):
                migrate(url)
            yield store
        finally:
            store.close()
