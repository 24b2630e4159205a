"""A TLS socket for one thread that reads and others that write, as the library websockets uses it.

OpenSSL allows one thread at a time to use a connection. The library calls `recv` while other threads send. Right after
the TLS handshake, when the server's session tickets arrive while the first request is sent, about one connection in
a hundred hung in that.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class TlsSocket:
    """What the library uses of a socket. No thread is inside of OpenSSL while it waits for the other end."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._timeout = sock.gettimeout()
        sock.settimeout(0)
        self.fileno = sock.fileno
        self.getsockname = sock.getsockname
        self.getpeername = sock.getpeername
        self.setsockopt = sock.setsockopt

    def settimeout(self, seconds: float | None) -> None:
        """Sets how long `sendall` may take."""
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        """Waits for data, and returns up to `size` bytes; none at the end. Raises OSError."""
        return self._repeat(partial(self._socket.recv, size), None)

    def sendall(self, data: bytes) -> None:
        """Sends everything. Raises OSError (TimeoutError)."""
        until = None if self._timeout is None else time.monotonic() + self._timeout
        left = memoryview(data)
        while left:
            left = left[self._repeat(partial(self._socket.send, left), until) :]

    def shutdown(self, how: int) -> None:
        """Shuts down the connection in one direction or in both. Raises OSError."""
        with self._lock:
            self._socket.shutdown(how)

    def close(self) -> None:
        """Ends the connection; threads that wait for the other end wake up."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _repeat(self, step: Callable[[], T], until: float | None) -> T:
        """Calls `step`, which does not block, until it succeeds. Raises OSError (TimeoutError)."""
        while True:
            with self._lock:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
            self._wait(event, until)

    def _wait(self, event: int, until: float | None) -> None:
        poll = select.poll()
        poll.register(self._socket.fileno(), event)
        if not poll.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000):
            raise TimeoutError("the other end takes no data")
