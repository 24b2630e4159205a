"""The picture: a PNG of the right size, its days, and that nothing of matplotlib is loaded before it is drawn."""

from __future__ import annotations

import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.digests import picture
from bot.messages.digest import alt_text
from storage.digest_rows import OpenSeries
from storage.values import Status

MIDNIGHT = datetime(2026, 11, 3, tzinfo=UTC)
MOMENTS = (*(MIDNIGHT - timedelta(days=back) for back in reversed(range(13))), MIDNIGHT + timedelta(hours=9))


def series(critical: int, warning: int, unset: int) -> OpenSeries:
    """As many of each on every day."""
    counts = {Status.CRITICAL: critical, Status.WARNING: warning, Status.OPEN: unset}
    return OpenSeries(MOMENTS, {status: [count] * len(MOMENTS) for status, count in counts.items()})


@pytest.mark.parametrize("numbers", [(0, 0, 0), (1, 0, 0), (3, 5, 8), (4000, 3000, 2999)])
def test_it_is_a_png_for_any_numbers(numbers: tuple[int, int, int]) -> None:
    drawn = picture.draw(series(*numbers), "UTC")
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", drawn[16:24]) == (1456, 702)


def test_each_bar_is_named_for_the_day_that_it_ends() -> None:
    days = picture.days(series(1, 1, 1), "UTC")
    assert days == ["21\nOct", *map(str, range(22, 32)), "1\nNov", "2", "now"]


def test_the_same_in_words() -> None:
    assert alt_text(series(3, 5, 8)) == (
        "Open incidents over the last 14 days, by severity. 16 at the beginning, 16 at the most, 16 now"
        " (3 critical, 5 warning, 8 open)."
    )


def test_nothing_loads_matplotlib_but_drawing() -> None:
    program = "import bot.app, sys; print('matplotlib' in sys.modules or 'numpy' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert found.stdout.strip() == "False"
