"""How the program is loaded: without collecting garbage, which it does again from then on."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from bot import loading
from bot.cli import main
from bot.loading import begin_loading, load


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether garbage was collected each time that what is loaded was exempted. Nothing of the tests' is."""
    seen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: seen.append(gc.isenabled()))
    yield seen
    gc.enable()


def test_a_command_collects_garbage_once_it_is_loaded(frozen: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
    begin_loading()
    assert not gc.isenabled()
    assert main(["--version"]) == 0
    assert gc.isenabled()
    assert frozen == [False], "what is loaded is exempted before it is looked at"
    assert main(["--version"]) == 0
    assert frozen == [False], "a second command of the same process exempts nothing"
    assert capsys.readouterr().out.count("Tocsin") == 2


def test_serve_loads_the_rest_without_collecting(frozen: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    while_loading = []
    monkeypatch.setattr(loading, "import_module", lambda name: while_loading.append((name, gc.isenabled())))
    load("bot.serving")
    assert while_loading == [("bot.serving", False)]
    assert gc.isenabled()
    assert frozen == [False]


def test_garbage_is_collected_after_a_module_could_not_be_loaded() -> None:
    with pytest.raises(ModuleNotFoundError):
        load("bot.no_such_module")
    assert gc.isenabled()
