"""What a child of `serve --workers` shares with the others: the HTTP port, and what it shows of itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from bot.processes.channel import NoAnswer, Questions, answer_questions
from bot.processes.merged_metrics import build_metrics, list_families

log = structlog.get_logger(__name__)

# What a child answers its parent, and its parent a child.
METRICS = "metrics"
READY = "ready"  # the child that asks can work now
PROBLEM = "problem"
RUNNING = "running"  # whether all processes have been ready
FAILURE = "failure: "  # and why the child that says so cannot run
ASK_S = 3.0  # the parent asks every child, each for at most two seconds and all at once


class Member(Collector):
    """This process as one of a group. The descriptors of its sockets come from the parent (`--group`)."""

    def __init__(self, descriptors: str) -> None:
        """`descriptors` are numbers: of the channels to ask and to answer, and of the HTTP port where it is served.

        Raises ValueError and OSError for anything else.
        """
        asking, answering, *port = map(int, descriptors.split(","))
        self._parent = Questions(socket.socket(fileno=asking))
        self._answering = socket.socket(fileno=answering)
        self.port = socket.socket(fileno=port[0]) if port else None
        self._own: CollectorRegistry | None = None
        threading.Thread(target=self._answer_parent, name="parent", daemon=True).start()

    def share(self, own: CollectorRegistry) -> CollectorRegistry:
        """Has the group show the metrics of this process. Returns those of the whole group."""
        self._own = own
        shown = CollectorRegistry()
        shown.register(self)
        return shown

    def report_ready(self) -> None:
        """Tells the parent that this process can work."""
        self._ask(READY)

    def report_failure(self, sentence: str) -> None:
        """Tells the parent why this process cannot run. The parent says it once for all."""
        self._ask(FAILURE + sentence)

    def joins_running_group(self) -> bool:
        """Whether this process takes the place of one that has died."""
        return bool(self._ask(RUNNING))

    def find_problem(self) -> str | None:
        """What is wrong with the other processes; None if nothing is."""
        problem = self._ask(PROBLEM)
        return None if problem is None else str(problem)

    def describe(self) -> Iterable[Metric]:
        """None: the others cannot be asked yet when this is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The metrics of all processes; where the parent does not answer, those of this one."""
        assert self._own is not None
        return build_metrics(self._ask(METRICS) or list_families(self._own))

    def _ask(self, question: str) -> Any:
        try:
            return self._parent.ask(question, ASK_S)
        except NoAnswer:
            log.warning("the parent process does not answer", question=question)
            return None

    def _answer_parent(self) -> None:
        try:
            answer_questions(self._answering, lambda _: list_families(self._own) if self._own else [])
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # the parent is gone
