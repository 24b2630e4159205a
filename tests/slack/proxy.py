"""An HTTP proxy that reaches one port of this machine by whatever name it is asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.patience import PATIENCE_S


@contextlib.contextmanager
def running_proxy(target: int, authorization: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Gives the proxy's port, and what it was asked: `CONNECT host:port` each time.

    `authorization` is the value of Proxy-Authorization without which it answers with 407.
    """
    asked: list[str] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve(near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", target)) as far:
            request = near.recv(65_536).decode()
            asked.append(" ".join(request.split()[:2]))
            if (
                authorization is not None
                and f"\r\nproxy-authorization: {authorization}\r\n".lower() not in request.lower()
            ):
                near.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(far, near), daemon=True)
            back.start()
            pump(near, far)
            back.join(PATIENCE_S)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=serve, args=(near,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1], asked
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(PATIENCE_S)
