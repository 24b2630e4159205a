"""Renders the picture of a digest: the number of open incidents on the last days, by severity.

matplotlib is imported inside the function that needs it: the import takes half a second and tens of megabytes, which
a bot without digests does not need. Only its object interface is used, on one thread, because pyplot has global state.
"""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

from bot.messages.incident import STATUS_NAMES
from storage.digest_rows import OpenSeries
from storage.values import Status

# An opaque background, so that the picture looks the same in Slack's dark and light themes.
_BACKGROUND, _LINE, _TEXT, _SECONDARY_TEXT = "#ffffff", "#d0d7de", "#1f2328", "#59636e"
# The most severe is at the bottom, where heights are easiest to compare. The colours differ in lightness too, for
# colour-blind readers.
_COLOURS = (
    (Status.CRITICAL, "#b3192d"),
    (Status.WARNING, "#f0b429"),
    (Status.OPEN, "#7fb2e5"),
)
# Slack shows pictures about 480 pixels wide; at this size in inches the text stays readable.
_INCHES, _DPI = (5.6, 2.7), 260


class CannotRender(Exception):
    """This machine lacks something that rendering needs. The text says what."""


def render_picture(series: OpenSeries, zone: str) -> bytes:
    """Renders a PNG of 1,456 by 702 pixels. `zone` is the IANA name of the zone in which days begin.

    Raises CannotRender.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except OSError as error:  # matplotlib stores a list of fonts
        raise CannotRender(
            "matplotlib has no folder to write to: make /tmp writable, or name one in MPLCONFIGDIR"
        ) from error

    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor=_BACKGROUND)
    axes = figure.add_axes((0.075, 0.155, 0.9, 0.635), facecolor="none")
    places = range(len(series.moments))
    below = [0] * len(places)
    for status, colour in _COLOURS:
        heights = series.counts[status]
        label = STATUS_NAMES[status]
        axes.bar(places, heights, bottom=below, color=colour, width=0.74, label=f"{label} {heights[-1]:,}", zorder=2)
        below = [low + more for low, more in zip(below, heights, strict=True)]
    top = max(below) or 1
    for place, total in enumerate(below):
        if not total:
            continue
        axes.text(
            place,
            total + top * 0.025,
            f"{total:,}",
            ha="center",
            va="bottom",
            fontsize=8,
            color=_SECONDARY_TEXT,
            bbox={"facecolor": _BACKGROUND, "edgecolor": "none", "pad": 0.8},
        )
    axes.set(ylim=(0, top * 1.15), xlim=(-0.6, len(places) - 0.4))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xticks(places, day_labels(series, zone), fontsize=8.5, color=_SECONDARY_TEXT)
    axes.tick_params(axis="y", labelsize=8.5, labelcolor=_SECONDARY_TEXT, length=0)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=_LINE, linewidth=0.6, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    figure.text(0.025, 0.905, f"Open incidents, {len(places)} days", fontsize=10, fontweight="bold", color=_TEXT)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.015, 1.1),
        ncols=len(_COLOURS),
        frameon=False,
        fontsize=8.5,
        labelcolor=_TEXT,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.1,
        handletextpad=0.5,
    )
    png = BytesIO()
    FigureCanvasAgg(figure).print_png(png)  # type: ignore[no-untyped-call]
    return png.getvalue()


def day_labels(series: OpenSeries, zone: str) -> list[str]:
    """Returns the label of each bar: the day of the month, and "now" for the last bar.

    A bar shows the end of its day, the midnight after it. The first label of a month has the month on a second line.
    """
    where = ZoneInfo(zone)
    ended = [(moment.astimezone(where) - timedelta(days=1)).date() for moment in series.moments[:-1]]
    named = {day.month: f"{day.day}\n{day:%b}" for day in reversed(ended)}
    return [*(named.pop(day.month, str(day.day)) for day in ended), "now"]
