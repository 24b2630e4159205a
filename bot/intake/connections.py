"""Limits on the HTTP server's connections: how many there may be, and how long each phase of one may take.

Uvicorn waits forever for the rest of a request, and accepts connections until the process has no files left. Here each
phase has a timeout. When the limit is reached, a new connection replaces an idle one, or the one that has used up most
of its timeout: a client that sends its request and reads the answer is done before that.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 500
# Files that the rest of the process needs: connections to the database and to Slack, the program itself.
RESERVED_FILES = 300
# Bytes of one read: so much of each connection can be in memory before it is checked.
_READ_SIZE = 32 * 1024
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Phase(Enum):
    """What a connection is doing."""

    IDLE = "idle"  # between two requests
    HEAD = "head"  # until the headers of a request have arrived
    REFUSED = "refused"  # answered, while the rest of its body is dropped
    BODY = "body"
    WORK = "work"  # until the answer has been sent


# The longest time of each phase.
TIMEOUTS_S = {
    Phase.IDLE: 15.0,  # uvicorn closes it sooner
    Phase.HEAD: 10.0,
    Phase.REFUSED: 20.0,
    Phase.BODY: 60.0,
    Phase.WORK: 120.0,
}
# Connections in these phases are closed first, then the one that has used the largest part of its timeout: a connection
# that was just opened, or whose body is arriving, outlasts one that does nothing.
_CLOSED_FIRST = (Phase.IDLE, Phase.REFUSED)
_CLOSED_BY_TIME = (Phase.HEAD, Phase.BODY)


def raise_file_limit() -> int:
    """Raises the limit on open files to what the process needs, if that is allowed. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MAX_CONNECTIONS + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        more = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            return more
    return needed if soft == resource.RLIM_INFINITY else soft


def max_connections(files: int) -> int:
    """How many connections fit, if the process may open so many files."""
    return max(MAX_CONNECTIONS // 50, min(MAX_CONNECTIONS, files - RESERVED_FILES))


def find_file_shortage() -> tuple[str, str] | None:
    """What is wrong with the limit on open files, and how to fix it; None if it is high enough."""
    files = raise_file_limit()
    limit = max_connections(files)
    if limit == MAX_CONNECTIONS:
        return None
    return (
        f"this process may have {files}, which leaves {limit} for HTTP connections",
        f"Allow {MAX_CONNECTIONS + RESERVED_FILES} (ulimit -n, or LimitNOFILE of the service).",
    )


class Connections:
    """The connections of one server, by phase, those that entered it first at the front."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._since: dict[Phase, dict[Connection, float]] = {phase: {} for phase in Phase}

    def __len__(self) -> int:
        return sum(map(len, self._since.values()))

    def enter(self, connection: Connection, phase: Phase, now: float) -> None:
        """Records that a connection enters a phase."""
        self.leave(connection)
        self._since[phase][connection] = now

    def leave(self, connection: Connection) -> None:
        """Forgets a connection."""
        for phase in self._since.values():
            phase.pop(connection, None)

    def make_room(self, now: float) -> Connection | None:
        """The connection to close, if there are too many: the newest itself if all others are at work."""
        if len(self) <= self._limit:
            return None
        for phase in _CLOSED_FIRST:
            if self._since[phase]:
                return next(iter(self._since[phase]))
        longest = ((phase, *next(iter(self._since[phase].items()))) for phase in _CLOSED_BY_TIME if self._since[phase])
        return max(longest, key=lambda one: (now - one[2]) / TIMEOUTS_S[one[0]])[1]


class Connection(H11Protocol):
    """One connection, with a timeout for each phase."""

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections
        self._phase: Phase | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for a request. If there are too many connections, one is closed."""
        super().connection_made(transport)
        transport.max_size = _READ_SIZE  # type: ignore[attr-defined]
        self._enter(Phase.HEAD)
        victim = self._connections.make_room(self.loop.time())
        if victim is not None:
            victim.end(_BUSY if victim is self else b"")

    def data_received(self, data: bytes) -> None:
        """Passes the data to the parser, and enters the phase that follows from it."""
        super().data_received(data)
        self._enter(self._phase_or(Phase.HEAD))

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        super().on_response_complete()
        begun, _ = self.conn.trailing_data
        self._enter(self._phase_or(Phase.HEAD if begun else Phase.IDLE))

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timeout."""
        self._leave()
        super().connection_lost(exc)

    def end(self, answer: bytes = b"") -> None:
        """Closes the connection at once, with `answer` if no other was begun."""
        self._leave()
        if answer and (self.cycle is None or self.cycle.response_complete or not self.cycle.response_started):
            self.transport.write(answer)
            if not self.transport.get_write_buffer_size():
                self.transport.close()
                return
        self.transport.abort()

    def _phase_or(self, between: Phase) -> Phase:
        """The phase of the protocol's state; `between` if no request has begun."""
        answered = self.cycle is None or self.cycle.response_complete
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.REFUSED if answered or self.cycle.response_started else Phase.BODY
        return between if answered else Phase.WORK

    def _enter(self, phase: Phase) -> None:
        if phase is self._phase or self.transport.is_closing():
            return  # its timeout goes on
        self._leave()
        self._phase = phase
        self._connections.enter(self, phase, self.loop.time())
        self._timer = self.loop.call_later(TIMEOUTS_S[phase], self.end, _TIMED_OUT)

    def _leave(self) -> None:
        self._phase = None
        self._connections.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
