"""How long the migrations of a large database take, and each of their locks: `python -m benchmarks.migrating`.

A database as it was before the organization came into every table is filled as in `benchmarks.scale` and migrated. A
statement that sets `lock_timeout` holds its table for as long as it takes; others use the table beside all other
statements. `--folder` is where the database is made; it has to be empty.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from benchmarks.scale import TABLES, fill
from storage.embedded import EmbeddedPostgres, as_superuser
from storage.engine import create_pool, translate_errors
from storage.errors import Contended
from storage.migrate import _LOCK_RETRY_S, _config, migrate
from tests.statements import observed

BEFORE = "retention02"  # the last revision without the organization in every table


def main() -> None:
    """Fills a database, migrates it, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the database is made (a temporary folder)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, EmbeddedPostgres(chosen.folder or Path(scratch) / "db") as url:
        engine = create_pool(url, statement_timeout_ms=0)
        admin = create_pool(as_superuser(url), statement_timeout_ms=0)
        _upgrade(engine, BEFORE)
        with admin.connect() as connection:
            fill(connection, chosen.incidents, before_tenant_columns=True)
            for table in TABLES:
                connection.exec_driver_sql(f"ALTER TABLE {table} SET LOGGED")
        admin.dispose()
        print(f"{chosen.incidents:,} incidents; load {os.getloadavg()[0]:.1f}", flush=True)
        print("| migration | s | locks | longest lock ms | longest other s | which |\n|---|---:|---:|---:|---:|---|")
        for script in _list_scripts():
            with _timed() as statements:
                began = monotonic()
                _upgrade(engine, script.revision)
                took = monotonic() - began
            _show(Path(script.path).stem, took, statements)
        assert migrate(url)[0] == migrate(url)[1], "nothing is left to migrate"
        print(f"\nload {os.getloadavg()[0]:.1f}")
        engine.dispose()


def _list_scripts() -> list[Any]:
    """The migrations after `BEFORE`, in their order."""
    return list(ScriptDirectory.from_config(_config()).walk_revisions(BEFORE, "head"))[-2::-1]


def _upgrade(engine: Engine, revision: str) -> None:
    """As `storage.migrate` does: where a table is in use, such as by autovacuum, it tries again."""
    while True:
        try:
            with translate_errors(), engine.connect() as connection:
                command.upgrade(_config(connection), revision)
                connection.commit()
            return
        except Contended:
            sleep(_LOCK_RETRY_S)


@contextmanager
def _timed() -> Iterator[list[tuple[float, str]]]:
    """Collects the statements that run in the block, with their seconds."""
    found: list[tuple[float, str]] = []

    def end(_connection: Connection, statement: str, _parameters: Any, begun: float) -> None:
        found.append((monotonic() - begun, " ".join(statement.split())))

    with observed(lambda *_: monotonic(), end):
        yield found


def _show(name: str, took: float, statements: list[tuple[float, str]]) -> None:
    locks = [one for one in statements if "lock_timeout" in one[1]]
    others = [one for one in statements if "lock_timeout" not in one[1]]
    held = max(locks, default=(0.0, ""))
    longest = max(others, default=(0.0, ""))
    print(
        f"| {name} | {took:.1f} | {len(locks)} | {held[0] * 1000:.0f} | {longest[0]:.2f} | {longest[1][:90]} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
