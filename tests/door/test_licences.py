"""The table of third-party licences follows the pinned packages."""

from __future__ import annotations

from email.message import Message
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from bot import licences


def test_a_page_that_is_out_of_date_fails_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(licences, "PAGE", tmp_path / "third-party.md")
    assert licences.main([]) == 1
    assert "python -m bot.licences --write" in capsys.readouterr().err
    assert licences.main(["--write"]) == 0
    assert licences.main([]) == 0
    assert "| slack-bolt | MIT License |" in licences.PAGE.read_text(encoding="utf-8")


def test_a_package_that_is_not_installed_keeps_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = licences.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(licences, "PAGE", tmp_path / "third-party.md")
    licences.PAGE.write_text(page, encoding="utf-8")

    def find_none(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(licences, "metadata", find_none)
    assert licences.main([]) == 0


def test_the_page_names_every_package_that_a_running_bot_needs_once() -> None:
    needed, optional = licences.PAGE.read_text(encoding="utf-8").split("## For Sentry and OpenTelemetry")
    pinned = licences.list_packages((licences.ROOT / "requirements.txt").read_text(encoding="utf-8"))
    extras = licences.list_packages((licences.ROOT / "requirements-extras.txt").read_text(encoding="utf-8"))
    missing = {name for name in pinned if f"| {name} |" not in needed}
    assert missing <= {"colorama"}  # needed on Windows only
    assert len(pinned) > 40
    more = [name for name in extras if f"| {name} |" in optional]
    assert more == [name for name in extras if name not in pinned]
    assert {"sentry-sdk", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= set(more)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0"), ("License", "see LICENSE")], "MIT OR Apache-2.0"),
        ([("Classifier", "License :: OSI Approved :: BSD License"), ("Classifier", "Topic :: X")], "BSD License"),
        ([("License", "ISC")], "ISC"),
        ([], "not stated"),
    ],
)
def test_the_licence_is_what_the_package_states(fields: list[tuple[str, str]], licence: str) -> None:
    package = Message()
    for name, value in fields:
        package[name] = value
    assert licences.describe_licence(package) == licence  # type: ignore[arg-type]
