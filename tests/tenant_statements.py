"""Looks at what handlers send to the database: each statement names the organization of every row."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from storage.prepared import PreparedStatement
from tests.tenant_exceptions import EXCEPTIONS, STILL_UNBOUND
from tests.tenant_references import find_unbound

_ROOT = Path(__file__).resolve().parent.parent
_QUERIES = _ROOT / "storage" / "queries"
_HANDLERS = _ROOT / "bot" / "handlers"
_SEVERAL = re.compile(r"IN \((%\(\w+\)s)(?:, %\(\w+\)s)+\)")  # one value stands for any number


class Watch:
    """The statements of handlers, each by the function that sends it, and what was found."""

    def __init__(self) -> None:
        self.looked_at: set[str] = set()  # names of functions
        self.found: list[str] = []
        self._known: set[tuple[str, str]] = set()

    def look_at(self, statement: str, frame: FrameType) -> None:
        """Adds a statement that a handler sends to `found` if it leaves an organization out without a reason."""
        name = _find_sender(frame)
        shorter = _SEVERAL.sub(r"IN (\1)", statement)
        if name is None or (name, shorter) in self._known:
            return
        self._known.add((name, shorter))
        self.looked_at.add(name)
        unbound = find_unbound(shorter, EXCEPTIONS.get(name, frozenset()))
        if unbound and name not in STILL_UNBOUND:
            self.found.append(f"{name} does not name the organization of {', '.join(unbound)}: {shorter}")


@contextmanager
def watched() -> Iterator[Watch]:
    """Looks at the statements of all handlers while the block runs."""
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
    """The function of `storage.queries` that has a statement sent, as "module.function", if it serves a handler."""
    sender = None
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if sender is None and path.parent == _QUERIES:
            sender = f"{path.stem}.{frame.f_code.co_qualname}"
        if path.parent == _HANDLERS:
            return sender
        frame = frame.f_back
    return None
