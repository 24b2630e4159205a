"""Looks at what the bot sends to the database: each statement names the organization of every row."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

import storage.queries
from storage.prepared import PreparedStatement
from tests.tenant_exceptions import EXCEPTIONS
from tests.tenant_references import find_unbound

_QUERIES = Path(storage.queries.__path__[0])
_SEVERAL = re.compile(r"IN \((%\(\w+\)s)(?:, %\(\w+\)s)+\)")  # one value stands for any number


def list_prepared() -> Iterator[tuple[str, PreparedStatement]]:
    """The prepared statements that modules of `storage.queries` have, each by one name."""
    known: set[int] = set()
    for module in pkgutil.iter_modules(storage.queries.__path__):
        for name, value in vars(importlib.import_module(f"storage.queries.{module.name}")).items():
            if isinstance(value, PreparedStatement) and id(value) not in known:
                known.add(id(value))
                yield f"{module.name}.{name}", value


class Watch:
    """The statements of `storage.queries`, each by its own name or that of its function, and what was found."""

    def __init__(self) -> None:
        self.looked_at: set[str] = set()  # names of functions
        self.found: list[str] = []
        self._known: set[tuple[str, str]] = set()
        self._prepared = {one.sql: name for name, one in list_prepared()}

    def look_at(self, statement: str, frame: FrameType) -> None:
        """Adds a statement to `found` if it leaves an organization out without a reason."""
        sender = _find_sender(frame)
        shorter = _SEVERAL.sub(r"IN (\1)", statement)
        if sender is None or (sender, shorter) in self._known:
            return
        self._known.add((sender, shorter))
        self.looked_at.add(sender)
        name = self._prepared.get(statement, sender)
        if unbound := find_unbound(shorter, EXCEPTIONS.get(name, frozenset())):
            self.found.append(f"{name} does not name the organization of {', '.join(unbound)}: {shorter}")


@contextmanager
def watched() -> Iterator[Watch]:
    """Looks at the statements of all threads while the block runs."""
    watch = Watch()
    run = PreparedStatement._run

    def prepared(
        self: PreparedStatement, connection: Connection, parameters: Mapping[str, Any], **named: bool
    ) -> tuple[list[tuple[Any, ...]], int]:
        watch.look_at(self.sql, sys._getframe(1))
        return run(self, connection, parameters, **named)

    def sent(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        watch.look_at(statement, sys._getframe(1))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PreparedStatement, "_run", prepared)
        event.listen(Engine, "before_cursor_execute", sent)
        try:
            yield watch
        finally:
            event.remove(Engine, "before_cursor_execute", sent)


def _find_sender(frame: FrameType | None) -> str | None:
    """The function of `storage.queries` that has a statement sent, as "module.function"."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.parent == _QUERIES:
            return f"{path.stem}.{frame.f_code.co_qualname.partition('.<locals>')[0]}"
        frame = frame.f_back
    return None
