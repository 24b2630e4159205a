"""A cell that hangs keeps nothing from the others, and nothing is started while the process stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

import pytest
from sqlalchemy import Connection, text

from bot.backlog import BacklogCollector
from bot.cells import directory
from bot.cells import serving as cell_serving
from bot.cells.directory import CellAway, CellDirectory
from bot.cells.serving import OtherCells
from bot.settings import Settings
from storage.engine import Store
from storage.errors import DatabaseAway
from storage.queries import cells as queries
from storage.queries.cells import Held
from tests.cells.test_moving_refused import Databases, databases
from tests.patience import PATIENCE_S

__all__ = ["databases"]


class Hanging:
    """A database that answers nothing until it is released."""

    def __init__(self) -> None:
        self.asked = 0
        self.released = threading.Event()

    def read(self) -> AbstractContextManager[Connection]:
        self.asked += 1
        self.released.wait(PATIENCE_S)
        raise DatabaseAway("released")


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.released.set()


def test_a_cell_that_has_something_is_found_while_another_one_hangs(
    databases: Databases, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = CellDirectory({"two": cast("Store", hanging), "default": databases.first})
    monkeypatch.setattr(directory, "ASKED_FOR_S", PATIENCE_S)
    assert found.find_cell_of_workspace("T0001") == "default"
    assert not hanging.released.is_set()
    monkeypatch.setattr(directory, "ASKED_FOR_S", 0.05)
    monkeypatch.setattr(directory, "AWAY_S", 10 * PATIENCE_S)
    with pytest.raises(CellAway):
        found.find_cell_of_token("nobody's")
    asked = hanging.asked
    with pytest.raises(CellAway):
        found.find_cell_of_token("nobody's either")
    assert hanging.asked == asked, "it is not asked again for a while"
    assert found.find_known_cell_of_token("nobody's") is None
    found.close()


def test_a_workspace_that_was_disconnected_is_in_no_cell(databases: Databases) -> None:
    with databases.first.write() as tx:
        assert queries.find_workspace(tx, "T0001") is Held.YES
        assert queries.is_connected(tx, "T0001")
        tx.execute(text("UPDATE workspace SET date_disconnected = now()"))
        assert queries.find_workspace(tx, "T0001") is Held.NO
        assert not queries.is_connected(tx, "T0001")


def test_cells_that_hang_are_named_by_readyz(
    databases: Databases, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = databases.two.url.render_as_string(hide_password=False)
    monkeypatch.setenv("TOCSIN_CELLS", f"two={url} three={url}&application_name=three")
    monkeypatch.setattr(cell_serving, "CHECKED_WITHIN_S", 0.05)
    asked: list[str] = []

    def check(_cells: OtherCells, name: str) -> str:
        asked.append(name)
        hanging.released.wait(PATIENCE_S)
        return "ok"

    monkeypatch.setattr(OtherCells, "_check", check)
    cells = OtherCells(Settings.load(), databases.first, "all")
    late = "does not answer in time"
    assert cells.check() == cells.check() == {"two": late, "three": late}
    assert sorted(asked) == ["three", "two"], "a question that hangs is not asked twice"
    hanging.released.set()
    cells.close()


def test_a_cell_that_is_reached_while_the_process_stops_is_not_started(
    databases: Databases, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    class Bot:
        def start(self) -> None:
            started.append("a bot")

    def open_slowly(name: str, _url: Any, stores: dict[str, Any]) -> Store:
        hanging.released.wait(PATIENCE_S)
        stores[name] = Store.open(databases.two.url)
        return cast("Store", stores[name])

    monkeypatch.setattr(cell_serving, "open_cell", open_slowly)
    cells = OtherCells(Settings.load(), databases.first, "all")
    backlog = BacklogCollector(databases.first, list)
    cells.start(lambda _name, _store: cast("Any", Bot()), backlog)
    cells.begin_stop()
    hanging.released.set()
    cells.stop(PATIENCE_S)
    cells.close()
    assert started == []
    assert [thread.name for thread in threading.enumerate() if thread.name == "cell-two"] == []
