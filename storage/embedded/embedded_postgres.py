"""`EmbeddedPostgres`: a server for this process, which either owns it or shares it."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from pathlib import Path

import psycopg2

from storage.embedded import cluster
from storage.embedded.binaries import get_binaries
from storage.embedded.errors import build_os_error
from storage.embedded.homes import ServerHome, resolve_home
from storage.embedded.lock import try_lock
from storage.embedded.server import START_S, Server, build_url, prepare_role
from storage.errors import EmbeddedPostgresError, StartCancelled

SHARER_POLL_S = 0.2  # how often a sharer checks whether the owner is gone
_CANCELLED_POLL_S = 0.1
RETRY_S = 2.0  # between attempts to restart a server

_log = logging.getLogger(__name__)


class EmbeddedPostgres:
    """A PostgreSQL server on a data folder, shared by all processes that use the same folder.

    The process that has the lock on the folder owns the server, which is its direct child. The other processes share
    it. When the owner exits, one of the sharers acquires the lock and restarts the server at the same address. When
    the server dies, its owner restarts it. In both cases clients lose their connections, and can connect again after
    about a second.

    A thread of its own does this work from `start` to `stop`, because the kernel ends a server together with the
    thread that started it (see `processes.start`). So any thread may call `start`. Do not call `start` or `stop` from
    a signal handler.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        durable: bool = True,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Prepare a server, without starting it.

        `bin_dir` is the folder of PostgreSQL's programs; the default is the environment's PG_BIN, or else the wheel.
        `durable=False` is for tests only: it is faster, but a crash of the machine loses the data. `start` ends with
        StartCancelled once `cancelled` is set.
        """
        self.data_dir = data_dir
        self._bin_dir = bin_dir
        self._durable = durable
        self._cancelled = cancelled or threading.Event()
        self._thread: threading.Thread | None = None
        self._url = ""
        self._is_owner = False

    @property
    def owner(self) -> bool:
        """Whether this process owns the server now."""
        return self._is_owner

    def start(self) -> str:
        """Start the server, or find it running. Returns the SQLAlchemy URL of its database `tocsin`, with a plain role.

        Raises EmbeddedPostgresError, whose text is for the person who started the bot, and StartCancelled.
        """
        if self._cancelled.is_set():
            raise StartCancelled
        if self._thread is None:
            self._failure: Exception | None = None
            self._startup_ended = threading.Event()  # set when the server answers, or cannot be started
            self._stopping = threading.Event()
            self._woken, self._wake = os.pipe()
            self._deadline = time.monotonic() + START_S
            self._thread = threading.Thread(target=self._supervise, name="embedded-postgres", daemon=True)
            self._thread.start()
            atexit.register(self.stop)
        try:
            while not self._startup_ended.wait(_CANCELLED_POLL_S):
                if self._cancelled.is_set():
                    raise StartCancelled
        except BaseException:
            self.stop()
            raise
        if self._failure:
            self.stop()
            raise self._failure
        return self._url

    def stop(self) -> None:
        """Stop the server if this process owns it, else stop sharing it. Takes at most 12 s."""
        if self._thread is None:
            return
        self._stopping.set()
        os.write(self._wake, b"!")
        self._thread.join()
        self._thread = None
        os.close(self._wake)
        os.close(self._woken)
        atexit.unregister(self.stop)

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            try:
                home = resolve_home(self.data_dir)
                with try_lock(home.lock) as ours:
                    if ours:
                        self._run_as_owner(home)
                    else:
                        self._share_server(home)
            except Exception as error:
                failure = build_os_error(error, self.data_dir) if isinstance(error, OSError) else error
                if not self._startup_ended.is_set():
                    self._failure = failure
                    self._startup_ended.set()
                    return
                _log.error("The embedded PostgreSQL does not come back: %s", failure)
                self._stopping.wait(RETRY_S)

    def _run_as_owner(self, home: ServerHome) -> None:
        """Run the server until it ends or `stop` is called."""
        cluster.clear_leftovers(home)
        binaries = get_binaries(home, self._bin_dir)
        if not home.cluster.exists():
            if self._startup_ended.is_set():  # a running bot would take an empty database for the real one
                raise EmbeddedPostgresError(f"{home.cluster} has gone. Bring it back, or start the bot anew.")
            cluster.create_cluster(home, binaries, durable=self._durable)
        cluster.check_version(home, binaries)
        server = Server(home, binaries, durable=self._durable)
        try:
            server.start(self._stopping)
            if self._stopping.is_set():
                return
            server.create_database()
            prepare_role(home, self._stopping)
            if self._stopping.is_set():
                return
            self._mark_running(home, owner=True)
            server.wait(self._woken)
            if not self._stopping.is_set():
                _log.error("The embedded PostgreSQL has ended and is started again; its log is %s", home.log)
        finally:
            self._is_owner = False
            server.stop()

    def _share_server(self, home: ServerHome) -> None:
        """During startup, check that the owner's server answers. Then wait until it is time to try the lock again."""
        if not self._startup_ended.is_set():
            try:
                # The owner of the server may be of a version that does not know the role.
                prepare_role(home, self._stopping)
            except psycopg2.OperationalError as error:
                if time.monotonic() > self._deadline:
                    raise EmbeddedPostgresError(
                        f"Another process runs the database in {home.folder}, but it does not answer: {error}"
                    ) from error
            else:
                if not self._stopping.is_set():
                    self._mark_running(home, owner=False)
        self._stopping.wait(SHARER_POLL_S if self._startup_ended.is_set() else SHARER_POLL_S / 10)

    def _mark_running(self, home: ServerHome, *, owner: bool) -> None:
        self._url = build_url(home).render_as_string(hide_password=False)
        self._is_owner = owner
        self._startup_ended.set()
