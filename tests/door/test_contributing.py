"""CONTRIBUTING.md stays true: its example of a verb is added to a copy of the tree, as the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORY, MODULE = "tests/stories/test_link.py", "bot/handlers/link.py"
DRAWN = "tests/hardening/test_drawn.py::test_everything_that_is_drawn_is_handled"
# Does what `python -m bot.readme --write` and `python -m bot.sentences --write` do, loading the code once.
WRITE_PAGES = """
import runpy, sys
for page in ("bot.readme", "bot.sentences"):
    sys.argv = [page, "--write"]
    try:
        runpy.run_module(page, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
"""
FILES = re.compile(r"<!-- file: (?P<path>\S+) -->\n```python\n(?P<text>.*?)```\n", re.DOTALL)


class Newcomer:
    """Somebody with a copy of the tree and the page."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        self.files = {found["path"]: found["text"] for found in FILES.finditer(page)}

    def write(self) -> None:
        """Writes the files of the page."""
        for path, text in self.files.items():
            (self.tree / path).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str]:
        """Runs Python in the tree; gives its exit code and what it wrote."""
        # What runs there is not the code whose coverage is measured.
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.tree,
            env=settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def test(self, *tests: str) -> tuple[int, str]:
        """Runs tests of the tree."""
        return self.run("-m", "pytest", "-q", "-p", "no:xdist", *tests)

    def changed(self) -> set[str]:
        """The files that are not as they are in the project."""
        found = [path.relative_to(self.tree) for path in self.tree.rglob("*") if path.is_file()]
        return {
            path.as_posix()
            for path in found
            if path.suffix != ".pyc"
            and not ((ROOT / path).is_file() and (ROOT / path).read_bytes() == (self.tree / path).read_bytes())
        }


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    """With what the project's own files are; not with what lies beside them on this machine."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name]
        for name in names:
            if (ROOT / name).is_file():
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tmp_path / name)
        for package in ("bot", "storage", "sandbox"):  # what is compiled, but not what is just being written
            for compiled in (ROOT / package).rglob("*.pyc"):
                (tmp_path / compiled.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(compiled, tmp_path / compiled.relative_to(ROOT))
    else:  # a checkout without its history
        for folder in ("bot", "docs", "storage", "sandbox", "tests"):
            shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "run_bot.py"):
            shutil.copy(ROOT / file, tmp_path / file)
    return Newcomer(tmp_path)


@pytest.mark.timeout(300)  # it starts Python three times, and compiles a tree
def test_a_verb_is_added_in_two_files_and_a_button_without_its_handler_is_found(newcomer: Newcomer) -> None:
    assert set(newcomer.files) == {STORY, MODULE}
    newcomer.write()
    code, said = newcomer.run("-c", WRITE_PAGES)
    assert code == 0, said
    assert newcomer.changed() == {STORY, MODULE, "README.md", "docs/messages.md", "docs/responding.md"}
    assert "| `link N` |" in (newcomer.tree / "README.md").read_text(encoding="utf-8")
    code, said = newcomer.test(STORY, DRAWN, "tests/rules/test_registry.py", "tests/door/test_readme.py")
    assert code == 0, said

    module = newcomer.tree / MODULE
    without_handler, count = re.subn(r"buttons=\{.*\}", "buttons={}", module.read_text(encoding="utf-8"))
    assert count == 1
    module.write_text(without_handler, encoding="utf-8")
    code, said = newcomer.test(DRAWN)
    assert code == 1, said
    assert "('link.py', 'buttons', 'link')" in said
