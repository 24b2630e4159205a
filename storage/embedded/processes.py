"""Starts the programs of PostgreSQL, as the right user, so that they end with this process."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.embedded.homes import Account

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# The environment variables that a program of PostgreSQL gets: those for loading it, and paths. Other processes of the
# same user can read a process's environment, and ours contains Slack's tokens and the key to all other secrets.
_PASSED_VARIABLES = ("PATH", "HOME", "TMPDIR", "TZDIR", "LOCPATH")
_PASSED_PREFIXES = ("LD_", "DYLD_", "FAKETIME")

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def start(
    command: Sequence[str | Path],
    account: Account,
    folder: Path,
    *,
    signal_at_parent_death: signal.Signals,
    output: int,
    inherit: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program as the user `account`, in a session of its own so that Ctrl-C does not reach it.

    On Linux, the kernel sends the program `signal_at_parent_death` when the calling thread ends for any reason. It
    ties the signal to the thread, not to the process. On other systems the program keeps running, and the next start
    has to find it. `folder` is the working directory, `output` a file descriptor for stdout and stderr, and `inherit`
    the descriptors that stay open in the program.

    Raises OSError: EPERM when this process may not change to the account, others when the program cannot be run.
    """
    other_user = account.uid != os.geteuid()
    return subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        user=account.uid if other_user else None,
        group=account.gid if other_user else None,
        extra_groups=[] if other_user else None,
        pass_fds=inherit,
        preexec_fn=_build_parent_death_hook(signal_at_parent_death),
    )


def _environment() -> dict[str, str]:
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_VARIABLES or name.startswith(_PASSED_PREFIXES)
    }
    return passed_on | {"LC_ALL": "C"}


def _build_parent_death_hook(signal_at_parent_death: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def in_child() -> None:  # runs after the change of user, which would reset the signal
        libc.prctl(_PR_SET_PDEATHSIG, signal_at_parent_death)
        if os.getppid() != parent:  # the parent died before the call, so no signal would come
            os._exit(1)

    return in_child


def run(command: Sequence[str | Path], account: Account, folder: Path) -> tuple[int, str]:
    """Run a program to its end. Returns its exit code and output. Raises OSError like `start`."""
    with start(command, account, folder, signal_at_parent_death=signal.SIGKILL, output=subprocess.PIPE) as process:
        output, _ = process.communicate()
    return process.returncode, output.decode("utf-8", "replace")
