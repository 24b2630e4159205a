"""Ports for what has to be told one."""

from __future__ import annotations

import contextlib
import secrets
import socket

# Below those that the system gives to whoever connects or asks for any port: such a one may be taken by another test
# before the program that it was found for listens, or while a server is away that comes back.
_LOWEST, _HIGHEST = 20_000, 30_000


def find_free_port() -> int:
    """A port of this machine that nobody listens on, nor is given without being asked for."""
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
