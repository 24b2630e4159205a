"""Which environment a command gets, without building one: what is run is put down instead of being run."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot import environment
from bot.environment import (
    CHECK_PINS,
    RESTARTED,
    RUNTIME_PINS,
    STAMP,
    TEST_PINS,
    Environment,
    NoEnvironmentError,
    find_error_line,
    find_interpreter,
    run_command,
)
from tests.patience import PATIENCE_S


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What would have taken this process's place, in a checkout without an environment."""
    started: list[list[str]] = []

    def execv(_program: str, command: Sequence[str]) -> None:
        started.append([str(part) for part in command])
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(os, "chdir", lambda _folder: None)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "2")
    monkeypatch.delenv(RESTARTED, raising=False)
    for pins in (RUNTIME_PINS, TEST_PINS, CHECK_PINS):
        (tmp_path / pins).write_text(pins)
    return started


def lacking(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    monkeypatch.setattr(environment, "missing_modules", lambda _pins: list(modules))


def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int | None]]:
    """The programs that building runs, all of which succeed."""
    ran: list[tuple[list[str], int | None]] = []

    def run(command: list[str], lock: int | None) -> tuple[int, str]:
        ran.append((command, lock))
        if "venv" in command:
            python = Path(command[-1], "bin/python")
            python.parent.mkdir(parents=True)
            python.touch()
        return 0, ""

    monkeypatch.setattr(environment, "run", run)
    return ran


def test_tests_run_where_the_packages_are(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch)
    with pytest.raises(SystemExit):
        run_command(["test", "tests/door"])
    assert commands == [[sys.executable, "-m", "pytest", *environment.IN_PARALLEL, "tests/door"]]


def test_an_environment_is_made_once_and_then_used(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking(monkeypatch, "yaml")
    ran = made(monkeypatch)
    python = str(tmp_path / ".venv/bin/python")
    for _ in range(2):
        with pytest.raises(SystemExit):
            run_command(["serve", "--role", "web"])
        assert commands.pop() == [python, str(tmp_path / "run_bot.py"), "serve", "--role", "web"]
        assert os.environ.pop(RESTARTED) == "1"
    used = ["venv", "pip", "pip", "compileall"]
    assert [command[1:3] for command, _ in ran] == [["-m", module] for module in used]
    assert ran[-1][0][-3:] == [str(tmp_path / folder) for folder in ("bot", "storage", "sandbox")]
    assert all(lock is not None for _, lock in ran)
    assert capsys.readouterr().err.count("Setting up") == 1


def test_checks_have_an_environment_of_their_own(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = made(monkeypatch)
    with pytest.raises(SystemExit):
        run_command(["check", "style"])
    assert ["-m", "compileall"] not in [command[1:3] for command, _ in ran], "checks do not run the program"
    assert commands == [[str(tmp_path / ".venv-checks/bin/python"), str(tmp_path / "bot/checks.py"), "style"]]


@pytest.mark.usefixtures("commands")
def test_an_environment_without_all_that_is_pinned_is_brought_up_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = made(monkeypatch)
    there = Environment(tmp_path / ".venv", RUNTIME_PINS)
    there.complete()
    ran.clear()
    assert Environment(tmp_path / ".venv", TEST_PINS).complete() == there.python
    assert ["-m", "venv"] not in [command[1:3] for command, _ in ran], "installed into what is there"
    assert there.is_complete(), "what the tests need holds what the bot needs"
    assert "Bringing" in capsys.readouterr().err


@pytest.mark.usefixtures("commands")
def test_what_somebody_else_made_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lacking(monkeypatch, "yaml")
    made(monkeypatch)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/theirs").touch()
    found = find_interpreter(RUNTIME_PINS)
    assert found is not None and found.is_relative_to(tmp_path / "cache/tocsin")
    assert not (tmp_path / ".venv" / STAMP).exists()


def test_no_place_for_an_environment_is_said(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking(monkeypatch, "yaml")
    (tmp_path / ".venv").write_text("a file")
    (tmp_path / "cache").write_text("another")
    assert run_command(["serve"]) == 2
    assert "can be set up neither in" in capsys.readouterr().err
    assert commands == []


@pytest.mark.usefixtures("commands")
def test_an_environment_that_did_not_help_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "yaml")
    monkeypatch.setenv(RESTARTED, "1")
    with pytest.raises(NoEnvironmentError, match="was set up, but lacks yaml"):
        find_interpreter(RUNTIME_PINS)


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        ("venv", "cannot be set up. Python says: no ensurepip"),
        ("--version", "has neither ensurepip nor a pip of 22.3 or newer"),
        ("install", "the package index cannot be reached. ERROR: no such package"),
    ],
)
def test_what_fails_while_building_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails: str,
    sentence: str,
) -> None:
    lacking(monkeypatch, "yaml")
    says = "no ensurepip\n" if fails == "venv" else "connection broken by x\nERROR: no such package\nsee above\n"
    monkeypatch.setattr(environment, "run", lambda command, _lock: (1, says) if fails in command else (0, ""))
    assert run_command(["serve"]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.usefixtures("commands")
def test_a_second_start_waits_for_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = threading.Event()
    monkeypatch.setattr(
        environment, "print_status", lambda sentence: said.set() if "Another start" in sentence else None
    )
    made(monkeypatch)
    there = Environment(tmp_path / ".venv", RUNTIME_PINS)
    there.folder.mkdir()
    first = os.open(there.folder, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    second = threading.Thread(target=there.complete)
    second.start()
    assert said.wait(PATIENCE_S)
    assert not there.is_complete()
    os.close(first)
    second.join(PATIENCE_S)
    assert there.is_complete()


def test_a_program_is_run_without_what_is_meant_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    code, output = environment.run(
        [sys.executable, "-S", "-c", "import os; print('PYTHONPATH' in os.environ, os.environ['PIP_USER'])"], None
    )
    assert (code, output.strip()) == (0, "False 0")


def test_the_line_that_says_what_went_wrong() -> None:
    assert find_error_line("ERROR: one\nERROR: two\nhint\n") == "ERROR: two"
    assert find_error_line("first\n\nlast\n") == "last"
    assert find_error_line("") == "nothing"
