"""A temporary server for a test run or a check; its files are removed afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.embedded.embedded_postgres import EmbeddedPostgres
from storage.embedded.lock import try_lock

MEMORY_FOLDER = Path("/dev/shm")
MIN_FREE_BYTES = 1 << 30  # with less free memory than this, use the disk
_PREFIX = "tocsin-run-"
_MAKING = "tocsin-making-"  # prefix of a folder that is not locked yet


@contextmanager
def scratch_postgres() -> Iterator[str]:
    """Run a server on an empty folder. Gives the URL of its database. Raises EmbeddedPostgresError."""
    with scratch_folder() as folder, EmbeddedPostgres(folder / "data", durable=False) as url:
        yield url


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Create a folder for a server, in memory if there is enough, and remove it after the block."""
    parent = Path(tempfile.gettempdir())
    if (
        MEMORY_FOLDER.is_dir()
        and os.access(MEMORY_FOLDER, os.W_OK)
        and shutil.disk_usage(MEMORY_FOLDER).free >= MIN_FREE_BYTES
    ):
        parent = MEMORY_FOLDER
    _remove_leftovers(parent)
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=parent))
    making.chmod(0o711)  # if this process is root, the server runs as another user
    # Other runs see the folder only once it is locked. It stays locked until it is removed, even without a server.
    with try_lock(making):
        folder = making.rename(parent / making.name.replace(_MAKING, _PREFIX, 1))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _remove_leftovers(parent: Path) -> None:
    """Remove the folders that killed runs of this user left behind: those that no process locks."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid != os.geteuid():
                continue
            with try_lock(folder) as ours:
                if ours:
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another process has removed it
            continue
