"""The Prometheus metrics of calls."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from storage.queries.calls import StepResult

# What becomes of a due step: `called`; why it calls nobody (`nobody`: there is nobody to be called); or that it waits.
_RESULTS = ("called", "nobody", "owned", "acknowledged", "resolved", "superseded", "off", "put_off", "failed")


class CallMetrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.steps = Counter(
            "tocsin_calls_total",
            "Steps of calls that were due, by what became of them: called, nobody (there was nobody to call), owned,"
            " acknowledged, resolved, superseded, off, put_off (silence or quiet hours), failed.",
            ["result"],
            registry=registry,
        )
        for result in _RESULTS:
            self.steps.labels(result)  # from the start, so that the first one is seen as an increase

    def record(self, results: Iterable[StepResult]) -> None:
        """Counts what became of steps."""
        for one in results:
            self.steps.labels(one.outcome or ("owned" if one.due_at is None else "put_off")).inc()
