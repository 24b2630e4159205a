"""The date of the whole suite, which is another one in each run, and the time of a test that stands where it is put.

No test can know the date: the database and the workspace, where everything else has the time from, are so many days
ahead of the machine. Whatever uses both in one test is at one date.
"""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta

import pytest
from sqlalchemy import URL, create_engine

from sandbox.clock import Clock as WorkspaceClock
from storage.clock import Clock
from storage.engine import Store
from storage.url import normalise_url

DAYS_AHEAD = "TOCSIN_TESTS_DAYS_AHEAD"
MOST_DAYS = 800

_SHADOW = """
CREATE FUNCTION public.{name}() RETURNS timestamptz LANGUAGE sql {volatility}
AS $$ SELECT pg_catalog.{name}() + {ahead} $$
"""
_SHADOWED = {"now": "STABLE", "clock_timestamp": "VOLATILE"}


def choose_date() -> None:
    """Moves this run to a date by chance, or to the one that DAYS_AHEAD says; the workers of xdist inherit it."""
    days = os.environ.setdefault(DAYS_AHEAD, str(random.randint(0, MOST_DAYS)))
    if not (days.isascii() and days.isdecimal()):
        raise pytest.UsageError(f"{DAYS_AHEAD} is {days!r} and should be a number of days")
    WorkspaceClock.base_s = ahead().total_seconds()


def ahead() -> timedelta:
    """By how much this run is ahead of the machine's clock."""
    return timedelta(days=int(os.environ[DAYS_AHEAD]))


def seconds_ahead() -> str:
    """The same as an interval in SQL, without days, whose length depends on the zone."""
    return f"interval '{ahead().total_seconds():.0f} s'"


def shadow_database_time(url: str | URL, ahead_sql: str | None = None) -> None:
    """Moves the time of an empty database to the date of this run, or by the interval that `ahead_sql` gives.

    `now()` and `clock_timestamp()` are functions of ours there, also in the defaults of columns that are made later.
    """
    engine = create_engine(normalise_url(url) if isinstance(url, str) else url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name, volatility in _SHADOWED.items():
            shadow = _SHADOW.format(name=name, volatility=volatility, ahead=ahead_sql or seconds_ahead())
            connection.exec_driver_sql(shadow)
    engine.dispose()
    find_shadows_first(url)


def find_shadows_first(url: str | URL) -> None:
    """Has new sessions find our functions before the catalogue's. A database does not get this from its template."""
    engine = create_engine(normalise_url(url) if isinstance(url, str) else url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{engine.url.database}" SET search_path = public, pg_catalog')
    engine.dispose()


def store_at_the_machines_date(url: str) -> Store:
    """A store for a test with a program that has the time from the machine: Alertmanager, or our own `send-test`."""
    store = Store.open(url)
    store.clock.offset = -ahead()
    return store


class FixedClock(Clock):
    """Stands still. It is moved like the real one, by its `offset`."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self._at = at

    def now(self) -> datetime:
        """Where the test has put it."""
        return self._at + self.offset
