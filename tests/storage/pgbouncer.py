"""PgBouncer as a process on loopback, in front of the tests' server."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.patience import PATIENCE_S
from tests.ports import find_free_port

# Debian installs it where only root's PATH leads.
_FOLDERS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def program() -> str:
    """PgBouncer; where there is none, the test is skipped, but not where the tests are what decides."""
    found = os.environ.get("PGBOUNCER_BIN") or shutil.which("pgbouncer", path=_FOLDERS)
    if found is not None:
        return found
    missing = "PgBouncer is not installed (on Debian: apt-get install pgbouncer)"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def _account(server_folder: Path) -> list[str]:
    """As root it has to run as another: here the one that the server runs as, who may enter its folder."""
    return ["-u", pwd.getpwuid(server_folder.stat().st_uid).pw_name] if os.geteuid() == 0 else []


@contextlib.contextmanager
def running(server: URL, folder: Path, pool_mode: str, **settings: str) -> Iterator[URL]:
    """The URL of a database through PgBouncer in that mode, with further settings of pgbouncer.ini."""
    binary = program()
    server_folder = str(server.query["host"])
    port = find_free_port()
    lines: Mapping[str, str] = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": pool_mode,
        **settings,
    }
    database = f"* = host={server_folder} port={server.query['port']} user={server.username}"
    config = folder / f"pgbouncer-{pool_mode}.ini"
    config.write_text(
        "\n".join(["[databases]", database, "[pgbouncer]", *(f"{name} = {value}" for name, value in lines.items())]),
        encoding="utf-8",
    )
    log = config.with_suffix(".log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [binary, *_account(Path(server_folder)), str(config)], stdout=stream, stderr=stream, cwd="/"
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "PgBouncer does not start"
            time.sleep(0.05)
        yield server.set(host="127.0.0.1", port=port, username="anybody", query={})
    finally:
        process.terminate()
        process.wait()
