"""The HTTP server: uvicorn on a thread of its own, so that the main thread stays free for signals."""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from bot.intake.connections import Connection, Connections, max_connections, open_files

# A delivery that is under way when the bot is told to stop gets this long; Slack and SIGTERM allow ten seconds.
DRAIN_S = 5
_BACKLOG = 512
# How many of those who wait are taken in one go, before there is a look at how many there are.
_ACCEPTED_AT_ONCE = 32


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to take connections."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(_BACKLOG)  # for asyncio, how many wait and how many are taken at once are the same number


class HttpServer:
    """Serves an application on a host and port. The port is taken at once, before anything is served."""

    def __init__(self, app: FastAPI, host: str, port: int, *, connections: int | None = None) -> None:
        """Port 0 takes any free one; `connections` is the most at once, by default as many as files allow.

        Raises OSError where the address cannot be used.
        """
        most = connections or max_connections(open_files())
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio turns Nagle's algorithm off only for sockets that say they are TCP's, which create_server's do
        # not; with it each answer waits some 40 ms for the acknowledgement of its own headers.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        protocol: Any = partial(Connection, connections=Connections(most))
        config = uvicorn.Config(
            app,
            http=protocol,
            backlog=_ACCEPTED_AT_ONCE,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=DRAIN_S,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True
        )

    def start(self) -> None:
        """Begins to serve; what arrives before that waits."""
        self._thread.start()

    def begin_stop(self) -> None:
        """Takes no more requests from now on; those under way go on."""
        self._server.should_exit = True

    def stop(self) -> None:
        """Takes no more requests, and finishes those under way. Takes DRAIN_S seconds at the most."""
        self.begin_stop()
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()
