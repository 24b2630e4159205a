"""Finds the cell of a workspace and of an intake token.

The cells themselves say what they hold, so there is no table that could differ from them, and no cell that the others
need. An answer is kept for a few seconds. When it has aged, only the cell that gave it is asked again; while that cell
is away, the answer goes on being used, and the cell itself answers that its database is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import structlog

from bot.settings_checks import DEFAULT_CELL
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import cells as queries
from storage.queries.cells import Held

log = structlog.get_logger(__name__)

# The cell of DATABASE_URL. What is in no cell is its business.
DEFAULT = DEFAULT_CELL
# How long an answer is used without asking again: a move is noticed within that.
CACHED_S = 5.0
# A cell that did not answer is not asked again for so long, so that requests do not wait for it one after the other.
AWAY_S = 2.0
_MAX_CACHED = 50_000
_ASKED_AT_ONCE = 16  # cells

Key = tuple[str, str | int]  # what it is, and its id


class CellAway(DatabaseAway):
    """Nobody can tell where something is, because a cell that may have it does not answer."""


class Directory(Protocol):
    """Knows which cell has a workspace or a token, by the cell's name. Both methods raise CellAway."""

    def find_cell_of_workspace(self, workspace_id: str) -> str: ...

    def find_cell_of_token(self, token: str | int) -> str: ...


class CellDirectory:
    """The directory of several databases. Thread-safe."""

    def __init__(self, stores: Mapping[str, Store | None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """`stores` has the databases by the names of their cells, the default cell's too; None: not reached yet."""
        self._stores = stores
        self._monotonic = monotonic
        self._cached: dict[Key, tuple[str, float]] = {}  # the cell, and until when that needs no question
        self._away_until: dict[str, float] = {}
        self._lock = threading.Lock()
        self._asking = ThreadPoolExecutor(_ASKED_AT_ONCE, "directory")

    def find_cell_of_workspace(self, workspace_id: str) -> str:
        """The cell of a workspace or an Enterprise organization; the default cell if none has it. Raises CellAway."""
        return self.find_holder_of_workspace(workspace_id) or DEFAULT

    def find_holder_of_workspace(self, workspace_id: str) -> str | None:
        """The cell of a workspace or an Enterprise organization; None if no cell has it. Raises CellAway."""
        return self._find(("workspace", workspace_id))

    def find_cell_of_token(self, token: str | int) -> str:
        """The cell of an intake token, by its hash or id; the default cell if none has it. Raises CellAway."""
        return self._find(("token", token)) or DEFAULT

    def close(self) -> None:
        """Asks nothing any more."""
        self._asking.shutdown(wait=False, cancel_futures=True)

    def _find(self, key: Key) -> str | None:
        cell, until = self._cached.get(key, ("", 0.0))
        if until > self._monotonic():
            return cell
        if cell:
            held = self._ask(cell, key)
            if held in (None, Held.YES):
                return self._remember(key, cell)
        return self._search(key)

    def _search(self, key: Key) -> str | None:
        """Asks all cells at once."""
        names = list(self._stores)
        answers = dict(zip(names, self._asking.map(lambda name: self._ask(name, key), names), strict=True))
        having = [name for name, held in answers.items() if held is Held.YES]
        if not having:
            having = [name for name, held in answers.items() if held is Held.LEAVING]
        if len(having) > 1:
            log.error("several cells have the same; the first one counts", what=key[0], cells=having)
        if having:
            return self._remember(key, having[0])
        if away := [name for name, held in answers.items() if held is None]:
            raise CellAway(f"the cell {', '.join(away)} does not answer")
        return None  # not cached: it may be added anywhere at any time

    def _remember(self, key: Key, cell: str) -> str:
        with self._lock:
            self._cached.pop(key, None)
            self._cached[key] = (cell, self._monotonic() + CACHED_S)
            if len(self._cached) > _MAX_CACHED:
                del self._cached[next(iter(self._cached))]
        return cell

    def _ask(self, cell: str, key: Key) -> Held | None:
        """Whether a cell has something; None while it does not answer."""
        store = self._stores[cell]
        if store is None or self._away_until.get(cell, 0.0) > self._monotonic():
            return None
        try:
            with store.read() as connection:
                kind, id_ = key
                if kind == "workspace":
                    return queries.find_workspace(connection, str(id_))
                return queries.find_token(connection, id_)
        except (DatabaseAway, Contended) as error:
            log.warning("a cell does not answer", cell=cell, error=str(error.__cause__ or error))
            self._away_until[cell] = self._monotonic() + AWAY_S
            return None
