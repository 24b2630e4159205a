"""A wire to the database that a story can cut, or have swallow everything that is sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

from sqlalchemy import URL, make_url

from storage.engine import Store
from storage.watchdog import ConnectionWatchdog
from tests.patience import PATIENCE_S
from tests.ports import find_free_port

HUNG_AFTER_S = 0.5  # short, because it is of no concern before the database hangs


class Wire:
    """Passes connections on to a PostgreSQL server; a context manager."""

    def __init__(self, database_url: str) -> None:
        self._target = make_url(database_url)
        self._port = find_free_port()
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._ends: list[socket.socket] = []
        self._flows = threading.Event()  # of the present connections, and those that come
        self._flows.set()
        self._threads: list[threading.Thread] = []
        self._lost: list[threading.Event] = []
        self._lock = threading.Lock()
        self._watchdogs: list[ConnectionWatchdog] = []

    def __enter__(self) -> Self:
        self._start(self._accept, self._listener)
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut()
        for flows in (self._flows, *self._lost):
            flows.set()
        self.reset()  # those that had not got as far
        for thread in self._threads:
            thread.join(PATIENCE_S)

    @property
    def url(self) -> URL:
        """Where the database is reached over this wire."""
        query = {key: value for key, value in self._target.query.items() if key not in ("host", "port")}
        return self._target.set(host="127.0.0.1", port=self._port, query=query)

    def cut(self) -> None:
        """Ends every connection, and takes no new one."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Ends every connection, as a restart of the server does."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def list_open(self) -> list[socket.socket]:
        """The ends of the connections that have not been closed on both sides."""
        with self._lock:
            return [end for end in self._ends if end.fileno() != -1]

    def hang(self, store: Store) -> None:
        """Takes everything, new connections too, and passes nothing on. The store, which has no watchdog, gets one."""
        self._flows.clear()
        store._watchdog = ConnectionWatchdog((store._reading, store._writing), HUNG_AFTER_S)
        self._watchdogs.append(store._watchdog)

    def mend(self, *, losing: bool = False) -> None:
        """As if nothing had been; with `losing`, connections that hung do so for ever, and new ones work."""
        if losing:
            self._lost.append(self._flows)
            self._flows = threading.Event()
        else:  # on a busy machine, what goes on may take longer than that
            for watchdog in self._watchdogs:
                watchdog._hung_after_s = PATIENCE_S
        self._flows.set()
        if self._listener.fileno() == -1:
            self._listener = socket.create_server(("127.0.0.1", self._port))
            self._start(self._accept, self._listener)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                self._start(self._serve, near, self._flows)

    def _serve(self, near: socket.socket, flows: threading.Event) -> None:
        host, port = self._target.query.get("host") or self._target.host, self._target.port or 5432
        with near, socket.socket(socket.AF_UNIX) as far:
            with self._lock:
                self._ends += [near, far]
            flows.wait()
            with contextlib.suppress(OSError):
                far.connect(f"{host}/.s.PGSQL.{port}")
                back = threading.Thread(target=_pump, args=(far, near, flows), daemon=True)
                back.start()
                _pump(near, far, flows)
                back.join()


def _pump(source: socket.socket, sink: socket.socket, flows: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            flows.wait()
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
