"""The table of all benchmarks: its rows, how they are compared with those of the last run, and how they are shown.

Nothing is measured here. A benchmark records its rows with `record`; `benchmarks/__main__.py` collects them.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

# The file into which `record` writes. Without it, a benchmark prints only its own tables.
ROWS_FILE = "TOCSIN_BENCHMARK_ROWS"
TOLERANCE = 0.1  # a figure that is worse by more than this has got worse; a floor that varies by more is bent
SLICES = 5


@dataclass(frozen=True)
class Row:
    """One figure, with the floor of the same run. Less is better, unless `more_is_better`."""

    name: str
    unit: str  # ms, s, MB, /s; the floor's too
    measured: float
    floor: float | None = None
    varied: float | None = None  # between the lowest and the highest floor of the run, as a share of the lowest
    cpu_bot: float | None = None  # ms for each command, message and so on
    cpu_database: float | None = None
    more_is_better: bool = False
    wanted: float | None = None  # of `measured`
    wanted_ratio: float | None = None
    load: float = 0.0  # of the machine when the row was recorded
    cores: int = 1

    @property
    def ratio(self) -> float | None:
        """Measured to floor."""
        return self.measured / self.floor if self.floor else None

    @property
    def bent(self) -> bool:
        """Whether the machine was so busy that the figures are not to be relied on."""
        return self.load > self.cores or (self.varied is not None and self.varied > TOLERANCE)

    @property
    def is_met(self) -> bool | None:
        """Whether the row is at its mark; None if there is no mark."""
        marks = [(self.measured, self.wanted), (self.ratio, self.wanted_ratio)]
        found = [
            value >= mark if self.more_is_better else value <= mark
            for value, mark in marks
            if value is not None and mark is not None
        ]
        return all(found) if found else None


@dataclass(frozen=True)
class Result:
    """The rows of a run. A row that was not measured again is kept from an earlier one."""

    date: datetime
    rows: tuple[Row, ...]

    def to_json(self) -> str:
        """The result as text that `from_json` reads."""
        return json.dumps({"date": self.date.isoformat(), "rows": [asdict(row) for row in self.rows]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Reads a result. Raises ValueError if it is none, or one of another version."""
        try:
            found = json.loads(text)
            return cls(datetime.fromisoformat(found["date"]), tuple(Row(**row) for row in found["rows"]))
        except (KeyError, TypeError) as error:
            raise ValueError(str(error)) from error

    def update(self, later: Result) -> Result:
        """This result with the rows of a later one, which replace those of the same name."""
        again = {row.name: row for row in later.rows}
        known = tuple(again.pop(row.name, row) for row in self.rows)
        return Result(later.date, (*known, *again.values()))


def record(*rows: Row) -> None:
    """Records rows for the table, with the load of the machine at this moment."""
    if file := os.environ.get(ROWS_FILE):
        load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
        with Path(file).open("a") as out:
            for row in rows:
                out.write(json.dumps(asdict(replace(row, load=load, cores=cores))) + "\n")


def read_rows(text: str) -> list[Row]:
    """The rows that `record` has written."""
    return [Row(**json.loads(line)) for line in text.splitlines()]


def measure_variation(values: Sequence[float]) -> float | None:
    """How much the floor varied while it was measured: by the medians of a few slices, one after the other.

    The share by which the highest is above the lowest; None if there are too few values.
    """
    size = max(1, len(values) // SLICES)
    slices = [statistics.median(values[at : at + size]) for at in range(0, size * SLICES, size) if at < len(values)]
    return max(slices) / min(slices) - 1 if len(slices) > 1 and min(slices) > 0 else None


def render_table(rows: Iterable[Row]) -> str:
    """The table, in Markdown. An asterisk marks a row that a busy machine has bent."""
    lines = [
        "| | measured | floor | ratio | CPU of the bot, ms | of PostgreSQL, ms | wanted | load |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    lines += ["| " + " | ".join(_render_cells(row)) + " |" for row in rows]
    return "\n".join(lines)


def _render_cells(row: Row) -> list[str]:
    return [
        row.name + (" *" if row.bent else ""),
        _render_figure(row.measured, row.unit),
        _render_figure(row.floor, row.unit),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        _render_figure(row.cpu_bot),
        _render_figure(row.cpu_database),
        _render_wanted(row),
        f"{row.load:.1f}",
    ]


def _render_figure(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".replace(" /s", "/s").strip()


def _render_wanted(row: Row) -> str:
    sign = "≥" if row.more_is_better else "≤"
    marks = [f"{sign} {_render_figure(row.wanted, row.unit)}"] if row.wanted is not None else []
    marks += [f"ratio {sign} {row.wanted_ratio:g}"] if row.wanted_ratio is not None else []
    return "" if not marks else ", ".join(marks) + (": yes" if row.is_met else ": **no**")


def compare(before: Result, rows: Iterable[Row]) -> list[str]:
    """A sentence for each row that is worse than in the result before by over a tenth.

    What has a floor is compared by the ratio, which another load hardly changes; and CPU by itself.
    """
    known = {row.name: row for row in before.rows}
    found = []
    for row in rows:
        old = known.get(row.name)
        if old is None:
            continue
        doubtful = " (the machine was busy)" if row.bent or old.bent else ""
        for what, was, value in _list_comparable(old, row):
            change = value / was - 1 if not row.more_is_better or what == "CPU" else was / value - 1
            if change > TOLERANCE:
                found.append(f"{row.name}: {what} {value:.2f}, was {was:.2f}, {change:.0%} worse{doubtful}.")
    return found


def _list_comparable(old: Row, new: Row) -> list[tuple[str, float, float]]:
    pairs = [("ratio", old.ratio, new.ratio)]
    if old.ratio is None or new.ratio is None:
        pairs = [(new.unit, old.measured, new.measured)]
    pairs.append(("CPU", _add_cpu(old), _add_cpu(new)))
    return [(what, was, value) for what, was, value in pairs if was and value]


def _add_cpu(row: Row) -> float | None:
    used = [one for one in (row.cpu_bot, row.cpu_database) if one is not None]
    return sum(used) if used else None
