"""Statements that PostgreSQL plans once for each connection instead of at every call.

Use them for every statement that is repeated: for requests, changes, alerts, messages, and looks at what is due.
Planning takes several times as long as running them (1.3 ms and 0.2 ms for the details of an incident), and psycopg2
does not prepare statements itself. They also bypass SQLAlchemy: its result objects are of no use when the rows are
unpacked at once.

Behind a pooler in transaction mode, they are sent unprepared: the next transaction may run in another session.

One plan serves every caller (`plan_cache_mode=force_generic_plan` in `storage.engine`). So these statements are
written to leave the planner one sensible plan: an EXISTS that must be looked up, not joined, ends in OFFSET 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg2
from pydantic_core import to_json
from sqlalchemy import Connection

from storage.errors import translate_error
from storage.session_settings import keeps_session

_ARRAYS_OF_NUMBERS = frozenset({"bigint[]", "int[]", "smallint[]"})
_PARAMETER = re.compile(r"%\((\w+)\)s")
_PARAMETER_OR_PERCENT = re.compile(r"%\((\w+)\)s|%")
_CAST = re.compile(r"%\((\w+)\)s::(\w+(?:\[\])?)")


class PreparedStatement:
    """A statement that is prepared on each connection at its first use there."""

    def __init__(self, sql: str, types: Mapping[str, str] | None = None) -> None:
        """`sql` marks its parameters as `%(name)s`; `types` maps each name to its PostgreSQL type.

        The type of a parameter that `types` leaves out is that of its first cast in `sql`, as in `%(ids)s::bigint[]`.
        """
        self.sql = sql
        names = list(dict.fromkeys(_PARAMETER.findall(sql)))
        types = {**dict(reversed(_CAST.findall(sql))), **(types or {})}
        numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
        # Not "tocsin_": tokens begin with it, and are removed from every log line.
        self.name = "prepared_" + hashlib.sha256(sql.encode()).hexdigest()[:16]
        declared = ", ".join(types[name] for name in names)
        self._prepare = f"PREPARE {self.name} {f'({declared}) ' if names else ''}AS {numbered}"
        # The cast is needed because an array of NULLs has no type of its own.
        given = ", ".join(f"%({name})s::{types[name]}" for name in names)
        self._execute = f"EXECUTE {self.name} ({given})" if names else f"EXECUTE {self.name}"
        self._unprepared = _PARAMETER_OR_PERCENT.sub(
            lambda found: f"{found[0]}::{types[found[1]]}" if found[1] else "%%", sql
        )
        self._arrays = [name for name in names if types[name] in _ARRAYS_OF_NUMBERS]

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Runs the statement and returns all rows. Ignores extra parameters. Raises DatabaseAway, Contended."""
        return self._run(connection, parameters)[0]

    def row(self, connection: Connection, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Runs the statement and returns the first row, or None. Raises DatabaseAway, Contended."""
        found = self.rows(connection, parameters)
        return found[0] if found else None

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Runs the statement and returns how many rows it changed. Raises DatabaseAway, Contended."""
        return self._run(connection, parameters)[1]

    def defer(self, connection: Connection, parameters: Mapping[str, Any]) -> None:
        """Runs the statement in the message of the next one of the transaction, or in that of COMMIT.

        Nobody learns its result, and an error is raised there. The transaction must be one of `Store.write`.
        """
        self._run(connection, parameters, deferred=True)

    def _run(
        self, connection: Connection, parameters: Mapping[str, Any], *, deferred: bool = False
    ) -> tuple[list[tuple[Any, ...]], int]:
        known: set[str] = connection.info.setdefault("prepared", set())
        # Pass an array of numbers as one literal: for ARRAY[1, 2, …] the server builds one expression a number.
        given = dict(parameters)
        for name in self._arrays:
            if given[name] is not None:
                # As JSON but for the brackets; the projects that a manager sees are hundreds of numbers.
                given[name] = f"{{{to_json(list(given[name])).decode()[1:-1]}}}"
        driver: Any = connection.connection  # psycopg2's connection, behind the pool's proxy
        try:
            with driver.cursor() as cursor:
                query = self._execute
                if not keeps_session(cursor):
                    query = self._unprepared
                elif self.name not in known:
                    cursor.execute(self._prepare)
                    known.add(self.name)
                if deferred:
                    cursor.connection.defer(cursor.mogrify(query, given))
                    return [], 0
                cursor.execute(query, given)
                # An UPDATE without RETURNING has no rows to fetch.
                found: list[tuple[Any, ...]] = [] if cursor.description is None else cursor.fetchall()
                return found, cursor.rowcount
        except psycopg2.Error as error:
            if driver.closed:
                connection.invalidate(error)
            raise translate_error(error) or error from error
