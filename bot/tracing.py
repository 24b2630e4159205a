"""Spans of what the bot does, for traces. Nothing is recorded unless `bot/trace_export.py` has set a recorder.

Names and attributes are values of the program: names of commands, ids, counts, results. What people and alerts wrote,
and secrets, are none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self

# What a span is of, as OpenTelemetry has it: a request that arrived, a call to another server, anything else.
SERVER, CLIENT, INTERNAL = "SERVER", "CLIENT", "INTERNAL"

Value = str | int | float | bool


class Span(Protocol):
    """A span that has begun."""

    def set(self, **attributes: Value) -> None:
        """Adds attributes."""

    def fail(self, reason: str) -> None:
        """Marks what the span is of as failed. `reason` is a code."""


class Recorder(Protocol):
    """Records spans."""

    def span(
        self,
        name: str,
        kind: str,
        began_ns: int | None,
        parents: tuple[Any, ...],
        links: Iterable[str | None],
        attributes: dict[str, Value],
    ) -> AbstractContextManager[Span]: ...

    def get_current(self) -> Any: ...

    def get_traceparent(self) -> str | None: ...

    def annotate(self, attributes: dict[str, Value]) -> None: ...


class _NoSpan:
    """The span of everything while nothing is recorded."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def set(self, **attributes: Value) -> None:
        """Does nothing."""

    def fail(self, reason: str) -> None:
        """Does nothing."""


_NO_SPAN = _NoSpan()
_recorder: Recorder | None = None


def set_recorder(recorder: Recorder | None) -> None:
    """Has `recorder` record spans from now on; None: nothing is recorded."""
    global _recorder
    _recorder = recorder


def is_on() -> bool:
    """Whether anything is recorded."""
    return _recorder is not None


def span(
    name: str,
    kind: str = INTERNAL,
    *,
    began_ns: int | None = None,
    parents: tuple[Any, ...] = (),
    links: Iterable[str | None] = (),
    **attributes: Value,
) -> AbstractContextManager[Span]:
    """A span of the block. An exception that leaves the block is recorded by its class.

    `began_ns` is when it began, in nanoseconds since the epoch, if not now. It belongs to the span around it, or to the
    first of `parents`, which come from `get_current`; to the others it has links. So it has to `links`, which come from
    `get_traceparent`, maybe of another process.
    """
    return _NO_SPAN if _recorder is None else _recorder.span(name, kind, began_ns, parents, links, attributes)


def get_current() -> Any:
    """The span around the caller, for `parents` of another thread's; None if there is none."""
    return None if _recorder is None else _recorder.get_current()


def get_traceparent() -> str | None:
    """The span around the caller, as W3C's header `traceparent` has it; None if there is none."""
    return None if _recorder is None else _recorder.get_traceparent()


def annotate(**attributes: Value) -> None:
    """Adds attributes to the span around the caller."""
    if _recorder is not None:
        _recorder.annotate(attributes)
