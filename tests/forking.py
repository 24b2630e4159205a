"""Processes of the bot that start at once: copies of one process that has loaded everything.

Loading the packages takes a process two seconds of CPU, more than most of these processes work. `python -m
tests.forking` loads them once, and starts a copy of itself for each module that is to be run as `python -m` would run
it. A copy has its own id, signals, environment and streams; only what is decided while the packages are loaded cannot
be given to it.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
LOADED = ("bot.cli", "bot.serving", "bot.demo", "tests.delivery.worker", "uvicorn.protocols.http.h11_impl")
_STREAMS = 3  # stdin, stdout and stderr


class ForkedProcess:
    """A process that runs a module, with what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        """`stdout` and `stderr` are `subprocess.PIPE`, or None for those of the tests."""
        self.returncode: int | None = None
        with contextlib.ExitStack() as handed_over:
            given = [os.open(os.devnull, os.O_RDONLY)]
            handed_over.callback(os.close, given[0])
            read: list[IO[bytes] | None] = []
            for number, wanted in ((1, stdout), (2, stderr)):
                if wanted is None:
                    given.append(number)
                    read.append(None)
                else:
                    ours, theirs = os.pipe()
                    given.append(theirs)
                    handed_over.callback(os.close, theirs)
                    read.append(open(ours, "rb"))  # noqa: SIM115, PTH123
            self.stdout, self.stderr = read
            self._outcome, theirs = os.pipe()
            handed_over.callback(os.close, theirs)
            request = {"module": module, "arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
            self.pid = _fork_server().fork(request, [*given, theirs])

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._outcome], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(os.read(self._outcome, 20)))
            os.close(self._outcome)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _ForkServer:
    """The process that has loaded everything, seen from the tests."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forking", str(theirs.fileno())], cwd=ROOT, pass_fds=[theirs.fileno()]
            )
        self._lines = self._socket.makefile("r")
        assert self._lines.readline() == "ready\n"
        atexit.register(self.close)

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Starts a copy; gives its id."""
        socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], list(descriptors))
        return int(self._lines.readline())

    def close(self) -> None:
        """Ends it; what it has started goes on."""
        self._lines.close()
        self._socket.close()
        self._process.wait()


@cache
def _fork_server() -> _ForkServer:
    return _ForkServer()


def main() -> None:
    """Starts copies until nobody is there to ask for one; returns in each copy once it is one."""
    asking = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()  # loading makes nothing but what stays
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    outcomes: dict[int, int] = {}
    asking.sendall(b"ready\n")
    while True:
        ready, _, _ = select.select([asking.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 1000)
            _report(outcomes)
        if asking.fileno() not in ready:
            continue
        request, descriptors = _receive(asking)
        if request is None:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (woken, wake, *outcomes.values(), *descriptors[_STREAMS:]):
                os.close(descriptor)
            asking.close()
            _become(request, descriptors[:_STREAMS])
            return
        outcomes[pid] = descriptors.pop()
        for descriptor in descriptors:
            os.close(descriptor)
        asking.sendall(f"{pid}\n".encode())


def _report(outcomes: dict[int, int]) -> None:
    """Says of each copy that has ended how it did."""
    while outcomes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(outcomes[pid], str(status).encode())
        os.close(outcomes.pop(pid))


def _receive(asking: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    received, descriptors, _, _ = socket.recv_fds(asking, io.DEFAULT_BUFFER_SIZE, _STREAMS + 1)
    while received and not received.endswith(b"\n"):
        received += asking.recv(io.DEFAULT_BUFFER_SIZE)
    return (json.loads(received) if received else None), descriptors


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Runs the module in this process, with the streams and the environment that it is to have."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    faulthandler.enable()  # for `tests.ending`
    sys.argv = [request["module"], *request["arguments"]]
    sys.modules.pop(request["module"], None)
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
