"""The lock that decides which process owns a server."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Lock a file while the block runs. Gives False if another process has the lock or has replaced the folder.

    `path` is a file, created if missing, or an existing folder. The kernel releases the lock when this process exits,
    even if it is killed. The server does not inherit the lock. Raises OSError.
    """
    # No permissions for other users: anyone who can read a file can lock it.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        # The folder may have been replaced since the open. Then other processes would not see this lock.
        yield os.path.samestat(os.fstat(descriptor), path.stat())
    finally:
        os.close(descriptor)
