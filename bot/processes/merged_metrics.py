"""The metrics of several processes as those of one.

Counters and histograms are added up. What a gauge becomes depends on what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric

# A family as JSON: name, documentation, type, and its samples with name, labels and value.
Family = Sequence[Any]

_ADDED = frozenset({"counter", "histogram", "summary"})
# True only where it is for every process.
_EVERY = frozenset({"tocsin_database_up", "tocsin_slack_connected"})
_LEAST = _EVERY | {"process_start_time_seconds"}  # when the first of them started
_MOST = frozenset({"tocsin_build_info"})
# What processes use, or may use.
_SUM = frozenset(
    {
        "tocsin_workers_in_use",
        "tocsin_workers_limit",
        "tocsin_workers_waiting",
        "tocsin_database_connections_in_use",
        "tocsin_database_connections_limit",
        "tocsin_slack_sockets",
        "tocsin_http_connections",
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    }
)


def list_families(registry: CollectorRegistry) -> list[Family]:
    """The metrics of this process."""
    return [
        [one.name, one.documentation, one.type, [[sample.name, sample.labels, sample.value] for sample in one.samples]]
        for one in registry.collect()
    ]


def keep_counts(families: Iterable[Family]) -> list[Family]:
    """Of the metrics of a process that has ended, those that may not go back: what it has counted."""
    return [family for family in families if family[2] in _ADDED]


def mark_unanswered(families: Iterable[Family]) -> list[Family]:
    """Of the metrics that a process gave last, which does not answer now: its counts, and that it is not well.

    A process whose database hangs cannot say so in time, because it asks the database for it.
    """
    known = list(families)
    unwell = [
        [name, documentation, kind, [[sample, labels, 0.0] for sample, labels, _ in samples]]
        for name, documentation, kind, samples in known
        if name in _EVERY
    ]
    return [*keep_counts(known), *unwell]


def merge(processes: Iterable[Iterable[Family]]) -> list[Family]:
    """The metrics of all processes."""
    heads: dict[str, tuple[str, str]] = {}
    values: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
    for families in processes:
        for name, documentation, kind, samples in families:
            heads.setdefault(name, (documentation, kind))
            for sample, labels, value in samples:
                key = (name, sample, tuple(labels.items()))
                values[key] = _choose(sample, kind)((values[key], value)) if key in values else value
    merged: dict[str, list[Any]] = {name: [name, *head, []] for name, head in heads.items()}
    for (name, sample, labels), value in values.items():
        merged[name][3].append([sample, dict(labels), value])
    return list(merged.values())


def build_metrics(families: Iterable[Family]) -> Iterator[Metric]:
    """The metrics as Prometheus's library has them."""
    for name, documentation, kind, samples in families:
        metric = Metric(name, documentation, kind)
        for sample, labels, value in samples:
            metric.add_sample(sample, labels, value)
        yield metric


def find_rule(sample: str, kind: str) -> Callable[[tuple[float, float]], float] | None:
    """How the values of two processes become one; None for a gauge that is not known here."""
    if sample in _LEAST or (kind in _ADDED and sample.endswith("_created")):
        return min
    if sample in _MOST:
        return max
    if kind in _ADDED or sample in _SUM:
        return sum
    return None


def _choose(sample: str, kind: str) -> Callable[[tuple[float, float]], float]:
    # A process that was started again may run newer code than its parent, with gauges of its own.
    return find_rule(sample, kind) or max
