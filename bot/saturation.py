"""The metrics of what a process can use up: worker threads, database connections, sockets, time of the event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from storage.engine import Store

_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How much of a pool is in use at this moment."""

    name: str
    in_use: int
    limit: int
    waiting: int = 0  # work that waits for one to become free


def list_connection_pools(store: Store, name: str) -> list[PoolUse]:
    """The use of a store's database connections, as pools of this name."""
    return [PoolUse(f"{name}-{pool}", in_use, limit) for pool, in_use, limit in store.count_connections()]


ListPools = Callable[[], Iterable[PoolUse]]


class Saturation(Collector):
    """Collects the use of all pools of a process. It reads counters in memory, and waits for nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._workers: list[ListPools] = []
        self._database: list[ListPools] = []
        self._sockets: Callable[[], int] = int
        self._http_connections: Callable[[], int] = int
        self.loop_lag = Histogram(
            "tocsin_event_loop_lag_seconds",
            "How late the event loop of the HTTP server does what is due, measured once a second.",
            registry=registry,
            buckets=_LAG_BUCKETS,
        )
        registry.register(self)

    def watch_workers(self, pools: ListPools) -> None:
        """Adds pools of worker threads."""
        self._workers.append(pools)

    def watch_database(self, pools: ListPools) -> None:
        """Adds pools of database connections."""
        self._database.append(pools)

    def watch_sockets(self, count: Callable[[], int]) -> None:
        """Sets the function that counts the open web sockets to Slack."""
        self._sockets = count

    def watch_http_connections(self, count: Callable[[], int]) -> None:
        """Sets the function that counts the open HTTP connections."""
        self._http_connections = count

    def of_cell(self, cell: str) -> CellSaturation:
        """Collects the pools of a further cell under names of their own."""
        return CellSaturation(self, cell)

    def collect(self) -> Iterator[Metric]:
        """The use of this moment."""
        workers = [pool for pools in self._workers for pool in pools()]
        database = [pool for pools in self._database for pool in pools()]
        yield from _render("tocsin_workers", "Worker threads", workers)
        yield _gauge("tocsin_workers_waiting", "Work that waits for a free worker thread.", workers, "waiting")
        yield from _render("tocsin_database_connections", "Database connections", database)
        yield GaugeMetricFamily("tocsin_slack_sockets", "Open web sockets to Slack.", value=self._sockets())
        yield GaugeMetricFamily("tocsin_http_connections", "Open HTTP connections.", value=self._http_connections())


class CellSaturation:
    """The pools of one cell of several. Its requests come in through the sockets of the process."""

    def __init__(self, of_process: Saturation, cell: str) -> None:
        self._of_process = of_process
        self._cell = cell

    def watch_workers(self, pools: ListPools) -> None:
        """Adds pools of worker threads."""
        self._of_process.watch_workers(lambda: self._name(pools))

    def watch_database(self, pools: ListPools) -> None:
        """Adds pools of database connections."""
        self._of_process.watch_database(lambda: self._name(pools))

    def _name(self, pools: ListPools) -> Iterator[PoolUse]:
        return (replace(pool, name=f"{self._cell}-{pool.name}") for pool in pools())


def _render(name: str, what: str, pools: Iterable[PoolUse]) -> Iterator[Metric]:
    yield _gauge(f"{name}_in_use", f"{what} in use.", pools, "in_use")
    yield _gauge(f"{name}_limit", f"{what} that there may be at most.", pools, "limit")


def _gauge(name: str, documentation: str, pools: Iterable[PoolUse], attribute: str) -> Metric:
    gauge = GaugeMetricFamily(name, documentation, labels=["pool"])
    for pool in pools:
        gauge.add_metric([pool.name], getattr(pool, attribute))
    return gauge
