"""The Prometheus metrics of delivery."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_WAITED_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class DeliveryMetrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter("tocsin_posts_sent_total", "Messages that Slack took.", ["kind", "how"], registry=registry)
        self.failed = Counter(
            "tocsin_posts_failed_total",
            "Messages that were given up, by Slack's reason.",
            ["reason"],
            registry=registry,
        )
        self.retried = Counter(
            "tocsin_posts_retried_total", "Calls that are tried again, by what went wrong.", ["why"], registry=registry
        )
        self.unknown = Counter(
            "tocsin_posts_unknown_total",
            "Messages that were searched for because their outcome was unknown.",
            ["found"],
            registry=registry,
        )
        self.refused_blocks = Counter(
            "tocsin_posts_refused_blocks_total",
            "Messages that were sent as plain text: a defect of the bot.",
            registry=registry,
        )
        self.pauses = Counter(
            "tocsin_workspace_pauses_total", "Times that Slack refused a workspace's token.", registry=registry
        )
        self.expanded = Counter("tocsin_changes_expanded_total", "Changes turned into messages.", registry=registry)
        self.waited = Histogram(
            "tocsin_post_waited_seconds",
            "From asking for a message to its arrival.",
            ["kind"],
            buckets=_WAITED_BUCKETS,
            registry=registry,
        )
