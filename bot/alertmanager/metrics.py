"""The Prometheus metrics of the comparison with Alertmanager."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

_RESULTS = ("ok", "away", "failed")


class AlertmanagerMetrics:
    """The metrics of one process. Where several run, one of them at a time compares."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.passes = Counter(
            "tocsin_alertmanager_passes_total",
            "Comparisons of silences with Alertmanager's: ok, away (it cannot be reached or used), failed (a defect).",
            ["result"],
            registry=registry,
        )
        for result in _RESULTS:
            self.passes.labels(result)  # from the start, so that the first one is seen as an increase
