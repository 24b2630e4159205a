"""The commands on the embedded database, where no DATABASE_URL is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli import main
from bot.commands.usage import EXIT_OUTSIDE
from bot.database import Migrated, migrate_database, open_database
from bot.settings import Settings
from storage.embedded import EmbeddedPostgres
from storage.embedded.scratch import scratch_folder
from storage.migrate import HEAD
from storage.session_settings import Pooling


@pytest.fixture(autouse=True)
def no_database_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)  # where no .env names one either


def test_migrate_makes_and_keeps_the_database(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with scratch_folder() as folder:
        monkeypatch.setenv("TOCSIN_DATA_DIR", str(folder / "data"))
        assert main(["migrate"]) == 0
        assert "The schema went from nothing to" in capsys.readouterr().out
        assert main(["migrate"]) == 0
        assert "Nothing to do" in capsys.readouterr().out


def test_a_database_that_cannot_run_ends_in_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOCSIN_DATA_DIR", str(tmp_path / "file" / "data"))
    assert main(["migrate"]) == EXIT_OUTSIDE
    said = capsys.readouterr().err
    assert "cannot be used for the database" in said
    assert "Set TOCSIN_DATA_DIR" in said
    assert "Traceback" not in said


def test_a_start_outlasts_the_end_of_the_command_whose_server_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch_folder() as folder:
        monkeypatch.setenv("TOCSIN_DATA_DIR", str(folder / "data"))
        settings = Settings.load()
        command = EmbeddedPostgres(settings.data_dir, durable=False)
        command.start()
        with open_database(settings) as url:
            command.stop()
            assert migrate_database(settings, url) == Migrated(None, HEAD, Pooling.NONE)
            assert migrate_database(settings, url) == Migrated(HEAD, HEAD, Pooling.NONE)
