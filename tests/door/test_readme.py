"""The README's table of commands is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import readme
from bot.handlers.verb import Registry


def test_the_table_is_up_to_date() -> None:
    assert readme.main([]) == 0
    text = readme.README.read_text(encoding="utf-8")
    for verb in Registry.collect().verbs:
        assert f"| `{verb.usage.replace('|', chr(92) + '|')}` |" in text


def test_a_table_that_is_not_fails_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(
        readme.README.read_text(encoding="utf-8").replace("| `whoami` |", "| `whoever` |"), encoding="utf-8"
    )
    monkeypatch.setattr(readme, "README", copy)
    assert readme.main([]) == 1
    assert "python -m bot.readme --write" in capsys.readouterr().err
    assert readme.main(["--write"]) == 0
    assert readme.main([]) == 0
    assert "| `whoami` |" in copy.read_text(encoding="utf-8")


def test_a_readme_without_the_marks_is_said_to_be_so() -> None:
    with pytest.raises(ValueError, match=r"README\.md should have the lines"):
        readme.replace_table("# Tocsin\n", [])
