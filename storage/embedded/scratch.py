"""A server for a test run or a check, which leaves nothing behind."""

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
MIN_FREE_BYTES = 1 << 30  # bytes free, below which the memory is left to others
_PREFIX = "tocsin-run-"
_MAKING = "tocsin-making-"  # of a folder that is not locked yet


@contextmanager
def scratch_postgres() -> Iterator[str]:
    """Run a server over an empty folder; gives the URL of its database. Raises EmbeddedPostgresError."""
    with scratch_folder() as folder, EmbeddedPostgres(folder / "data", durable=False) as url:
        yield url


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder that a server can live in, in memory where there is room, and remove it after the block."""
    parent = Path(tempfile.gettempdir())
    if (
        MEMORY_FOLDER.is_dir()
        and os.access(MEMORY_FOLDER, os.W_OK)
        and shutil.disk_usage(MEMORY_FOLDER).free >= MIN_FREE_BYTES
    ):
        parent = MEMORY_FOLDER
    _remove_leftovers(parent)
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=parent))
    making.chmod(0o711)  # started as root, the server runs as another user
    # Other runs see the folder once it is locked. It stays so until it is gone, whether a server runs in it or not.
    with try_lock(making):
        folder = making.rename(parent / making.name.replace(_MAKING, _PREFIX, 1))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed runs of this user left: folders that nobody holds the lock on."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid != os.geteuid():
                continue
            with try_lock(folder) as ours:
                if ours:
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # removed by somebody else
            continue
