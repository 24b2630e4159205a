"""What coverage does not have to see. Measuring takes as long again as what is measured.

Coverage is of `bot` and `storage`. Python traces a thread as a whole, so a thread with nothing of them in it is left
out, and so are tests that run again, in another way, what others run.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.server import ServerThread


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measures neither this thread nor those that are started within the block."""
    here, in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(in_threads)
        sys.settrace(here)


def leave_out_the_sandbox() -> None:
    """Does not measure the thread of a workspace's server."""
    run = ServerThread._run

    def run_unmeasured(self: ServerThread, listener: socket.socket) -> None:
        sys.settrace(None)
        run(self, listener)

    ServerThread._run = run_unmeasured  # type: ignore[method-assign]
