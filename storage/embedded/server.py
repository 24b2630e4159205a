"""Starts, watches and stops the server process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection
from sqlalchemy import URL

from storage.embedded import processes
from storage.embedded.binaries import Binaries
from storage.embedded.cluster import SUPERUSER
from storage.embedded.errors import build_program_error
from storage.embedded.homes import ServerHome
from storage.embedded.role import ROLE, hand_over
from storage.errors import EmbeddedPostgresError

DATABASE = "tocsin"
PORT = 5432  # only part of the socket's name; the server listens on no port

START_S = 60  # after a crash, the server first replays the WAL
STOP_S = 5  # the bot has ten seconds for its whole shutdown
ABORT_S = 7  # after SIGQUIT, PostgreSQL kills its remaining processes within five seconds
_POLL_S = 0.01
_PREDECESSOR_POLL_S = 0.2

LOG_LIMIT_BYTES = 1_000_000  # checked every LOG_CHECK_S seconds
LOG_KEPT_BYTES = 250_000
LOG_CHECK_S = 60

# Part of PostgreSQL's error message while processes of a killed predecessor are still ending.
_PREDECESSOR_STILL_ENDING = "pre-existing shared memory block"

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The bot runs many small queries, for which neither JIT compilation nor parallel workers pay off.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Log starts, stops and fatal errors. The bot receives errors of statements anyway, and statements contain secrets.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
# For tests only: a crash of the machine loses the data. Many bots use one server.
NOT_DURABLE_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "400"}


def build_url(home: ServerHome) -> URL:
    """The URL of the bot's database, with the bot's role."""
    return URL.create(
        "postgresql+psycopg2",
        username=ROLE,
        database=DATABASE,
        # Empty options override PGOPTIONS.
        query={"host": str(home.socket_folder), "port": str(PORT), "options": ""},
    )


def connect(home: ServerHome, database: str = DATABASE) -> Connection:
    """Connect to the server as its superuser, whichever process owns it. Raises psycopg2.OperationalError."""
    return psycopg2.connect(
        host=str(home.socket_folder), port=PORT, user=SUPERUSER, dbname=database, connect_timeout=5, options=""
    )


def prepare_role(home: ServerHome, cancelled: threading.Event) -> None:
    """Have the bot's role own the bot's database, unless `cancelled`. Raises psycopg2.Error, EmbeddedPostgresError."""
    connection = connect(home)
    try:
        hand_over(connection, cancelled)
    finally:
        connection.close()


class Server:
    """A server process on a cluster. Call all methods from one thread; on Linux, the server ends with that thread."""

    def __init__(self, home: ServerHome, binaries: Binaries, *, durable: bool) -> None:
        self._home = home
        settings = SETTINGS | {"unix_socket_directories": str(home.socket_folder)}
        self._command: list[str | Path] = [binaries.folder / "postgres", "-D", home.cluster]
        for name, value in (settings if durable else settings | NOT_DURABLE_SETTINGS).items():
            self._command += ["-c", f"{name}={value}"]
        self._process: subprocess.Popen[bytes] | None = None
        # The read end of a pipe. Only the server's processes have the write end open, so the pipe closes with the last.
        self._liveness_pipe = -1
        self._log_begin = 0

    def start(self, cancelled: threading.Event) -> None:
        """Start the process and wait until it accepts connections or `cancelled` is set.

        Raises EmbeddedPostgresError, OSError.
        """
        deadline = time.monotonic() + START_S
        self._spawn()
        while not self._is_ready() and not cancelled.wait(_POLL_S):
            assert self._process is not None
            if time.monotonic() > deadline:
                self.stop()
                raise self._build_error(f"PostgreSQL does not take connections after {START_S} s")
            if self._process.poll() is not None:
                self.stop()
                if _PREDECESSOR_STILL_ENDING not in self._read_log():
                    raise self._build_error("PostgreSQL did not start")
                cancelled.wait(_PREDECESSOR_POLL_S)
                self._spawn()

    def _spawn(self) -> None:
        self._home.make_socket_folder()
        _trim_log(self._home.log)
        log = os.open(self._home.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._log_begin = os.fstat(log).st_size
        self._liveness_pipe, server_end = os.pipe()
        try:
            self._process = processes.start(
                self._command,
                self._home.account,
                self._home.folder,
                signal_at_parent_death=signal.SIGINT,
                output=log,
                inherit=[server_end],
            )
        except OSError:
            os.close(self._liveness_pipe)
            raise
        finally:
            os.close(log)
            os.close(server_end)

    def _is_ready(self) -> bool:
        # pg_ctl waits for the eighth line too. Attempts to connect would fill the log with refused connections.
        assert self._process is not None
        try:
            lines = (self._home.cluster / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"

    def _read_log(self) -> str:
        with self._home.log.open("rb") as log:
            log.seek(self._log_begin)
            return log.read().decode("utf-8", "replace")

    def _build_error(self, what: str) -> EmbeddedPostgresError:
        return build_program_error(f"{what}; its log, {self._home.log}, ends with", self._read_log(), self._home.folder)

    def create_database(self) -> None:
        """Create the bot's database if it does not exist. Raises psycopg2.Error."""
        connection = connect(self._home, "postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
                if not cursor.rowcount:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()

    def wait(self, wake: int) -> None:
        """Wait until the descriptor `wake` is readable or no process of the server is left. Trims the log meanwhile."""
        while not self._wait_for_end(LOG_CHECK_S, wake):
            _trim_log(self._home.log)

    def stop(self) -> None:
        """Stop the server: fast shutdown, then immediate shutdown, then SIGKILL. Committed data is safe."""
        if self._process is None:
            return
        for sign, patience in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, ABORT_S), (signal.SIGKILL, ABORT_S)):
            if self._process.poll() is None:
                self._process.send_signal(sign)
            if self._wait_for_end(patience):
                break
        os.close(self._liveness_pipe)
        self._process.wait()
        self._process = None

    def _wait_for_end(self, timeout_s: float, *wake: int) -> bool:
        """Wait until all processes of the server have ended or a descriptor is readable. Returns False on time-out."""
        poll = select.poll()
        for descriptor in (self._liveness_pipe, *wake):
            poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))


def _trim_log(log: Path) -> None:
    """Remove the start of a log that is too long. The server keeps appending to the same file."""
    try:
        with log.open("r+b") as file:
            if file.seek(0, os.SEEK_END) > LOG_LIMIT_BYTES:
                file.seek(-LOG_KEPT_BYTES, os.SEEK_END)
                end = file.read().partition(b"\n")[2]
                file.seek(0)
                file.truncate()
                file.write(end)
    except FileNotFoundError:
        return
