"""Records the statements that some work runs, with the CPU of each, and explains them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from sqlalchemy import Connection

from benchmarks import processor_time
from tests.statements import observed


@dataclass
class Recorded:
    """The statements of all threads, ready to be repeated."""

    statements: list[str] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # that the backend used for each


@contextmanager
def recorded(url: str) -> Iterator[Recorded]:
    """Records while the block runs, but not what background threads do. `url` is the database's, for psycopg2."""
    found = Recorded()
    with closing(psycopg2.connect(url)) as quoting:

        def keep(connection: Connection, sql: str, parameters: Any, begun_ms: float) -> None:
            cpu_ms = _read_cpu(connection) - begun_ms
            name = threading.current_thread().name
            if not name.startswith(("delivery", "calls", "digest", "heartbeat", "retention")):
                with quoting.cursor() as cursor:
                    found.statements.append(cursor.mogrify(sql, parameters).decode())
                    found.cpu_ms.append(cpu_ms)

        with observed(lambda connection, _: _read_cpu(connection), keep):
            yield found


def _read_cpu(connection: Connection) -> float:
    driver: Any = connection.connection
    return processor_time.of_backend(driver.get_backend_pid())


def explain(url: str, statements: list[str]) -> tuple[int, int, float]:
    """How many of the statements can be explained, how many pages they touch, and how many milliseconds they run."""
    pages, ran_ms, count = 0, 0.0, 0
    with closing(psycopg2.connect(url)) as connection:
        for statement in statements:
            if not statement.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
                continue
            with connection.cursor() as cursor:
                try:
                    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.rstrip('; ')}")
                    [(found,)] = cursor.fetchall()
                except psycopg2.Error:
                    continue  # it was true once, such as an INSERT of the same key
                finally:
                    connection.rollback()
            plan = found[0]["Plan"]
            pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            ran_ms += found[0]["Execution Time"]
            count += 1
    return count, pages, ran_ms
