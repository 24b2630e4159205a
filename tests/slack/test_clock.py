"""Slack's own time, as its answers tell it."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from bot.slack.clock import SlackClock

HOUR_S = 3600.0


def heard(clock: SlackClock, at: float, *, took_s: float = 0.0) -> None:
    """An answer whose date is `at`."""
    clock.hear({"Date": formatdate(at, usegmt=True)}, time.monotonic() - took_s)


def test_it_goes_by_slacks_clock_whatever_ours_says(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, there = SlackClock(), time.time() + HOUR_S
    heard(clock, there)
    assert clock.now() == pytest.approx(there, abs=5)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() == pytest.approx(there, abs=5)


def test_it_follows_slack_when_that_was_set() -> None:
    clock, there = SlackClock(), time.time()
    for moved in (0.0, HOUR_S, -HOUR_S):
        heard(clock, there + moved)
        assert clock.now() == pytest.approx(there + moved, abs=5)


def test_an_answer_that_was_long_under_way_does_not_hold_it_back() -> None:
    clock, there = SlackClock(), time.time()
    heard(clock, there)
    heard(clock, there - 60, took_s=90)
    assert clock.now() == pytest.approx(there, abs=5)


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"date": None}])
def test_an_answer_without_a_date_tells_nothing(headers: dict[str, object]) -> None:
    clock, there = SlackClock(), time.time() + HOUR_S
    heard(clock, there)
    clock.hear(headers, time.monotonic())
    assert clock.now() == pytest.approx(there, abs=5)
