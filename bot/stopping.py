"""The end of a process: it begins with SIGTERM or SIGINT, and comes in time whatever hangs."""

from __future__ import annotations

import faulthandler
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# The contract: `serve` ends within ten seconds of SIGTERM. The parts have shorter deadlines of their own.
LIMIT_S = 10.0


@contextmanager
def stop_on_signals(limit_s: float | None = None) -> Iterator[threading.Event]:
    """Gives an event that SIGTERM and SIGINT set. Call it in the main thread.

    Whatever still hangs `limit_s` seconds after the signal, the process ends then, with exit code 1, and writes the
    stacks of its threads to stderr. The signals stay handled after the block, so that another one ends nothing early.
    """
    # A handler in Python runs in the main thread, and may interrupt it where it holds the lock of the event: setting
    # the event there would wait for that lock forever. And where the system has another thread interrupted, a main
    # thread that waits does not run the handler. The byte is written at once, by whichever thread is interrupted.
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        stop = threading.Event()
        thread = threading.Thread(target=_wait, args=[reader, stop, limit_s], name="signals", daemon=True)
        thread.start()
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(before)
            writer.shutdown(socket.SHUT_WR)
            thread.join()


def _wait(reader: socket.socket, stop: threading.Event, limit_s: float | None) -> None:
    if not reader.recv(1):
        return
    stop.set()
    if limit_s is not None:
        # A thread of C, which needs nothing of Python: it works also while the interpreter ends.
        faulthandler.dump_traceback_later(limit_s, exit=True)
