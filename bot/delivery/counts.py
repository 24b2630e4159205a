"""What `/metrics` tells of delivery. The counters are the process's, and shown where they are registered."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

SENT = Counter("tocsin_posts_sent_total", "Messages that Slack took", ["kind", "how"], registry=None)
FAILED = Counter(
    "tocsin_posts_failed_total", "Messages that were given up, by Slack's reason", ["reason"], registry=None
)
RETRIED = Counter(
    "tocsin_posts_retried_total", "Calls that are tried again, by what went wrong", ["why"], registry=None
)
UNKNOWN = Counter("tocsin_posts_unknown_total", "Messages whose outcome had to be looked for", ["found"], registry=None)
DEFECTS = Counter(
    "tocsin_posts_refused_blocks_total", "Messages that went as plain text: a defect of the bot", registry=None
)
PAUSES = Counter("tocsin_workspace_pauses_total", "Times that a workspace's token was no good", registry=None)
EXPANDED = Counter("tocsin_changes_expanded_total", "Changes turned into messages", registry=None)
WAITED = Histogram(
    "tocsin_post_waited_seconds",
    "From the wish to a message's arrival",
    ["kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
    registry=None,
)


def show(registry: CollectorRegistry) -> None:
    """Has them among what the registry shows."""
    for counter in (SENT, FAILED, RETRIED, UNKNOWN, DEFECTS, PAUSES, EXPANDED, WAITED):
        registry.register(counter)
