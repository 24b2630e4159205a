"""The socket on which HTTP is served."""

from __future__ import annotations

import socket

BACKLOG = 512


def open_listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free port. Raises OSError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets whose protocol is TCP, which those of create_server do
    # not say. With it, each answer waits some 40 ms for the acknowledgement of its own headers.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened
