"""Statements that PostgreSQL plans once for each connection instead of at every call.

For the few that stand before every answer, planning costs several times what running them does (the details of
an incident: 1.3 ms against 0.2 ms), and psycopg2 prepares nothing by itself. They also go straight to the driver:
a result that is unpacked at once has no use for SQLAlchemy's.

One plan serves every caller (`plan_cache_mode=force_generic_plan` in `storage.engine`), so these statements are
written to leave the planner one sensible way: an EXISTS that must be looked up, not joined, ends in OFFSET 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg2
from sqlalchemy import Connection

from storage.errors import translate_error

_ARRAYS_OF_NUMBERS = frozenset({"bigint[]", "int[]", "smallint[]"})
_PARAMETER = re.compile(r"%\((\w+)\)s")


class PreparedStatement:
    """One statement, prepared on a connection at its first use there."""

    def __init__(self, sql: str, types: Mapping[str, str]) -> None:
        """`sql` has its parameters as `%(name)s`; `types` gives the PostgreSQL type of each."""
        names = list(dict.fromkeys(_PARAMETER.findall(sql)))
        numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
        # Not "tocsin_", as tokens begin, which are taken out of every log line.
        self.name = "prepared_" + hashlib.sha256(sql.encode()).hexdigest()[:16]
        declared = ", ".join(types[name] for name in names)
        self._prepare = f"PREPARE {self.name} ({declared}) AS {numbered}"
        # Cast, because an array of NULLs has no type of its own.
        given = ", ".join(f"%({name})s::{types[name]}" for name in names)
        self._execute = f"EXECUTE {self.name} ({given})"
        self._arrays = [name for name in names if types[name] in _ARRAYS_OF_NUMBERS]

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Runs the statement; more parameters than it has are no error. Raises DatabaseAway, Contended."""
        known: set[str] = connection.info.setdefault("prepared", set())
        # One literal for an array of numbers: of ARRAY[1, 2, …] the server would make an expression for each.
        given = dict(parameters)
        for name in self._arrays:
            given[name] = "{" + ",".join("NULL" if n is None else str(int(n)) for n in given[name]) + "}"
        driver: Any = connection.connection  # psycopg2's connection, lent by the pool
        try:
            with driver.cursor() as cursor:
                if self.name not in known:
                    cursor.execute(self._prepare)
                    known.add(self.name)
                cursor.execute(self._execute, given)
                found: list[tuple[Any, ...]] = cursor.fetchall()
                return found
        except psycopg2.Error as error:
            if driver.closed:
                connection.invalidate(error)
            raise translate_error(error) or error from error

    def row(self, connection: Connection, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row, if there is one. Raises DatabaseAway, Contended."""
        found = self.rows(connection, parameters)
        return found[0] if found else None
