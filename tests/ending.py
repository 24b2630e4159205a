"""Waiting for the end of a process that has been asked to end; one that does not end shows where it stands.

Such a process writes the stacks of all its threads to stderr when it gets SIGABRT: those that `tests.forking` copies,
and others with `SHOWS_STACKS` in their environment, which their children inherit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from tests.patience import END_S

SHOWS_STACKS: Mapping[str, str] = MappingProxyType({"PYTHONFAULTHANDLER": "1"})
# The first line of them: after SIGABRT, and where a bot ends itself because something hangs (bot/stopping.py).
BEGIN_OF_STACKS = ("Fatal Python error", "Timeout (")
# Of /proc/…/status: a signal that was sent and not handled, and whether the process has a handler.
_OF_SIGNALS = ("State", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")


class Process(Protocol):
    """What `subprocess.Popen` and `tests.forking.ForkedProcess` have in common."""

    pid: int

    def wait(self, timeout: float | None = None) -> int: ...


def wait_for_end(process: Process, read_log: Callable[[], str], seconds: float = END_S) -> int:
    """The exit code, once the process has ended by itself.

    `read_log` reads what the process has written to stderr, up to its end. Raises AssertionError, with that and with
    the stacks of all threads, where the process does not end within `seconds`.
    """
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        stacks = show_stacks(process, read_log)
        raise AssertionError(f"Process {process.pid} did not end within {seconds:.0f} s.\n{stacks}") from None


def show_stacks(process: Process, read_log: Callable[[], str]) -> str:
    """Ends a process that does not do what is waited for. Returns where it stood, and what it has written."""
    return f"{_abort(process)}\n{read_log()}"


def run_to_end(
    command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs Python with these arguments until it ends by itself. Raises AssertionError like `wait_for_end`."""
    with subprocess.Popen(
        [sys.executable, *command],
        env={**SHOWS_STACKS, **env},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        return subprocess.CompletedProcess(command, *read_to_end(process))


def read_to_end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code of a process, once it has ended by itself, and the rest of what it has written.

    Raises AssertionError like `wait_for_end`.
    """
    try:
        out, err = process.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        state = _abort(process)
        out, err = process.communicate()
        raise AssertionError(
            f"Process {process.pid} did not end within {END_S:.0f} s.\n{state}\n{out}\n{err}"
        ) from None
    return process.returncode, out, err


def _abort(process: Process) -> str:
    """Has a process and its children write their stacks, and end. Returns what the system says of each."""
    states = [_describe(process.pid)]
    os.kill(process.pid, signal.SIGSTOP)  # it would go on, or end, when it sees the end of its children
    for pid in _list_children(process.pid):
        states.append(_describe(pid))
        os.kill(pid, signal.SIGABRT)
    os.kill(process.pid, signal.SIGABRT)
    os.kill(process.pid, signal.SIGCONT)
    process.wait()
    return "\n".join(states)


def _list_children(pid: int) -> Iterator[int]:
    """The children of a process that run Python, not those of an embedded PostgreSQL."""
    for folder in Path("/proc").glob("[0-9]*"):
        status = _read_status(folder)
        if status.get("PPid") == str(pid) and "python" in status["Name"]:
            yield int(folder.name)


def _describe(pid: int) -> str:
    status = _read_status(Path("/proc", str(pid)))
    return f"{pid}: " + ", ".join(f"{name} {status[name]}" for name in _OF_SIGNALS if name in status)


def _read_status(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "status").read_text("utf-8", "replace").splitlines()
    except OSError:  # it has ended, or this is not Linux
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def describe_log(lines: Sequence[Mapping[str, Any]], last: int = 40) -> str:
    """The last lines of the log, and everything from where the stacks begin."""
    texts = [str(line["event"]).rstrip("\n") if len(line) == 1 else str(dict(line)) for line in lines]
    first = next((number for number, text in enumerate(texts) if text.startswith(BEGIN_OF_STACKS)), len(texts))
    return "\n".join(texts[max(0, first - last) :])
