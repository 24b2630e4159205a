"""The commands in README.md and on the responder's page are what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import readme
from bot.handlers.verb import Registry


def test_the_pages_are_up_to_date() -> None:
    assert readme.main([]) == 0
    table = (readme.ROOT / "README.md").read_text(encoding="utf-8")
    page = (readme.ROOT / "docs" / "responding.md").read_text(encoding="utf-8")
    for verb in Registry.collect().verbs:
        assert f"| `{verb.usage.replace('|', chr(92) + '|')}` |" in table
        assert f"### {verb.name}\n\n`{verb.usage}`" in page


@pytest.mark.parametrize(("name", "row"), [("README.md", "| `whoami` |"), ("docs/responding.md", "### whoami")])
def test_a_page_that_is_not_fails_until_it_is_written(
    name: str, row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for page in readme.PAGES:
        copy = tmp_path / page
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((readme.ROOT / page).read_text(encoding="utf-8"), encoding="utf-8")
    copy = tmp_path / name
    copy.write_text(copy.read_text(encoding="utf-8").replace(row, row.replace("whoami", "whoever")), encoding="utf-8")
    assert readme.main([], tmp_path) == 1
    assert f"{name} are not up to date: python -m bot.readme --write" in capsys.readouterr().err
    assert readme.main(["--write"], tmp_path) == 0
    assert readme.main([], tmp_path) == 0
    assert row in copy.read_text(encoding="utf-8")


def test_a_page_without_the_marks_is_named() -> None:
    with pytest.raises(ValueError, match="the page should have the lines"):
        readme.replace_commands("# Tocsin\n", "")
