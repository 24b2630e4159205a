"""A read that runs in the same statement as the look-up of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.prepared import PreparedStatement


@dataclass(slots=True)
class Prefetch:
    """A read that runs in the statement that finds the caller: one round trip to the database instead of two.

    Every request first finds out who the caller is and which projects they see. For `list` and `view` that takes as
    long as the read itself, so one statement does both (`build_with_caller` in storage/queries/access.py). A verb's
    `prefetch` returns a Prefetch for the words of a command. The router passes it to `Identity.access`, which runs it
    and puts the result in `rows`. The verb's rule reads them from there; no code in between uses them. The rows
    contain only what the caller may see, and are discarded if the caller is refused.

    Some reads have a second statement, `of_all`, for callers who see all projects; `statement` then serves the others.
    """

    statement: PreparedStatement
    parameters: Mapping[str, Any]
    of_all: PreparedStatement | None = None
    rows: list[tuple[Any, ...]] = field(default_factory=list)
