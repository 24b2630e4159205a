"""The whole suite runs at another date each time, and no test can know it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from sandbox import Sandbox
from storage.engine import Store
from storage.models import Organization, Workspace
from tests.clock import DAYS_AHEAD, ahead, choose_date

TESTS = Path(__file__).parents[1]
NEAR = timedelta(hours=1)  # a date that was lost is days away
ASKS_THE_MACHINE = {
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *("time.time", "time.time_ns", "time.gmtime", "time.localtime", "time.ctime"),
}
# A process that plays a machine whose clock is wrong.
PLAYS_A_MACHINE = TESTS / "slack" / "patient_serve.py"


def test_the_database_and_the_workspace_are_at_the_date_of_the_run(store: Store) -> None:
    with store.write() as tx:
        organization = tx.scalars(
            insert(Organization).values(slug="acme", name="Acme").returning(Organization.id)
        ).one()
        tx.execute(insert(Workspace).values(id="T0001", organization_id=organization))
        for name in ("now", "clock_timestamp"):
            moved = tx.exec_driver_sql(f"SELECT {name}() - pg_catalog.{name}()").scalar_one()
            assert abs(moved - ahead()) < NEAR, name
        added = tx.scalars(select(Workspace.date_added)).one()
        assert added == tx.exec_driver_sql("SELECT now()").scalar_one(), "the default of a column"
    with Sandbox() as slack:
        assert abs(slack.clock.utc() - store.clock.now()) < NEAR
    assert abs(added - store.clock.now()) < NEAR


def test_a_date_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DAYS_AHEAD, "tomorrow")
    with pytest.raises(pytest.UsageError, match="should be a number of days"):
        choose_date()


def calls_of_the_machines_clock(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of each call in a module that tells the machine's date, whatever it was imported as."""
    tree = ast.parse(source)
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.asname or one.name: one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, _, rest = ast.unparse(node.func).partition(".")
            called = ".".join(filter(None, (imported.get(first, first), rest)))
            if called in ASKS_THE_MACHINE:
                yield node.lineno, called


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndatetime.now(UTC)",
        "import datetime as dt\ndt.date.today()",
        "import time\nx = time.time()",
        "from time import time as seconds\nseconds()",
    ],
)
def test_a_call_of_the_machines_clock_is_found(source: str) -> None:
    assert [line for line, _ in calls_of_the_machines_clock(source)] == [2]


def test_the_monotonic_clock_and_the_stores_are_none() -> None:
    source = "import time\ntime.monotonic()\nstore.clock.now()\nmonkeypatch.setattr(time, 'time', lambda: 0.0)"
    assert list(calls_of_the_machines_clock(source)) == []


def test_no_test_asks_the_machine_for_the_date() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line} calls {name}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != PLAYS_A_MACHINE
        for line, name in calls_of_the_machines_clock(path.read_text(encoding="utf-8"))
    ]
    assert found == []
