"""The Prometheus metrics of digests."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_LATE_BUCKETS = (1, 2, 5, 10, 30, 60, 300, 1800, 7200)

_RESULTS = ("sent", "silent", "missed", "failed", "stopped")


class DigestMetrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.finished = Counter(
            "tocsin_digests_total",
            "Digests, by what became of them: sent, silent (nothing open), missed (too late), failed (Slack refused"
            " it), stopped (it was paused).",
            ["result"],
            registry=registry,
        )
        for result in _RESULTS:
            self.finished.labels(result)  # from the start, so that the first one is seen as an increase
        self.late_seconds = Histogram(
            "tocsin_digest_late_seconds",
            "From the time at which a digest was due until it was handed to delivery.",
            registry=registry,
            buckets=_LATE_BUCKETS,
        )
