"""The picture: a PNG of the right size, its days, and that what takes much memory is loaded only where it is used."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from datetime import date, timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest

from bot.digests import picture
from bot.messages.digest import render_alt_text
from storage.digest_rows import DailyCounts
from storage.values import Status

ROOT = Path(__file__).parents[2]
DAYS = [date(2026, 11, 3) - timedelta(days=back) for back in reversed(range(14))]


def counts(critical: int, warning: int, unset: int, left: int = 0) -> DailyCounts:
    """As many of each on every day."""
    opened = {Status.CRITICAL: critical, Status.WARNING: warning, Status.OPEN: unset}
    return DailyCounts(DAYS, {status: [count] * 14 for status, count in opened.items()}, [left] * 14)


@pytest.mark.parametrize("numbers", [(0, 0, 0, 0), (1, 0, 0, 1), (3, 5, 8, 40), (4000, 3000, 2999, 10**6)])
def test_it_is_a_png_for_any_numbers(numbers: tuple[int, int, int, int]) -> None:
    drawn = picture.render_picture(counts(*numbers))
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", drawn[16:24]) == (1440, 960)


def test_its_text_can_be_read_at_the_smallest_width_in_both_themes() -> None:
    """At least 11 pixels high, and with the contrast that WCAG wants of text, whatever is around the picture."""
    width, _ = struct.unpack(">II", picture.render_picture(counts(1, 2, 3))[16:24])
    points_to_pixels = width / (picture.SHOWN_WIDTH / 72) / 72
    assert picture.FONT_SIZE * points_to_pixels * picture.SHOWN_WIDTH / width >= 11
    assert contrast(picture.TEXT, picture.BACKGROUND) >= 7
    for colour in (*picture.COLOURS.values(), picture.OPEN_LINE):
        assert contrast(colour, picture.BACKGROUND) >= 4.5
    for left, right in pairwise([*picture.COLOURS.values()]):
        assert abs(luminance(left) - luminance(right)) > 0.1, "the colours differ in lightness"


def test_it_has_no_transparent_pixel() -> None:
    """Slack shows those in white or in black, depending on the device."""
    from matplotlib import image

    pixels = image.imread(BytesIO(picture.render_picture(counts(1, 2, 3))))
    assert pixels.shape[2] == 3 or pixels[:, :, 3].min() == 1


def luminance(colour: str) -> float:
    """The relative luminance of a colour, as WCAG defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_every_second_day_is_named_and_today() -> None:
    assert picture.label_days(counts(1, 1, 1)) == [
        *("", "22\nOct", "", "24", "", "26", "", "28", "", "30", "", "1\nNov", "", "today"),
    ]


def test_the_same_in_words() -> None:
    alt = render_alt_text(counts(3, 0, 8, 16))
    assert alt.startswith(
        "Incidents opened on each of the last 14 days, by severity when opened."
        " Oct 21: 3 critical, 8 no severity; 16 open at the end. Oct 22: "
    )
    assert alt.endswith(" Nov 3: 3 critical, 8 no severity; 16 open now.")
    assert "Oct 30: none; 0 open at the end." in render_alt_text(counts(0, 0, 0))
    assert len(render_alt_text(counts(10**6, 10**6, 10**6, 10**6))) < 2000


def test_what_takes_much_memory_is_loaded_where_it_is_used() -> None:
    """Drawing, and secrets that must stay readable."""
    program = "import bot.app, sys; print({'matplotlib', 'numpy', 'cryptography'} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert found.stdout.strip() == "set()"


def test_without_a_folder_to_write_to_it_says_what_is_missing() -> None:
    """As on a read-only root without a /tmp: matplotlib wants one when it is loaded."""
    program = """
import tempfile
def nowhere(*_, **__): raise FileNotFoundError(2, "No usable temporary directory found")
tempfile.mkdtemp = nowhere
from bot.digests import picture
from tests.digests.test_picture import counts
for _ in range(2):
    try: picture.render_picture(counts(1, 2, 3))
    except picture.CannotRender as problem: print(problem)
"""
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "MPLCONFIGDIR": "/proc/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, text=True, capture_output=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == second and "MPLCONFIGDIR" in first
