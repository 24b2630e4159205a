"""Running the benchmarks: what is kept, and what is said when one fails. Nothing is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks.__main__ import BENCHMARKS, Benchmark
from benchmarks.table import Row


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Row] | None]:
    """The rows of each benchmark, which stand for processes that take minutes; None for one that fails."""
    rows: dict[str, list[Row] | None] = {one.name: [Row(one.name, "s", 1.0)] for one in BENCHMARKS}

    def run(benchmark: Benchmark) -> list[Row] | None:
        return rows[benchmark.name]

    monkeypatch.setattr(runner, "LAST", tmp_path / "last.json")
    monkeypatch.setattr(runner, "run", run)
    return rows


def test_it_says_what_got_worse_since_the_last_run(
    measured: dict[str, list[Row] | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main([]) == 0
    assert "worse" not in capsys.readouterr().out
    measured["startup"] = [Row("startup", "s", 1.2)]
    assert runner.main(["--only", "startup"]) == 0
    assert "\n- startup: s 1.20, was 1.00, 20% worse." in capsys.readouterr().out
    # Each run is compared with the one before it.
    assert runner.main(["--only", "startup", "--only", "calls"]) == 0
    assert "nothing got worse by over a tenth." in capsys.readouterr().out


@pytest.mark.usefixtures("measured")
def test_those_that_take_long_are_left_out_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    runner.main([])
    assert "| soak |" not in capsys.readouterr().out
    runner.main(["--long"])
    assert "| soak |" in capsys.readouterr().out
    runner.main(["--only", "soak"])
    assert "| startup |" not in capsys.readouterr().out


def test_one_that_fails_is_named_and_the_others_are_kept(
    measured: dict[str, list[Row] | None], capsys: pytest.CaptureFixture[str]
) -> None:
    measured["delivery"] = None
    assert runner.main([]) == 1
    shown = capsys.readouterr()
    assert "Failed: delivery." in shown.err
    assert "| intake |" in shown.out
    last = runner.read_last(runner.LAST)
    assert last is not None
    assert "delivery" not in {row.name for row in last.rows}


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda one: one.name)
def test_each_is_a_module_that_knows_its_options(benchmark: Benchmark) -> None:
    source = (Path(runner.__file__).parent / f"{benchmark.name}.py").read_text()
    assert all(f'"{option}"' in source for option in benchmark.arguments if option.startswith("--"))
    assert "record(" in source
