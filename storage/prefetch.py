"""A read that is made together with the question of who the caller is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.prepared import PreparedStatement


@dataclass(slots=True)
class Prefetch:
    """A read that runs in the statement that finds the caller: one round trip to the database instead of two.

    Every request starts with the question of who the caller is and which projects they see. For `list` and `view`
    that takes as long as the answer itself, so one statement does both (`build_with_caller` in
    storage/queries/access.py). A verb's `prefetch` returns one of these for the words of a command. The router passes
    it to `Identity.access`, which runs it: the rows of the answer are then in `rows`, and the verb's rule reads them
    from there. Nobody in between looks inside. The rows hold only what the caller may see, and are dropped where the
    caller is refused.

    Some reads have a second statement, `of_all`, for callers who see all projects; `statement` then serves the others.
    """

    statement: PreparedStatement
    parameters: Mapping[str, Any]
    of_all: PreparedStatement | None = None
    rows: list[tuple[Any, ...]] = field(default_factory=list)
