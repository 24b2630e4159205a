"""The contracts of import-linter hold: an import in a wrong direction breaks them, whatever its room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command(['--no-cache']))"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the contracts are about."""
    for package in ("bot", "storage", "sandbox"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> tuple[int, str]:
    """The exit code and the report."""
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=tree, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_tree_as_it_is_keeps_them(tree: Path) -> None:
    code, said = lint(tree)
    assert code == 0, said
    assert "0 broken" in said


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("storage.errors", "bot.metrics"),
        ("bot.incidents.limits", "bot.organization.tree"),
        ("bot.people.names", "bot.demo.saved_workspace"),
        ("bot.settings", "bot.database"),
        ("bot.intake.rate_limit", "bot.delivery.pace"),
        ("bot.metrics", "bot.slack.requests"),
        ("bot.messages.blocks", "bot.people.names"),
        ("storage.rows", "storage.models"),
        ("sandbox.records", "storage.values"),
    ],
)
def test_an_import_in_a_wrong_direction_breaks_them(tree: Path, importer: str, imported: str) -> None:
    path = tree / (importer.replace(".", "/") + ".py")
    with path.open("a", encoding="utf-8") as module:
        module.write(f"\nimport {imported}\n")
    code, said = lint(tree)
    assert code == 1, said
    assert f"{importer} -> {imported}" in said


@pytest.mark.parametrize("room", ["bot", "storage"])
def test_a_module_without_a_place_breaks_them(tree: Path, room: str) -> None:
    (tree / room / "attic.py").write_text('"""A new room."""\n', "utf-8")
    code, said = lint(tree)
    assert code == 1, said
    assert f"{room}.attic" in said
