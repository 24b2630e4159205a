"""Slack's own time, as its answers tell it."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from bot.slack.slack_clock import SlackClock

HOUR_S = 3600.0
THERE_S = 1_900_000_000.0


def heard(clock: SlackClock, at: float, *, took_s: float = 0.0) -> None:
    """An answer whose date is `at`."""
    clock.hear({"Date": formatdate(at, usegmt=True)}, time.monotonic() - took_s)


def test_it_goes_by_slacks_clock_whatever_ours_says(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SlackClock()
    heard(clock, THERE_S)
    assert clock.now() == pytest.approx(THERE_S, abs=5)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() == pytest.approx(THERE_S, abs=5)


def test_it_follows_slack_when_that_was_set() -> None:
    clock = SlackClock()
    for moved in (0.0, HOUR_S, -HOUR_S):
        heard(clock, THERE_S + moved)
        assert clock.now() == pytest.approx(THERE_S + moved, abs=5)


def test_an_answer_that_was_long_under_way_does_not_hold_it_back() -> None:
    clock = SlackClock()
    heard(clock, THERE_S)
    heard(clock, THERE_S - 60, took_s=90)
    assert clock.now() == pytest.approx(THERE_S, abs=5)


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"date": None}])
def test_an_answer_without_a_date_tells_nothing(headers: dict[str, object]) -> None:
    clock = SlackClock()
    heard(clock, THERE_S)
    clock.hear(headers, time.monotonic())
    assert clock.now() == pytest.approx(THERE_S, abs=5)
