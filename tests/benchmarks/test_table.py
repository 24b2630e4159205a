"""The table of the benchmarks: what is bent, what got worse, and how it is shown. Nothing is measured."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.table import ROWS_FILE, Result, Row, compare, measure_variation, read_rows, record, render_table

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
ACK = Row("ack", "ms", 1.5, 1.0, cpu_bot=0.8, cpu_database=0.4, wanted_ratio=1.5, load=1.0, cores=2)
RATE = Row("messages", "/s", 1200.0, 1500.0, more_is_better=True, wanted=1000.0, cores=2)
START = Row("start", "s", 1.04, wanted=1.0, cores=2)


def test_a_row_is_at_its_mark_or_not() -> None:
    assert [ACK.is_met, RATE.is_met, START.is_met] == [True, True, False]
    assert Row("x", "s", 1.0).is_met is None
    assert Row("in flight", "/s", 360.0, 1000.0, more_is_better=True, wanted_ratio=0.6).is_met is False


@pytest.mark.parametrize(
    ("load", "varied", "bent"),
    [(2.0, None, False), (2.1, None, True), (0.1, 0.1, False), (0.1, 0.11, True)],
)
def test_a_busy_machine_bends_a_row(load: float, varied: float | None, bent: bool) -> None:
    assert Row("x", "s", 1.0, load=load, cores=2, varied=varied).bent is bent


def test_the_floor_varies_from_slice_to_slice_and_not_by_single_values() -> None:
    assert measure_variation([1.0] * 50) == 0
    assert measure_variation(([1.0] * 9 + [30.0]) * 5) == 0
    assert measure_variation([1.0] * 40 + [1.5] * 10) == 0.5
    assert measure_variation([2.0, 1.0]) == 1.0
    assert measure_variation([1.0]) is None


def worse(before: Row, after: Row) -> list[str]:
    return compare(Result(MOMENT, (before,)), [after])


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (ACK, Row("ack", "ms", 15.9, 10.0, cpu_bot=0.8, cpu_database=0.4, cores=2), []),  # another load
        (ACK, Row("ack", "ms", 1.8, 1.0, cores=2), ["ack: ratio 1.80, was 1.50, 20% worse."]),
        (
            ACK,
            Row("ack", "ms", 1.5, 1.0, cpu_bot=0.8, cpu_database=1.0, cores=2),
            ["ack: CPU 1.80, was 1.20, 50% worse."],
        ),
        (RATE, Row("messages", "/s", 1000.0, 1500.0, more_is_better=True), ["messages: ratio 0.67, was 0.80, 20% worse."]),  # noqa: E501
        (RATE, Row("messages", "/s", 3000.0, 1500.0, more_is_better=True), []),
        (START, Row("start", "s", 1.3, cores=2), ["start: s 1.30, was 1.04, 25% worse."]),
        (START, Row("start", "s", 1.3, load=9, cores=2), ["start: s 1.30, was 1.04, 25% worse (the machine was busy)."]),  # noqa: E501
        (START, Row("new", "s", 9.0), []),
    ],
)  # fmt: skip
def test_it_says_what_got_worse_by_over_a_tenth(before: Row, after: Row, says: list[str]) -> None:
    assert worse(before, after) == says


def test_the_table_has_a_line_for_each_row() -> None:
    bent = Row("intake", "/s", 5837.4, 1681.0, more_is_better=True, load=7.25, cores=2)
    assert render_table([ACK, START, bent]).splitlines()[2:] == [
        "| ack | 1.50 ms | 1.00 ms | 1.50 | 0.80 | 0.40 | ratio ≤ 1.5: yes | 1.0 |",
        "| start | 1.04 s |  |  |  |  | ≤ 1.00 s: **no** | 0.0 |",
        "| intake * | 5,837/s | 1,681/s | 3.47 |  |  |  | 7.2 |",
    ]


def test_what_was_not_measured_again_is_kept() -> None:
    later = Result(datetime(2026, 11, 2, tzinfo=UTC), (Row("start", "s", 0.9), RATE))
    kept = Result.from_json(Result.from_json(Result(MOMENT, (ACK, START)).to_json()).update(later).to_json())
    assert kept == Result(later.date, (ACK, Row("start", "s", 0.9), RATE))


@pytest.mark.parametrize("text", ["", "[]", '{"date": "2026-11-01"}', '{"date": "2026-11-01", "rows": [{"old": 1}]}'])
def test_a_result_of_another_version_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        Result.from_json(text)


def test_a_benchmark_records_rows_where_the_table_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROWS_FILE, raising=False)
    record(ACK)
    file = tmp_path / "rows"
    monkeypatch.setenv(ROWS_FILE, str(file))
    record(ACK)
    record(RATE, START)
    rows = read_rows(file.read_text())
    assert [(row.name, row.measured, row.wanted) for row in rows] == [
        ("ack", 1.5, None), ("messages", 1200.0, 1000.0), ("start", 1.04, 1.0)
    ]  # fmt: skip
    assert all(row.cores >= 1 for row in rows)
