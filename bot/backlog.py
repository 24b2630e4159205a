"""The metrics of what waits in the database. They are read when Prometheus asks, in one statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries.backlog import Backlog, add_backlogs, find_backlog
from storage.values import Urgency

log = structlog.get_logger(__name__)


class BacklogCollector(Collector):
    """Collects what waits, of all processes on the database: each of them gives the same values."""

    def __init__(self, store: Store, workspaces: Callable[[], list[str]]) -> None:
        """`workspaces` gives those that the process has a client for. What waits for others may wait for good."""
        self._sources = [(store, workspaces)]

    def add(self, store: Store, workspaces: Callable[[], list[str]]) -> None:
        """Adds the database of another cell; the values are the sums."""
        self._sources.append((store, workspaces))

    def describe(self) -> Iterator[Metric]:
        """The metrics without values, so that registering them asks no database."""
        return _render(Backlog())

    def collect(self) -> Iterator[Metric]:
        """The metrics; none while the database is away, which `tocsin_database_up` says."""
        found = [one for store, workspaces in self._sources if (one := _read(store, workspaces)) is not None]
        if found:
            yield from _render(reduce(add_backlogs, found))


def _read(store: Store, workspaces: Callable[[], list[str]]) -> Backlog | None:
    try:
        with store.read() as connection:
            return find_backlog(connection, workspaces(), store.clock.now())
    except (DatabaseAway, Contended):
        return None
    except Exception:
        log.exception("what waits could not be read")  # the other metrics are still given
        return None


def _render(found: Backlog) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "tocsin_delivery_waiting", "Messages and changes that wait to be sent, by urgency.", labels=["urgency"]
    )
    oldest = GaugeMetricFamily(
        "tocsin_delivery_oldest_seconds", "Age of the oldest of those, by urgency.", labels=["urgency"]
    )
    for urgency in Urgency:
        label = [urgency.name.lower()]
        waiting.add_metric(label, found.delivery[urgency].count)
        oldest.add_metric(label, found.delivery[urgency].oldest_s)
    yield waiting
    yield oldest
    yield GaugeMetricFamily("tocsin_calls_due", "Calls that are due and not yet made.", value=found.calls.count)
    yield GaugeMetricFamily(
        "tocsin_calls_late_seconds", "How long the oldest of those has been due.", value=found.calls.oldest_s
    )
    yield GaugeMetricFamily(
        "tocsin_digests_due", "Digests that are due and not yet handed to delivery.", value=found.digests.count
    )
    yield GaugeMetricFamily(
        "tocsin_digests_late_seconds", "How long the oldest of those has been due.", value=found.digests.oldest_s
    )
    yield GaugeMetricFamily("tocsin_storms", "Storms of alerts that go on.", value=found.storms)
    yield GaugeMetricFamily(
        "tocsin_incidents_folded",
        "Incidents that the messages of these storms show instead of a card.",
        value=found.folded_incidents,
    )
    yield GaugeMetricFamily("tocsin_silences", "Silences in force.", value=found.silences)
    yield GaugeMetricFamily(
        "tocsin_incidents_silenced", "Open incidents that a silence holds.", value=found.silenced_incidents
    )
    yield GaugeMetricFamily(
        "tocsin_destinations_failed",
        "Channels and people that Slack takes no messages for.",
        value=found.failed_destinations,
    )
    yield GaugeMetricFamily(
        "tocsin_workspaces_paused", "Workspaces whose token Slack refuses.", value=found.paused_workspaces
    )
    replicas = GaugeMetricFamily(
        "tocsin_replicas", "Processes of `serve` on this database, by role and version.", labels=["role", "version"]
    )
    for labels, count in sorted(found.replicas.items()):
        replicas.add_metric(labels, count)
    yield replicas
