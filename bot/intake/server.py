"""The HTTP server: uvicorn on a thread of its own, so that the main thread stays free for signals."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from bot.intake.connections import Connection, Connections, max_connections, raise_file_limit
from bot.listening import BACKLOG, open_listening_socket

log = structlog.get_logger(__name__)

# How long requests in progress may still take after SIGTERM; the whole stop may take ten seconds.
DRAIN_S = 5
_CANCEL_S = 1
# How many connections are accepted in one go, before the limit on them is checked.
_MAX_ACCEPTS = 32


# How often the event loop is checked for how late it is, in seconds.
_LAG_EVERY_S = 1.0


class _Server(uvicorn.Server):
    on_lag: Callable[[float], object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept connections."""
        await super().startup(sockets)
        if self.on_lag is not None:
            self._measure_lag(asyncio.get_running_loop(), self.on_lag)
        for one in sockets or ():
            one.listen(BACKLOG)  # asyncio uses one number for the backlog and for how many it accepts in one go

    def _measure_lag(self, loop: asyncio.AbstractEventLoop, on_lag: Callable[[float], object]) -> None:
        due = loop.time() + _LAG_EVERY_S

        def measure() -> None:
            on_lag(max(0.0, loop.time() - due))
            self._measure_lag(loop, on_lag)

        loop.call_at(due, measure)


class HttpServer:
    """Serves an application on a host and port, which it binds when it is made."""

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        *,
        connections: int | None = None,
        listening: socket.socket | None = None,
        shared: bool = False,
        on_lag: Callable[[float], object] | None = None,
    ) -> None:
        """Port 0 is any free port. `connections` limits them, by default to as many as the open files allow.

        `listening` is a socket that listens already. Where other processes share it (`shared`), one connection is
        accepted at a time, so that each process gets some. `on_lag` gets, once a second, by how many seconds the event
        loop is late. Raises OSError if the address cannot be used.
        """
        limit = connections or max_connections(raise_file_limit())
        self._socket = listening or open_listening_socket(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.connections = Connections(limit)
        protocol: Any = partial(Connection, connections=self.connections)
        config = uvicorn.Config(
            app,
            http=protocol,
            backlog=1 if shared else _MAX_ACCEPTS,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=DRAIN_S,
        )
        self._server = _Server(config)
        self._server.on_lag = on_lag
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True
        )

    def start(self) -> None:
        """Starts to serve; connections made before that wait."""
        self._thread.start()

    def begin_stop(self) -> None:
        """Accepts no more requests; those in progress go on."""
        self._server.should_exit = True

    def stop(self) -> None:
        """Accepts no more requests and finishes those in progress, in DRAIN_S seconds at most.

        Then they are cancelled. One whose work in another thread hangs cannot be, and is waited for no longer.
        """
        self.begin_stop()
        if self._thread.ident is not None:
            self._thread.join(DRAIN_S + _CANCEL_S)
            if self._thread.is_alive():
                log.warning("HTTP requests were not answered: they take too long")
        self._socket.close()
