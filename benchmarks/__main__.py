"""Runs the benchmarks and prints one table: `python3 -m benchmarks [--only NAME] [--long]`.

Each runs in a process of its own, one after the other. The result is kept beside this file, without git, and the next
run says what got worse since by over a tenth. Benchmarks that need a browser, a cluster or many minutes are left out:
they run by themselves.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from benchmarks.table import ROWS_FILE, Result, Row, compare, read_rows, render_table

LAST = Path(__file__).parent / ".last.json"
OUTPUT_SHOWN = 2000  # characters of one that fails


@dataclass(frozen=True)
class Benchmark:
    """A module of this package, and the sizes at which it takes a minute or two."""

    name: str
    arguments: tuple[str, ...] = ()
    long: bool = False  # takes many minutes


BENCHMARKS = (
    Benchmark("startup", ("--rounds", "5")),
    Benchmark("commands", ("--incidents", "1000")),
    Benchmark("delivery", ("--stored", "1000")),
    Benchmark("digests", ("--incidents", "50000")),
    Benchmark("calls", ("--incidents", "1000")),
    Benchmark("intake", ("--incidents", "10000", "--seconds", "2")),
    Benchmark("organization"),
    Benchmark("soak", long=True),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs them and prints the table, in Markdown. Returns 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks", description=__doc__)
    names = [one.name for one in BENCHMARKS]
    parser.add_argument("--only", action="append", choices=names, help="runs this one; may be given several times")
    parser.add_argument("--long", action="store_true", help="runs those too that take many minutes")
    chosen = parser.parse_args(arguments)
    before = read_last(LAST)
    rows: list[Row] = []
    failed = []
    for benchmark in BENCHMARKS:
        if benchmark.name in chosen.only if chosen.only else chosen.long or not benchmark.long:
            began = perf_counter()
            print(f"{benchmark.name} …", end=" ", file=sys.stderr, flush=True)
            found = run(benchmark)
            print(f"{perf_counter() - began:.0f} s", file=sys.stderr)
            if found is None:
                failed.append(benchmark.name)
            else:
                rows += found
    print(render_table(rows))
    if any(row.bent for row in rows):
        print("\n\\* bent: the load was above the number of cores, or the floor varied by over a tenth.")
    if before is not None:
        worse = compare(before, rows)
        print(
            f"\nSince {before.date:%Y-%m-%d %H:%M} UTC:", *(worse or ["nothing got worse by over a tenth."]), sep="\n- "
        )
    result = Result(datetime.now(UTC), tuple(rows))
    LAST.write_text((before.update(result) if before else result).to_json())
    if failed:
        print(f"\nFailed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def read_last(file: Path) -> Result | None:
    """The result of the last run; None if there is none that can be read."""
    try:
        return Result.from_json(file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def run(benchmark: Benchmark) -> list[Row] | None:
    """Runs one benchmark. Returns its rows; None if it failed, after showing how."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{benchmark.name}", *benchmark.arguments],
            env={**os.environ, ROWS_FILE: str(rows)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"failed:\n{done.stdout[-OUTPUT_SHOWN:]}", file=sys.stderr)
            return None
        return read_rows(rows.read_text())


if __name__ == "__main__":
    sys.exit(main())
