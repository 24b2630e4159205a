"""Closes connections to a database that neither answers nor disconnects.

Where the server's machine still acknowledges what it is sent (the process is stopped, a proxy has lost its other
end), no time-out of libpq or of the kernel ends a wait: every caller would wait for ever, and soon all of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, event


class ConnectionWatchdog:
    """Watches the connections that are checked out, and shuts down those that stay out longer than `hung_after_s`."""

    def __init__(self, engines: Sequence[Engine], hung_after_s: float) -> None:
        self._hung_after_s = hung_after_s
        self._checked_out: dict[Any, tuple[float, int]] = {}  # the pool's record -> since when, and the socket
        # Locked during a shutdown: once a connection is closed, another may reuse its file descriptor.
        self._lock = threading.Lock()
        self._closed = threading.Event()
        for engine in engines:
            # First of all listeners: SQLAlchemy's own asks a new connection for the server's version.
            event.listen(engine, "connect", self._on_checkout, insert=True)
            event.listen(engine, "checkout", self._on_checkout)
            for name in ("checkin", "detach", "invalidate", "close"):
                event.listen(engine, name, self._on_return)
        threading.Thread(target=self._run, name="database watchdog", daemon=True).start()

    def close(self) -> None:
        """Stops watching."""
        self._closed.set()

    def _on_checkout(self, driver: Any, record: Any, *_proxy: Any) -> None:
        with self._lock:
            self._checked_out[record] = (time.monotonic(), driver.fileno())

    def _on_return(self, _driver: Any, record: Any, *_error: Any) -> None:
        with self._lock:
            self._checked_out.pop(record, None)

    def _run(self) -> None:
        while not self._closed.wait(self._hung_after_s / 5):
            before = time.monotonic() - self._hung_after_s
            with self._lock:
                for record in [record for record, (since, _) in self._checked_out.items() if since < before]:
                    _shut_down_socket(self._checked_out.pop(record)[1])


def _shut_down_socket(number: int) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as shared:
        shared.shutdown(socket.SHUT_RDWR)
