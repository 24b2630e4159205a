"""The generated parts of README.md and the docs are up to date: what commands and settings say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot import readme, settings_page
from bot.handlers.verb import Registry
from bot.settings import Role, Settings


def test_the_pages_are_up_to_date() -> None:
    assert readme.main([]) == 0
    table = (readme.ROOT / "README.md").read_text(encoding="utf-8")
    page = (readme.ROOT / "docs" / "responding.md").read_text(encoding="utf-8")
    for verb in Registry.collect().verbs:
        assert f"| `{verb.usage.replace('|', chr(92) + '|')}` |" in table
        assert f"### {verb.name}\n\n`{verb.usage}`" in page


@pytest.mark.parametrize(
    ("name", "row", "part"),
    [
        ("README.md", "| `whoami` |", "commands"),
        ("docs/responding.md", "### whoami", "commands"),
        ("README.md", "| `HTTP_PORT` |", "settings"),
        ("docs/settings.md", "### HTTP_PORT", "settings"),
    ],
)
def test_a_page_that_is_not_fails_until_it_is_written(
    name: str, row: str, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for page in {one.page for one in readme.PARTS}:
        copy = tmp_path / page
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((readme.ROOT / page).read_text(encoding="utf-8"), encoding="utf-8")
    copy = tmp_path / name
    copy.write_text(copy.read_text(encoding="utf-8").replace(row, row.replace("o", "0")), encoding="utf-8")
    copy.write_text(copy.read_text(encoding="utf-8").replace(row, row.replace("HTTP", "FTP")), encoding="utf-8")
    assert readme.main([], tmp_path) == 1
    assert f"Not up to date: {part} of {name}: python -m bot.readme --write" in capsys.readouterr().err
    assert readme.main(["--write"], tmp_path) == 0
    assert readme.main([], tmp_path) == 0
    assert row in copy.read_text(encoding="utf-8")


def test_a_page_without_the_marks_is_named() -> None:
    with pytest.raises(ValueError, match=r"README.md should have the lines"):
        readme.PARTS[0].replace("# Tocsin\n")


def test_every_variable_that_the_code_reads_is_on_the_page() -> None:
    """Those of the settings, and those that are read elsewhere by their names."""
    explained = {name for one in settings_page.list_variables() for name in one.name.split(", ")}
    assert {str(field.validation_alias) for field in Settings.model_fields.values()} <= explained
    # Made by the bot for processes that it starts, set by CI, or part of a standard that the page names as a whole.
    elsewhere = {"HOME", "CI", "PYTEST_XDIST_AUTO_NUM_WORKERS", "REQUEST_METHOD", "TOCSIN_RESTARTED"}
    read = re.compile(r"""environ(?:\.get\(|\.pop\(|\.setdefault\(|\[)\s*"([A-Z_]+)\"""")
    found = {
        name
        for folder in ("bot", "storage")
        for path in (readme.ROOT / folder).rglob("*.py")
        for name in read.findall(path.read_text(encoding="utf-8"))
    }
    assert {"PG_BIN", "SSL_CERT_FILE"} <= found
    assert found - explained - elsewhere == set()


def test_every_example_is_a_value_that_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    fields = settings_page.get_defaults()
    examples = {one.name: one for one in settings_page.list_variables() if one.name in fields}
    assert examples.keys() == fields.keys()
    for name, variable in examples.items():
        # An ellipsis stands for what each installation has of its own.
        value = variable.example.partition("  ")[0].replace("…", "x" * 20)
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.sockets == 2 and settings.public_url == "https://tocsin.example.com"


def test_what_must_be_set_says_so() -> None:
    page = {one.name: one.used_by for one in settings_page.list_variables()}
    for role in Role:
        for sentence in Settings().find_missing(role):
            for name in re.findall(r"[A-Z_]{5,}", sentence.replace("HTTP", "")):
                assert "must be set" in page[name] and (role.value in page[name] or "every role" in page[name]), name
