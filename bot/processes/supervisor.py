"""The parent of `serve --workers`: starts the other processes, restarts one that has died, and stops them all.

The processes share one listening socket, which the parent opens and they inherit. With SO_REUSEPORT, each would have a
socket and a queue of its own: the connections in the queue of a process that dies would be lost, and macOS does not
distribute connections over such sockets. The embedded PostgreSQL is the parent's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog

import bot
from bot.processes.channel import NoAnswer, Questions, answer_questions
from bot.processes.member import FAILURE, METRICS, READY, RUNNING
from bot.processes.merged_metrics import Family, keep_counts, mark_unanswered, merge
from bot.processes.port import open_port
from bot.settings import MAX_SOCKETS, Role, Settings, SettingsError

log = structlog.get_logger(__name__)

# What runs a child, behind the interpreter. It calls the program as the parent was called, in what it writes.
COMMAND: tuple[str, ...] = (
    *("-P", "-c", "import sys; del sys.argv[0]; from bot.cli import main; sys.exit(main())"),
    *(sys.argv[0], "serve"),
)
MAX_WORKERS = 64
EXIT_OUTSIDE = 1
EXIT_USAGE = 2  # a setting is wrong, or Slack refuses a token: another try would end in the same way
# The wait before a process that has died is started again. It begins anew with one that has lasted.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
STABLE_AFTER_S = 60.0
STOP_S = 12.0  # a child that hangs is killed; it stops in ten seconds by itself, and systemd waits for fifteen
# For everything, the embedded database included. As with one process, what still hangs then is ended.
LIMIT_S = 14.0
_ANSWER_S = 2.0  # for a child to give its metrics


class ProcessFailed(Exception):
    """A process cannot run, and the others were stopped. The text is the sentence that it would have ended with."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code  # the exit code


def check_workers(settings: Settings, role: Role, workers: int) -> None:
    """Raises SettingsError if so many processes cannot answer with these settings."""
    if workers == 1:
        return
    if not role.takes_requests:
        raise SettingsError(
            "--workers: is for processes that answer. Run `serve --role worker` as often as you need it instead."
        )
    sockets = workers * settings.sockets
    if settings.slack_app_token is not None and sockets > MAX_SOCKETS:
        raise SettingsError(
            f"--workers: {workers} processes open {sockets} web sockets (TOCSIN_SOCKETS is {settings.sockets}), and"
            f" Slack allows {MAX_SOCKETS} for one app. Start fewer processes, or use HTTP mode."
        )


def supervise(
    settings: Settings, environment: Mapping[str, str], role: Role, workers: int, stop: threading.Event
) -> int:
    """Runs so many processes that answer, and with the role `all` one that sends, until `stop` is set.

    `environment` is that of the processes. Returns the exit code. Raises SettingsError if the port is taken, and
    ProcessFailed.
    """
    with open_port(settings) as port:
        group = _Group(environment, port, stop)
        for number in range(1, workers + 1):
            group.add(f"web-{number}", Role.WEB)
        if role.sends:
            group.add("worker", Role.WORKER)
        return group.run()


class _Group:
    def __init__(self, environment: Mapping[str, str], port: socket.socket, stop: threading.Event) -> None:
        self.environment = environment
        self.port = port
        self.stop = stop
        self.code = 0
        self.failure: str | None = None  # why the processes were stopped, where one has said it
        self._children: list[_Child] = []
        self._asking = ThreadPoolExecutor(MAX_WORKERS + 1, "metrics")  # all children at once, even if all hang
        self._running = False  # whether all processes have been ready
        self._lock = threading.Lock()  # of `code` and `failure`

    def add(self, name: str, role: Role) -> None:
        """Adds a process."""
        self._children.append(_Child(name, role, self))

    def run(self) -> int:
        """Runs the processes until `stop` is set or one cannot start. Returns the exit code. Raises ProcessFailed."""
        for child in self._children:
            child.start()
        self.stop.wait()
        log.info("stopping the processes", processes=len(self._children))
        self.port.close()  # what still arrives is refused once the children have closed theirs, too
        deadline = time.monotonic() + STOP_S
        for child in self._children:
            child.signal(signal.SIGTERM)
        late = [child for child in self._children if not child.join(deadline)]
        for child in late:
            log.error("a process does not stop, and is killed", process=child.name)
            child.signal(signal.SIGKILL)
        self._asking.shutdown(wait=False)
        if self.failure is not None:
            raise ProcessFailed(self.code, self.failure)
        hung = late or [child for child in self._children if child.stopped_with == EXIT_OUTSIDE]
        return self.code or (EXIT_OUTSIDE if hung else 0)

    def give_up(self, child: _Child, code: int) -> None:
        """Ends the group with the exit code of a process. The first one counts: all may have the same reason."""
        with self._lock:
            if self.code:
                return
            self.code = code if code > 0 else 1
            self.failure = child.failure
        if child.failure is None:
            log.error("a process could not start; the others are stopped", process=child.name, exit_code=code)
        self.stop.set()

    def answer(self, child: _Child, question: str) -> Any:
        """Answers what a child asks."""
        if question == METRICS:
            return self.collect()
        if question == RUNNING:
            return self._running
        if question.startswith(FAILURE):
            child.failure = question.removeprefix(FAILURE)
            return None
        if question == READY:
            child.ever_ready = True
            if not self._running and self.find_problem() is None:
                self._running = True
                log.info("all processes are ready", processes=[one.name for one in self._children])
        return self.find_problem()

    def find_problem(self) -> str | None:
        """Which processes have never been ready; None if all have."""
        starting = [child.name for child in self._children if not child.ever_ready]
        return f"starting: {', '.join(starting)}" if starting else None

    def collect(self) -> list[Family]:
        """The metrics of all processes, and what those that have ended had counted."""
        asked = [self._asking.submit(child.collect) for child in self._children]
        return merge(found for future in asked for found in future.result())


