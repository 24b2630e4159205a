"""Connections of the HTTP server: how long each may take for what it does, and what gives way where there are many.

Uvicorn waits for ever for a request that was begun, and takes connections until the process has no files left. Here
each step has its time, and once there are as many connections as there may be, a new one takes the place of the one
that has waited longest: who sends a request and hears the answer is done before it is their turn.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 500  # connections
# Files that the rest of the process needs beside them: to the database, to Slack, of the program itself.
RESERVED_FILES = 300
# What one read takes from a connection, and so what each of them can have in memory before anybody looks at it.
_READ_AT_ONCE = 32 * 1024
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Phase(Enum):
    """What a connection does."""

    IDLE = "idle"  # between two requests
    HEAD = "head"  # until the headers of a request have arrived
    REFUSED = "refused"  # answered, while its body is still let in
    BODY = "body"
    WORK = "work"  # until the answer has been read


# The most seconds that it may do so.
SECONDS = {
    Phase.IDLE: 15.0,  # uvicorn closes it sooner
    Phase.HEAD: 10.0,
    Phase.REFUSED: 20.0,
    Phase.BODY: 60.0,
    Phase.WORK: 120.0,
}
# Whose turn to go is first; of the others whoever has used up most of their time, so that one that was just opened, or
# whose body is on its way, outlasts one that does nothing.
_GO_FIRST = (Phase.IDLE, Phase.REFUSED)
_GO_BY_TIME = (Phase.HEAD, Phase.BODY)


def open_files() -> int:
    """How many files the process may have open, once it has asked for as many as it needs and may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            return more
    return wanted if soft == resource.RLIM_INFINITY else soft


def max_connections(files: int) -> int:
    """How many connections there may be where the process may open so many files."""
    return max(MOST // 50, min(MOST, files - RESERVED_FILES))


def shortage_of_files() -> tuple[str, str] | None:
    """What is wrong with the number of open files, and how to mend it; None where it is enough."""
    files = open_files()
    most = max_connections(files)
    if most == MOST:
        return None
    return (
        f"this process may have {files}, which leaves {most} for HTTP connections",
        f"Allow {MOST + RESERVED_FILES} (ulimit -n, or LimitNOFILE of the service).",
    )


class Connections:
    """The connections of one server, in the order in which they came to what they do."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Since when, the longest first.
        self._in: dict[Phase, dict[Connection, float]] = {phase: {} for phase in Phase}

    def __len__(self) -> int:
        return sum(map(len, self._in.values()))

    def enter(self, connection: Connection, phase: Phase, now: float) -> None:
        """A connection begins with something."""
        self.leave(connection)
        self._in[phase][connection] = now

    def leave(self, connection: Connection) -> None:
        """A connection has ended."""
        for there in self._in.values():
            there.pop(connection, None)

    def make_room(self, now: float) -> Connection | None:
        """Which connection has to go, if one has to: the newest itself where all others are at work."""
        if len(self) <= self._most:
            return None
        for phase in _GO_FIRST:
            if self._in[phase]:
                return next(iter(self._in[phase]))
        longest = ((phase, *next(iter(self._in[phase].items()))) for phase in _GO_BY_TIME if self._in[phase])
        return max(longest, key=lambda one: (now - one[2]) / SECONDS[one[0]])[1]


class Connection(H11Protocol):
    """One connection, with a time for each phase."""

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._all = connections
        self._phase: Phase | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request, in the place of another connection where there are too many."""
        super().connection_made(transport)
        transport.max_size = _READ_AT_ONCE  # type: ignore[attr-defined]
        self._enter(Phase.HEAD)
        gone = self._all.make_room(self.loop.time())
        if gone is not None:
            gone.end(_BUSY if gone is self else b"")

    def data_received(self, data: bytes) -> None:
        """Goes on with the request."""
        super().data_received(data)
        self._enter(self._now_in(Phase.HEAD))

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        super().on_response_complete()
        begun, _ = self.conn.trailing_data
        self._enter(self._now_in(Phase.HEAD if begun else Phase.IDLE))

    def connection_lost(self, exc: Exception | None) -> None:
        """Has ended."""
        self._leave()
        super().connection_lost(exc)

    def end(self, last_words: bytes = b"") -> None:
        """Ends the connection now, whatever is under way, with an answer where none was begun."""
        self._leave()
        if last_words and (self.cycle is None or self.cycle.response_complete or not self.cycle.response_started):
            self.transport.write(last_words)
            if not self.transport.get_write_buffer_size():
                self.transport.close()
                return
        self.transport.abort()

    def _now_in(self, between: Phase) -> Phase:
        """The phase that the state of the protocol comes to; `between` where no request is under way."""
        answered = self.cycle is None or self.cycle.response_complete
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.REFUSED if answered or self.cycle.response_started else Phase.BODY
        return between if answered else Phase.WORK

    def _enter(self, phase: Phase) -> None:
        if phase is self._phase or self.transport.is_closing():
            return  # its time goes on
        self._leave()
        self._phase = phase
        self._all.enter(self, phase, self.loop.time())
        self._timer = self.loop.call_later(SECONDS[phase], self.end, _TIMED_OUT)

    def _leave(self) -> None:
        self._phase = None
        self._all.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
