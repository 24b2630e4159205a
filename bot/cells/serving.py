"""The cells beside the default one, in a process of `serve`.

Each has a thread that reaches its database, as long as that takes, and then starts its bot. The others work meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import URL

from bot.backlog import BacklogCollector
from bot.cells.directory import DEFAULT, CellDirectory
from bot.cells.distinct import check_distinct
from bot.cells.front import AwayRouter, CellListeners
from bot.cells.installing import CellCompletion
from bot.cells.intake import CellIntakes
from bot.cells.opening import Stores, open_cell
from bot.health import check_database
from bot.installations.assembly import Installations
from bot.installations.completion import Completion
from bot.intake.http import Intake, open_intake_store
from bot.metrics import Metrics
from bot.replicas import Heartbeat
from bot.settings import Settings
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.slack.listeners import Listeners
from storage.engine import Store, is_reachable
from storage.errors import Contended, DatabaseAway, DatabaseUnfit

log = structlog.get_logger(__name__)

RETRY_S = 2.0
# For `/readyz`, whose probe waits five seconds.
CHECKED_WITHIN_S = 1.5


class CellBot(Protocol):
    """The bot of one cell; `bot.app.Bot` is one."""

    listeners: Listeners
    installations: Installations | None
    clients: Clients

    def start(self) -> None: ...

    def stop(self, seconds: float) -> None: ...


@dataclass(slots=True)
class _Running:
    """A cell whose database was reached."""

    store: Store
    intake_store: Store
    heartbeat: Heartbeat
    intake: Intake | None
    bot: CellBot
    started: bool = False
    changing: threading.Lock = field(default_factory=threading.Lock)  # held while the bot is started or stopped


class OtherCells(Collector):
    """The cells beside the default one, from `start` to `stop`."""

    def __init__(self, settings: Settings, first: Store, role: str) -> None:
        """`first` is the database of the default cell."""
        self._urls: dict[str, URL] = dict(settings.cells)
        self._all_urls = {DEFAULT: first.url, **self._urls}
        self._distinct: frozenset[str] = frozenset()  # the cells that are known to be databases of their own
        self._stores: Stores = {DEFAULT: first, **dict.fromkeys(self._urls)}
        self._settings = settings
        self._role = role
        self._running: dict[str, _Running] = {}
        self._create_intake: Callable[[Store], Intake] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of `_running` and `_checks`
        self._checks: dict[str, Future[str]] = {}
        self._checking = ThreadPoolExecutor(max(1, len(self._urls)), "cell-check")
        self._threads: list[threading.Thread] = []
        self.directory = CellDirectory(self._stores)

    # --- what takes requests -----------------------------------------------------------------------------------

    def enter(self, listeners: Listeners, background: Background, clients: Clients, metrics: Metrics) -> CellListeners:
        """What takes the requests of Slack, with the listeners of the default cell.

        `clients` has that of SLACK_BOT_TOKEN: the tokens of other workspaces are in the cells that are away.
        """
        command = self._settings.slack_command
        away = Listeners(
            clients,
            AwayRouter(command),
            background,
            api_url=self._settings.slack_api_url,
            command=command,
            metrics=metrics,
        )

        def find(cell: str) -> Listeners | None:
            if cell == DEFAULT:
                return listeners
            running = self._running.get(cell)
            return running.bot.listeners if running and running.started else None

        return CellListeners(self.directory, find, away, clients)

    def distribute(self, own: Intake, create_intake: Callable[[Store], Intake]) -> CellIntakes:
        """What takes alerts, with the intake of the default cell and a function that makes those of the others."""
        self._create_intake = create_intake

        def find(cell: str) -> Intake | None:
            if cell == DEFAULT:
                return own
            running = self._running.get(cell)
            return running.intake if running else None

        return CellIntakes(own, self.directory, find)

    def complete_installations(self, of_default: Installations) -> None:
        """Has installations by OAuth completed in the cell of their workspace."""

        def list_completions() -> dict[str, Completion]:
            bots = {name: running.bot for name, running in self._list_running() if running.started}
            return {DEFAULT: of_default.completion} | {
                name: bot.installations.completion for name, bot in bots.items() if bot.installations
            }

        of_default.complete_with(CellCompletion(self.directory, list_completions))

    # --- from the start to the end -----------------------------------------------------------------------------

    def check_distinct(self) -> None:
        """Raises CellUnfit if two cells that answer are one database."""
        self._distinct = check_distinct(self._all_urls)

    def start(self, create_bot: Callable[[str, Store], CellBot], backlog: BacklogCollector) -> None:
        """Starts to reach the databases, and to serve what they have."""
        for name in self._urls:
            thread = threading.Thread(
                target=self._open, args=[name, create_bot, backlog], name=f"cell-{name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _open(self, name: str, create_bot: Callable[[str, Store], CellBot], backlog: BacklogCollector) -> None:
        reported = False
        while not self._stopping.is_set():
            try:
                if self._try_to_open(name, create_bot, backlog):
                    log.info("a cell is served", cell=name)
                return
            except (DatabaseAway, DatabaseUnfit, Contended) as error:
                if not reported:
                    log.error("a cell cannot be used yet", cell=name, reason=str(error))
                reported = True
            except Exception:
                log.exception("unexpected error in a cell", cell=name)
            self._stopping.wait(RETRY_S)

    def _try_to_open(self, name: str, create_bot: Callable[[str, Store], CellBot], backlog: BacklogCollector) -> bool:
        """Returns False if the process stops: nothing is started then."""
        store = self._stores[name] or self._reach(name)
        running = self._running.get(name)
        if running is None:
            intake_store = open_intake_store(store)
            intake = self._create_intake(intake_store) if self._create_intake else None
            bot = create_bot(name, store)
            running = _Running(store, intake_store, Heartbeat(store, self._role), intake, bot)
            with self._lock:
                if self._stopping.is_set():
                    intake_store.close()
                    return False
                self._running[name] = running
                running.heartbeat.start()
            backlog.add(store, lambda: [one.workspace_id for one in bot.clients.all()])
        with running.changing:
            if self._stopping.is_set():
                return False
            running.bot.start()
            running.started = True
            return True

    def _reach(self, name: str) -> Store:
        if name not in self._distinct:  # it did not answer when this process started
            self.check_distinct()
        store = open_cell(name, self._urls[name], self._stores)
        store.clock.read()
        return store

    def _list_running(self) -> list[tuple[str, _Running]]:
        with self._lock:
            return list(self._running.items())

    def begin_stop(self) -> None:
        """Reaches no more databases."""
        with self._lock:
            self._stopping.set()

    def stop(self, seconds: float) -> None:
        """Ends what the cells do, within `seconds`."""
        deadline = time.monotonic() + seconds
        self.begin_stop()
        stopping = [threading.Thread(target=_stop, args=[one, seconds]) for _, one in self._list_running()]
        for thread in stopping:
            thread.start()
        for thread in (*stopping, *self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Closes the databases."""
        self.begin_stop()
        self.directory.close()
        self._checking.shutdown(wait=False, cancel_futures=True)
        for _, running in self._list_running():
            running.heartbeat.stop()
            running.intake_store.close()
        for name, store in self._stores.items():
            if store is not None and name != DEFAULT:
                store.close()

    # --- health ------------------------------------------------------------------------------------------------

    def check(self) -> dict[str, str]:
        """What is wrong with each cell, "ok" where nothing is, for `/readyz`."""
        with self._lock:
            for name in self._urls:
                if name not in self._checks or self._checks[name].done():  # one that hangs is not asked twice
                    self._checks[name] = self._checking.submit(self._check, name)
            checks = dict(self._checks)
        wait(checks.values(), CHECKED_WITHIN_S)
        return {name: check.result() if check.done() else "does not answer in time" for name, check in checks.items()}

    def _check(self, name: str) -> str:
        running = self._running.get(name)
        if running is None:
            return "was not reached yet"
        problems = [value for value in check_database(running.store).values() if value not in ("ok", "not known")]
        return problems[0] if problems else "ok" if running.started else "is being started"

    def describe(self) -> Iterator[Metric]:
        """The metric without values."""
        yield _create_gauge()

    def collect(self) -> Iterator[Metric]:
        """Whether the database of each cell can be used."""
        gauge = _create_gauge()
        for name, store in self._stores.items():
            gauge.add_metric([name], float(store is not None and is_reachable(store)))
        yield gauge


def _stop(running: _Running, seconds: float) -> None:
    with running.changing:
        running.bot.stop(seconds)


def _create_gauge() -> GaugeMetricFamily:
    return GaugeMetricFamily("tocsin_cell_up", "Whether the database of a cell can be used.", labels=["cell"])
