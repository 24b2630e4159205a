"""`run_bot.py check`: each check is run whatever the others find, and what failed is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bot import checks


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that are this Python, with an end that is known."""
    python = Path(sys.executable).name
    monkeypatch.setattr(
        checks,
        "CHECKS",
        {
            "good": (python, "-c", "print('never shown')"),
            "bad": (python, "-c", "import sys; sys.exit('line 7 is too long')"),
            "last": (python, "-c", ""),
        },
    )


def test_every_check_runs_and_what_failed_is_shown_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.main([]) == 1
    shown, errors = capsys.readouterr()
    assert "good: passed" in shown
    assert "bad: FAILED" in shown
    assert "line 7 is too long" in shown
    assert "last: passed" in shown
    assert "never shown" not in shown
    assert errors == "Failed: bad\n"


def test_one_check_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.main(["last"]) == 0
    assert "good" not in capsys.readouterr().out


def test_a_check_that_there_is_not_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.main(["bda"]) == 2
    assert capsys.readouterr().err == "There is no check bda; the checks are good, bad, last.\n"
