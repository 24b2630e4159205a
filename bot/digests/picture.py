"""Renders the picture of a digest: what was opened on each of the last days by severity, and what was open at its end.

matplotlib is imported inside the function that needs it: the import takes half a second and tens of megabytes, which
a bot without digests does not need. Only its object interface is used, on one thread, because pyplot has global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from bot.messages.incident_parts import SEVERITY_LABELS
from storage.digest_rows import DailyCounts
from storage.values import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The picture has a dark background of its own. Slack shows transparent pixels in white on some devices and in black on
# others, and no grey has enough contrast on both. A white picture would glare in the dark theme.
BACKGROUND = "#222529"
TEXT, LINES, OPEN_LINE = "#d1d2d3", "#4a4d52", "#e8e8e8"
# The most severe is at the bottom, where heights are easiest to compare. The colours differ in lightness too, for
# colour-blind readers.
COLOURS = {Status.CRITICAL: "#fb566a", Status.WARNING: "#f2c744", Status.OPEN: "#7ab8ee"}
# Slack shows pictures at a width of 360 to 480 pixels. At this size in inches, a point is a pixel at 360.
SHOWN_WIDTH = 360
_INCHES, _DPI = (SHOWN_WIDTH / 72, 240 / 72), 288
FONT_SIZE = 12
_LEFT, _WIDTH = 0.1, 0.87  # of the axes, as parts of the width


class CannotRender(Exception):
    """This machine lacks something that rendering needs. The text says what."""


def render_picture(counts: DailyCounts) -> bytes:
    """Renders a PNG of 1,440 by 960 pixels. Raises CannotRender."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except OSError as error:  # matplotlib stores a list of fonts
        raise CannotRender(
            "matplotlib has no folder to write to: make /tmp writable, or name one in MPLCONFIGDIR"
        ) from error

    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor=BACKGROUND)
    places = range(len(counts.days))
    above = figure.add_axes((_LEFT, 0.535, _WIDTH, 0.29), facecolor="none")
    _draw_opened(above, counts)
    below = figure.add_axes((_LEFT, 0.165, _WIDTH, 0.2), facecolor="none")
    below.fill_between(places, counts.open_at_end, color=OPEN_LINE, alpha=0.18, linewidth=0)
    below.plot(places, counts.open_at_end, color=OPEN_LINE, linewidth=1.6, marker="o", markersize=2.6)
    for axes, most in ((above, _most_opened(counts)), (below, max(counts.open_at_end, default=0))):
        _style(axes, most, len(places))
    above.set_xticks([])
    below.set_xticks(places, label_days(counts), fontsize=FONT_SIZE, color=TEXT, linespacing=1.15)
    figure.text(0.025, 0.94, "Opened each day", fontsize=FONT_SIZE, fontweight="bold", color=TEXT)
    now = f"Open at the end of the day: {counts.open_at_end[-1]:,} now"
    figure.text(0.025, 0.425, now, fontsize=FONT_SIZE, fontweight="bold", color=TEXT)
    png = BytesIO()
    FigureCanvasAgg(figure).print_png(png)  # type: ignore[no-untyped-call]
    return png.getvalue()


def _draw_opened(axes: Axes, counts: DailyCounts) -> None:
    places = range(len(counts.days))
    below = [0] * len(places)
    for severity, colour in COLOURS.items():
        heights = counts.opened.get(severity)
        if heights is None:
            continue
        axes.bar(places, heights, bottom=below, color=colour, width=0.7, label=_label(severity, heights), zorder=2)
        below = [low + more for low, more in zip(below, heights, strict=True)]
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.02, 1.0),
        ncols=len(COLOURS),
        frameon=False,
        fontsize=FONT_SIZE,
        labelcolor=TEXT,
        handlelength=0.8,
        handleheight=0.8,
        columnspacing=0.9,
        handletextpad=0.4,
        borderpad=0,
    )


def _label(severity: Status, heights: Sequence[int]) -> str:
    return f"{SEVERITY_LABELS[severity]} {_shorten(sum(heights))}"


def _most_opened(counts: DailyCounts) -> int:
    return max((sum(day) for day in zip(*counts.opened.values(), strict=True)), default=0)


def _style(axes: Axes, most: int, count: int) -> None:
    """Draws the axis from 0 to the largest number, with a line for each of the two."""
    top = max(most, 1)
    axes.set(ylim=(0, top * 1.08), xlim=(-0.6, count - 0.4))
    axes.set_yticks([0, top], ["0", _shorten(top)], fontsize=FONT_SIZE, color=TEXT)
    axes.tick_params(length=0)
    axes.grid(axis="y", color=LINES, linewidth=0.6, zorder=0)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)


def _shorten(number: int) -> str:
    """A number in at most four characters up to a million: 950, 1.2k, 56k."""
    if number < 1000:
        return str(number)
    thousands = number / 1000
    return f"{thousands:.1f}k" if thousands < 9.95 else f"{thousands:.0f}k"


def label_days(counts: DailyCounts) -> list[str]:
    """The label of every second day, so that today has one. The first label of a month has the month below it."""
    labels = []
    month = 0
    for left, day in zip(reversed(range(len(counts.days))), counts.days, strict=True):
        if left % 2:
            labels.append("")
            continue
        named = "" if day.month == month else f"\n{day:%b}"
        month = day.month
        labels.append(f"{day.day}{named}" if left else f"today{named}")
    return labels
