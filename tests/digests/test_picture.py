"""The picture: a PNG of the right size, its days, and that nothing of matplotlib is loaded before it is drawn."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.digests import picture
from bot.messages.digest import render_alt_text
from storage.digest_rows import OpenSeries
from storage.values import Status

ROOT = Path(__file__).parents[2]
MIDNIGHT = datetime(2026, 11, 3, tzinfo=UTC)
MOMENTS = (*(MIDNIGHT - timedelta(days=back) for back in reversed(range(13))), MIDNIGHT + timedelta(hours=9))


def series(critical: int, warning: int, unset: int) -> OpenSeries:
    """As many of each on every day."""
    counts = {Status.CRITICAL: critical, Status.WARNING: warning, Status.OPEN: unset}
    return OpenSeries(MOMENTS, {status: [count] * len(MOMENTS) for status, count in counts.items()})


@pytest.mark.parametrize("numbers", [(0, 0, 0), (1, 0, 0), (3, 5, 8), (4000, 3000, 2999)])
def test_it_is_a_png_for_any_numbers(numbers: tuple[int, int, int]) -> None:
    drawn = picture.render_picture(series(*numbers), "UTC")
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", drawn[16:24]) == (1456, 702)


def test_each_bar_is_named_for_the_day_that_it_ends() -> None:
    days = picture.day_labels(series(1, 1, 1), "UTC")
    assert days == ["21\nOct", *map(str, range(22, 32)), "1\nNov", "2", "now"]


def test_the_same_in_words() -> None:
    assert render_alt_text(series(3, 5, 8)) == (
        "Open incidents over the last 14 days, by severity. 16 at the beginning, 16 at the most, 16 now"
        " (3 critical, 5 warning, 8 open)."
    )


def test_nothing_loads_matplotlib_but_drawing() -> None:
    program = "import bot.app, sys; print('matplotlib' in sys.modules or 'numpy' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert found.stdout.strip() == "False"


def test_without_a_folder_to_write_to_it_says_what_is_missing() -> None:
    """As on a read-only root without a /tmp: matplotlib wants one when it is loaded."""
    program = """
import tempfile
def nowhere(*_, **__): raise FileNotFoundError(2, "No usable temporary directory found")
tempfile.mkdtemp = nowhere
from bot.digests import picture
from tests.digests.test_picture import series
for _ in range(2):
    try: picture.render_picture(series(1, 2, 3), "UTC")
    except picture.CannotRender as problem: print(problem)
"""
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "MPLCONFIGDIR": "/proc/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, text=True, capture_output=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == second and "MPLCONFIGDIR" in first
