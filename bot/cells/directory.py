"""Finds the cell of a workspace and of an intake token.

The cells themselves say what they hold, so there is no table that could differ from them, and no cell that the others
need. An answer is kept for a few seconds. When it has aged, only the cell that gave it is asked again; while that cell
is away, the answer goes on being used, and the cell itself answers that its database is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Protocol

import structlog

from bot.settings_checks import DEFAULT_CELL
from storage.engine import Store
from storage.errors import Contended, DatabaseAway, DatabaseUnfit
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
# A cell that has not answered within that is away. Slack waits three seconds, for the answer too.
ASKED_FOR_S = 1.5
_ASKED_AT_ONCE = 4  # questions for one cell, so that one that hangs takes no thread from the others

Key = tuple[str, str | int]  # what it is, and its id


class CellAway(DatabaseAway):
    """The database of a cell does not answer, so nobody can tell what it has."""


class CellUnfit(DatabaseUnfit):
    """The database of a cell is not set up for the bot. The text names the cell, and says how to fix it."""


class Directory(Protocol):
    """Knows which cell has a workspace or a token, by the cell's name. Those that ask raise CellAway."""

    def find_cell_of_workspace(self, workspace_id: str) -> str: ...

    def find_cell_of_token(self, token: str | int) -> str: ...

    def find_known_cell_of_token(self, token: str | int) -> str | None: ...


class CellDirectory:
    """The directory of several databases. Thread-safe."""

    def __init__(self, stores: Mapping[str, Store | None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """`stores` has the databases by the names of their cells, the default cell's too; None: not reached yet."""
        self._stores = stores
        self._monotonic = monotonic
        self._cached: dict[Key, tuple[str, float]] = {}  # the cell, and until when that needs no question
        self._away_until: dict[str, float] = {}
        self._lock = threading.Lock()
        self._asking = {name: ThreadPoolExecutor(_ASKED_AT_ONCE, f"directory-{name}") for name in stores}

    def find_cell_of_workspace(self, workspace_id: str) -> str:
        """The cell of a workspace or an Enterprise organization; the default cell if none has it. Raises CellAway."""
        return self.find_holder_of_workspace(workspace_id) or DEFAULT

    def find_holder_of_workspace(self, workspace_id: str) -> str | None:
        """The cell of a workspace or an Enterprise organization; None if no cell has it. Raises CellAway."""
        return self._find(("workspace", workspace_id))

    def find_cell_of_token(self, token: str | int) -> str:
        """The cell of an intake token, by its hash or id; the default cell if none has it. Raises CellAway."""
        return self._find(("token", token)) or DEFAULT

    def find_known_cell_of_token(self, token: str | int) -> str | None:
        """The cell of a token whose answer needs no question; None if a cell has to be asked."""
        cell, until = self._cached.get(("token", token), ("", 0.0))
        return cell if until > self._monotonic() else None

    def close(self) -> None:
        """Asks nothing any more."""
        for asking in self._asking.values():
            asking.shutdown(wait=False, cancel_futures=True)

    def _find(self, key: Key) -> str | None:
        cell, until = self._cached.get(key, ("", 0.0))
        if until > self._monotonic():
            return cell
        if cell:
            held = self._ask_all([cell], key)[cell]
            if held in (None, Held.YES):
                return self._remember(key, cell)
        return self._search(key)

    def _search(self, key: Key) -> str | None:
        """Asks all cells at once. The first one that has it counts, whatever becomes of the others."""
        answers = self._ask_all(list(self._stores), key)
        for wanted in (Held.YES, Held.LEAVING):
            for name, held in answers.items():
                if held is wanted:
                    return self._remember(key, name)
        if away := [name for name, held in answers.items() if held is None]:
            raise CellAway(f"the cell {', '.join(away)} does not answer")
        return None  # not cached: it may be added anywhere at any time

    def _ask_all(self, cells: Sequence[str], key: Key) -> dict[str, Held | None]:
        """The answers of cells until one has it; None of a cell that has not answered by then."""
        answers: dict[str, Held | None] = dict.fromkeys(cells)
        asked: dict[Future[Held | None], str] = {}
        for cell in cells:
            if self._may_ask(cell):
                asked[self._asking[cell].submit(self._ask, cell, key)] = cell
        try:
            for future in as_completed(asked, ASKED_FOR_S):
                answers[asked.pop(future)] = held = future.result()
                if held is Held.YES:
                    return answers
        except TimeoutError:
            for future, cell in asked.items():
                future.cancel()
                self._set_away(cell, "no answer in time")
        return answers

    def _may_ask(self, cell: str) -> bool:
        """After a failure, one question in a while finds out whether a cell answers again."""
        with self._lock:
            until = self._away_until.get(cell)
            if self._stores[cell] is None or (until is not None and until > self._monotonic()):
                return False
            if until is not None:
                self._away_until[cell] = self._monotonic() + AWAY_S
            return True

    def _set_away(self, cell: str, error: str) -> None:
        log.warning("a cell does not answer", cell=cell, error=error)
        with self._lock:
            self._away_until[cell] = self._monotonic() + AWAY_S

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
        assert store is not None
        try:
            with store.read() as connection:
                kind, id_ = key
                if kind == "workspace":
                    held = queries.find_workspace(connection, str(id_))
                else:
                    held = queries.find_token(connection, id_)
        except (DatabaseAway, Contended) as error:
            self._set_away(cell, str(error.__cause__ or error))
            return None
        with self._lock:
            self._away_until.pop(cell, None)
        return held
