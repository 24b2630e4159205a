"""Creates the database cluster on disk, checks it before use, and cleans up after a server that was killed.

Only the owner of the server calls these functions, while it has the lock.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from storage.embedded import processes
from storage.embedded.binaries import Binaries
from storage.embedded.errors import build_program_error
from storage.embedded.homes import ServerHome
from storage.errors import EmbeddedPostgresError

SUPERUSER = "tocsin"
ORPHAN_STOP_S = 30
_POLL_S = 0.02
_UNFINISHED_PREFIX = "cluster.new-"


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def create_cluster(home: ServerHome, binaries: Binaries, *, durable: bool) -> None:
    """Create an empty cluster. If the process is killed meanwhile, there is either no cluster or a complete one.

    `durable=False` skips the sync to disk. Raises EmbeddedPostgresError, OSError.
    """
    if not _has_name(home.account.uid):  # initdb looks its user up
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL needs a user with an entry in passwd, and user id {home.account.uid} has none."
            " Set DATABASE_URL to a PostgreSQL server, or run as another user."
        )
    new = Path(tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=home.folder))
    try:
        os.chown(new, home.account.uid, home.account.gid)
        command: list[str | Path] = [binaries.folder / "initdb", "--pgdata", new, "--username", SUPERUSER]
        command += ["--auth", "trust", "--encoding", "UTF8", "--no-instructions", *_locale_options(binaries)]
        code, output = processes.run(command if durable else [*command, "--no-sync"], home.account, home.folder)
        if code:
            raise build_program_error(f"A database cannot be made in {home.folder}. initdb says", output, home.folder)
        # The permissions of the socket's folder decide who may connect; the server has no other address.
        (new / "pg_hba.conf").write_text("local all all trust\n")
        new.rename(home.cluster)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if durable:
        _sync_folder(home.folder)


def _locale_options(binaries: Binaries) -> list[str]:
    # Upper and lower case work for all scripts, and alike on all systems. Without lc_ctype, trigrams cover only ASCII.
    character_type = "UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    if binaries.major < 17:
        return ["--locale", "C", "--lc-ctype", character_type]
    return ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--lc-ctype", character_type]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_version(home: ServerHome, binaries: Binaries) -> None:
    """Refuse a cluster of another major version, which PostgreSQL cannot read.

    Raises EmbeddedPostgresError, OSError.
    """
    made_by = (home.cluster / "PG_VERSION").read_text().strip()
    if made_by != str(binaries.major):
        raise EmbeddedPostgresError(
            f"The database in {home.folder} was made by PostgreSQL {made_by}, and {binaries.folder} is PostgreSQL "
            f"{binaries.major}. Set PG_BIN to the bin folder of a PostgreSQL {made_by} to go on with it (and to "
            f"carry it over with pg_dump), or move {home.cluster} away to begin with an empty database."
        )


def clear_leftovers(home: ServerHome) -> None:
    """Stop a server that its owner left running; remove stale pid and socket files, and incomplete clusters.

    Raises EmbeddedPostgresError when the old server does not stop, OSError.
    """
    pid_file = home.cluster / "postmaster.pid"
    pid = _read_pid(pid_file)
    if pid is not None and is_server(pid, home.cluster):
        _stop_orphan(pid, home)
        pid = _read_pid(pid_file)
    if pid is None:
        pid_file.unlink(missing_ok=True)  # missing, empty or garbled; the last two are errors for PostgreSQL
    elif _process_exists(pid):
        # Another program now has this pid, and PostgreSQL would refuse to start because of it. The file must stay:
        # PostgreSQL uses its other lines to check that no process of the old server is left. Write our own pid:
        # PostgreSQL treats the pid of its parent process as stale.
        try:
            lines = pid_file.read_text().split("\n")
        except FileNotFoundError:
            pass  # it was the old server after all, which has just ended
        else:
            pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    for stale in home.socket_folder.glob(".s.PGSQL.*"):
        stale.unlink()
    for unfinished in home.folder.glob(f"{_UNFINISHED_PREFIX}*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def is_server(pid: int, cluster: Path) -> bool:
    """Return whether a process is a PostgreSQL server that runs on this cluster."""
    if Path("/proc/self/cmdline").exists():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return arguments[0].endswith(b"/postgres") and os.fsencode(cluster) in arguments
    listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], check=False, capture_output=True).stdout
    return b"/postgres " in listed and os.fsencode(cluster) in listed


def _stop_orphan(pid: int, home: ServerHome) -> None:
    begun = time.monotonic()
    signals = [(0.0, signal.SIGINT), (ORPHAN_STOP_S / 2, signal.SIGQUIT)]  # fast shutdown, then immediate shutdown
    while is_server(pid, home.cluster):
        waited = time.monotonic() - begun
        if waited > ORPHAN_STOP_S:
            raise EmbeddedPostgresError(
                f"A PostgreSQL that an earlier run left at work on {home.folder} does not stop. End its process, "
                f"{pid}, and start again."
            )
        if signals and waited >= signals[0][0]:
            try:
                os.kill(pid, signals.pop(0)[1])
            except ProcessLookupError:
                return
        time.sleep(_POLL_S)


def _read_pid(file: Path) -> int | None:
    try:
        return int(file.read_text().split("\n")[0])
    except (FileNotFoundError, ValueError):
        return None


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
