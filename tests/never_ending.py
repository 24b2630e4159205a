"""A process that does not end when it is told to, for the tests of `tests.ending`: `python -m tests.never_ending`."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from bot.stopping import stop_on_signals


def wait_for_nobody(hangs: threading.Event) -> None:
    """Hangs."""
    hangs.set()
    threading.Event().wait()


def start_hanging() -> None:
    """Has a thread hang."""
    hangs = threading.Event()
    threading.Thread(target=wait_for_nobody, args=[hangs], daemon=True).start()
    hangs.wait()


def hang_after_signal() -> None:
    """Is told to stop, and hangs while it does."""
    with stop_on_signals(0.1):
        start_hanging()
        print("ready", flush=True)  # noqa: T201
        threading.Event().wait()


def main(arguments: Sequence[str]) -> None:
    """Runs until it is killed; with `child`, as the parent of another one, with `limited` until it hangs too long."""
    if "limited" in arguments:
        hang_after_signal()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    start_hanging()
    child = None
    if arguments:
        child = subprocess.Popen([sys.executable, "-m", "tests.never_ending"], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
    print("the last line of its log", file=sys.stderr, flush=True)  # noqa: T201
    print("ready", flush=True)  # noqa: T201
    threading.Event().wait() if child is None else child.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
