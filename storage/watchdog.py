"""Closes connections to a database that neither answers nor disconnects.

The server's machine may still acknowledge packets while the server does not answer: its process is stopped, or a proxy
has lost its connection to the server. No time-out of libpq or of the kernel applies then. Every caller would wait
forever, and soon all connections would be in use.
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
    """Shuts down connections that are checked out of their pool for longer than `hung_after_s` seconds."""

    def __init__(self, engines: Sequence[Engine], hung_after_s: float) -> None:
        self._hung_after_s = hung_after_s
        self._checked_out: dict[Any, tuple[float, int]] = {}  # the pool's record -> time of checkout, file descriptor
        # Locked during a shutdown: once a connection is closed, another may reuse its file descriptor.
        self._lock = threading.Lock()
        self._closed = threading.Event()
        for engine in engines:
            # Must be the first listener: SQLAlchemy's own queries the server's version on a new connection.
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
