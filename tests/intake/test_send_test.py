"""`send-test`: each source's test alert arrives, becomes an incident, and ends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cli import main
from bot.intake.tokens import Source
from storage.engine import Store
from storage.values import Status
from tests.cli.test_settings import VARIABLES
from tests.clock import store_at_the_machines_date
from tests.intake.conftest import SENTRY_SECRET, Bench


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """At the machine's date, which `send-test` goes by as well."""
    opened = store_at_the_machines_date(database_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("source", list(Source))
def test_the_test_alert_opens_and_closes_an_incident(
    bench: Bench, source: Source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTP_PORT", str(bench.client.base_url.port))
    signed = source is Source.SENTRY
    words = ["send-test", source.value, "--token", bench.sentry() if signed else bench.token(source=source)]
    words += ["--secret-stdin"] if signed else []
    for end, status in (([], Status.WARNING), ([], Status.WARNING), (["--resolved"], Status.CLOSED)):
        monkeypatch.setattr("sys.stdin", io.StringIO(SENTRY_SECRET))
        assert main([*words, *end]) == 0
        assert capsys.readouterr().out == "Incident #1\n"
        assert bench.statuses() == [status]


def test_a_token_of_the_organization_needs_the_project(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["send-test", "events", "--token", bench.token(None), "--url", str(bench.client.base_url)]
    assert main(words) == 1
    assert "project is missing" in capsys.readouterr().err
    assert main([*words, "--project", "catalogue"]) == 0


def test_what_goes_wrong_is_one_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    here = ["--url", str(bench.client.base_url)]
    token = bench.token()
    for words, code, hint in (
        (["events", "--token", "tocsin_unknown", *here], 1, "no such token"),
        (["grafana", "--token", token, *here], 1, "this token is for events"),
        (["events", "--token", token, "--url", "http://127.0.0.1:1"], 1, "nothing answers"),
        (["events", "--token", token, "--url", f"{here[1]}/healthz?"], 1, "not this bot"),
        (["events", "--token", token, "--url", "127.0.0.1"], 2, "--url"),
        (["events", "--token", "two words", *here], 2, "--token"),
        (["sentry", "--token", "x", *here], 2, "--token"),
        (["sentry", "--token", "1", *here], 2, "--secret-stdin"),
        (["nagios", "--token", token, *here], 2, "nagios"),
        (["events"], 2, "--token"),
    ):
        assert main(["send-test", *words]) == code, words
        err = capsys.readouterr().err
        # The intake, which runs in this process, logs what it refuses.
        (line,) = [line for line in err.splitlines() if "was refused" not in line]
        assert hint in line
        assert token not in err


def test_the_token_need_not_stand_on_the_command_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where everybody on the machine can read it."""
    words = ["send-test", "events", "--url", str(bench.client.base_url)]
    token = bench.token()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{token}\n"))
    assert main([*words, "--token-stdin"]) == 0
    monkeypatch.setenv("TOCSIN_TOKEN", token)
    assert main(words) == 0
    assert capsys.readouterr().out == "Incident #1\n" * 2
    monkeypatch.delenv("TOCSIN_TOKEN")
    assert main(words) == 2
    assert main(["send-test", "sentry", "--token-stdin", *words[2:]]) == 2
    assert capsys.readouterr().err.count("--token-stdin") == 2