class _Child:
    """A process that is started again whenever it ends before the group is to stop."""

    def __init__(self, name: str, role: Role, group: _Group) -> None:
        self.name = name
        self.ever_ready = False
        self.failure: str | None = None  # why the present process, or the last one, cannot run
        self.stopped_with = 0  # the exit code of the process that has been told to stop; 1 where something hung
        self._role = role
        self._group = group
        self._lock = threading.Lock()  # of the process, while it is replaced
        self._process: subprocess.Popen[bytes] | None = None
        self._questions: Questions | None = None
        self._known: list[Family] = []  # the metrics that the present process gave last
        self._counted: list[Family] = []  # what those before it had counted
        self._thread = threading.Thread(target=self._keep_running, name=name, daemon=True)

    def start(self) -> None:
        """Starts the process, and keeps it running."""
        self._thread.start()

    def signal(self, number: int) -> None:
        """Sends a signal to the process, if there is one."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(number)

    def join(self, deadline: float) -> bool:
        """Waits until the process has ended for good, as long as the monotonic clock shows less than `deadline`."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def collect(self) -> list[list[Family]]:
        """The metrics of the process, and what those before it had counted."""
        questions, found = self._questions, None
        try:
            if questions is not None:
                found = questions.ask(METRICS, _ANSWER_S)
        except NoAnswer:
            log.warning("a process gives no metrics; what it had counted is shown", process=self.name)
        with self._lock:
            if found is None or self._questions is not questions:
                return [mark_unanswered(self._known), self._counted]
            self._known = found
            return [found, self._counted]

    def _keep_running(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._group.stop.is_set():
            began = time.monotonic()
            code = self._run()
            if self._group.stop.is_set():
                self.stopped_with = code
                return
            if code == EXIT_USAGE or not self.ever_ready:
                self._group.give_up(self, code)
                return
            if time.monotonic() - began > STABLE_AFTER_S:
                wait_s = FIRST_WAIT_S
            log.error(
                "a process has died, and is started again",
                process=self.name,
                exit_code=code,
                reason=self.failure,
                next_try_s=wait_s,
            )
            self._group.stop.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _run(self) -> int:
        """Runs the process once. Returns its exit code."""
        self.failure = None
        try:
            started = self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError where the port has been closed
            if self._group.stop.is_set():
                return 0
            log.error("a process cannot be started", process=self.name, error=str(error))
            return EXIT_OUTSIDE
        if started is None:
            return 0
        process, asking, answering = started
        with self._lock:
            self._questions = Questions(asking)
        answers = threading.Thread(
            target=answer_questions,
            args=[answering, lambda question: self._group.answer(self, question)],
            name=f"{self.name} asks",
            daemon=True,
        )
        answers.start()
        code = process.wait()
        with self._lock:
            self._questions.close()
            self._questions = None
            self._counted, self._known = merge([self._counted, keep_counts(self._known)]), []
        return code

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket, socket.socket] | None:
        """Starts the process. Returns it with the sockets over which it is asked, and answered; None after a stop.

        Raises OSError, ValueError and SubprocessError.
        """
        with self._lock, ExitStack() as ours, ExitStack() as theirs:
            if self._group.stop.is_set():
                return None
            asking, to_answer = _open_channel(ours, theirs)
            answering, to_ask = _open_channel(ours, theirs)
            port = [self._group.port] if self._role.takes_requests else []
            descriptors = [one.fileno() for one in (to_ask, to_answer, *port)]
            words = [*COMMAND, "--role", self._role.value, "--group", ",".join(map(str, descriptors))]
            self._process = subprocess.Popen(
                [sys.executable, *words],
                env={**self._group.environment, "PYTHONPATH": _find_path(self._group.environment)},
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
            )
            ours.pop_all()  # these stay open
            log.info("a process has been started", process=self.name, pid=self._process.pid)
            return self._process, asking, answering


def _open_channel(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    own, other = socket.socketpair()
    return ours.enter_context(own), theirs.enter_context(other)


def _find_path(environment: Mapping[str, str]) -> str:
    """PYTHONPATH of a child, which need not be started in the folder of the program."""
    return os.pathsep.join(filter(None, [str(Path(bot.__file__).parents[1]), environment.get("PYTHONPATH")]))
