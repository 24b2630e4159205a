"""Prometheus metrics of Slack's requests and of calls to Slack. Intake, delivery and digests have their own."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bot import __version__

# Seconds. An answer takes one or two milliseconds; Slack waits three seconds.
_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 3.0)
# Seconds. Slack mostly answers within half a second, and calls are given up after two or a few.
_CALL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
# Seconds that Slack asks to wait.
_RETRY_AFTER_BUCKETS = (1, 2, 5, 10, 30, 60, 300)


class SlackCallMetrics:
    """The metrics of calls of Slack's Web API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter(
            "tocsin_slack_calls_total",
            "Calls of Slack's Web API: ok, Slack's reason for refusing, or no_answer.",
            ["method", "result"],
            registry=registry,
        )
        self.seconds = Histogram(
            "tocsin_slack_call_seconds",
            "From a call of Slack's Web API to its answer.",
            ["method"],
            registry=registry,
            buckets=_CALL_BUCKETS,
        )
        self.retry_after_seconds = Histogram(
            "tocsin_slack_retry_after_seconds",
            "How long Slack asked to wait, by Retry-After.",
            ["method"],
            registry=registry,
            buckets=_RETRY_AFTER_BUCKETS,
        )

    def record(self, method: str, result: str, seconds: float, retry_after_s: float | None = None) -> None:
        """Records a call that took `seconds`."""
        self.calls.labels(method, result).inc()
        self.seconds.labels(method).observe(seconds)
        if retry_after_s is not None:
            self.retry_after_seconds.labels(method).observe(retry_after_s)


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.slack_calls = SlackCallMetrics(registry)
        self.commands = Counter(
            "tocsin_commands_total", "Slash commands and words said to the bot.", ["verb", "result"], registry=registry
        )
        self.command_seconds = Histogram(
            "tocsin_command_seconds", "From a command to its answer.", ["verb"], registry=registry, buckets=_BUCKETS
        )
        self.interactions = Counter(
            "tocsin_interactions_total",
            "Buttons, forms, menus, shortcuts and events.",
            ["kind", "name", "result"],
            registry=registry,
        )
        self.acknowledgement_seconds = Histogram(
            "tocsin_acknowledgement_seconds",
            "From a request's arrival to its acknowledgement.",
            ["kind"],
            registry=registry,
            buckets=_BUCKETS,
        )
        self.late = Counter("tocsin_late_requests_total", "Requests that were not answered in time.", registry=registry)
        self.database_up = Gauge("tocsin_database_up", "Whether the database answers.", registry=registry)
        self.slack_connected = Gauge(
            "tocsin_slack_connected", "Whether requests of Slack can arrive.", registry=registry
        )
        build = Gauge("tocsin_build_info", "What is running.", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)

    def set_sources(self, database_up: Callable[[], bool], slack_connected: Callable[[], bool]) -> None:
        """Sets the functions that give the two states. Both are called each time the metrics are read."""
        self.database_up.set_function(lambda: float(database_up()))
        self.slack_connected.set_function(lambda: float(slack_connected()))

    @contextmanager
    def time_acknowledgement(self, kind: str) -> Iterator[None]:
        """Measures the time until the acknowledgement of one request is ready, which is when the block ends."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.acknowledgement_seconds.labels(kind).observe(time.perf_counter() - started)
