"""The database of a command: the one that DATABASE_URL names, or the embedded one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import URL
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from bot.settings import Settings
from storage import preflight
from storage.engine import Store
from storage.errors import DatabaseAway
from storage.migrate import migrate
from storage.session_settings import Pooling
from storage.url import normalise_url

# When the process that runs the embedded server ends, another one starts it again; until then it is away.
TAKEN_OVER_S = 5.0
_TRY_EVERY_S = 0.1


class Migrated(NamedTuple):
    """A database whose schema this program can use."""

    before: str | None  # the revision before the migration; None if there was none
    after: str
    pooling: Pooling


@contextmanager
def open_database(settings: Settings, cancelled: threading.Event | None = None) -> Iterator[URL]:
    """The URL of the database. Without DATABASE_URL, the embedded server runs until the block ends.

    Raises EmbeddedPostgresError, and StartCancelled if `cancelled` is set while the server starts.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    from storage.embedded import EmbeddedPostgres  # not loaded where DATABASE_URL is set

    with EmbeddedPostgres(settings.data_dir, cancelled=cancelled) as url:
        yield normalise_url(url)


def migrate_database(settings: Settings, url: URL) -> Migrated:
    """Migrates an opened database to the current schema.

    Waits while another process takes over the embedded server. Raises DatabaseAway, DatabaseUnfit.
    """
    if settings.database_url is not None:
        pooling = preflight.check_database(url)
        return Migrated(*migrate(url, pooling), pooling)
    trying = Retrying(
        retry=retry_if_exception_type(DatabaseAway),
        stop=stop_after_delay(TAKEN_OVER_S),
        wait=wait_fixed(_TRY_EVERY_S),
        reraise=True,
    )
    return Migrated(*trying(migrate, url), Pooling.NONE)


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The database for a command that soon ends, migrated to the current schema.

    Raises DatabaseAway, DatabaseUnfit.
    """
    with open_database(settings) as url:
        migrated = migrate_database(settings, url)
        store = Store.open(url, hung_after_s=None, pooling=migrated.pooling)
        try:
            yield store
        finally:
            store.close()
