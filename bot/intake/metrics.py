"""The intake's metrics for Prometheus, made for a registry as those of `bot/metrics.py` are."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class IntakeMetrics:
    """The counters of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.alerts = Counter(
            "tocsin_intake_alerts_total",
            "Alerts received, by what they did.",
            ["source", "outcome"],
            registry=registry,
        )
        self.refused_alerts = Counter(
            "tocsin_intake_refused_alerts_total",
            "Alerts refused, by the field at fault.",
            ["source", "field"],
            registry=registry,
        )
        self.refused = Counter(
            "tocsin_intake_refused_total",
            "Deliveries refused as a whole, by reason.",
            ["source", "reason"],
            registry=registry,
        )
