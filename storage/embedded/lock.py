"""Who owns a server: whoever holds the lock on its home's lock file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock on a file while the block runs, unless somebody else does; gives whether it is held.

    `path` may be a folder that exists; a file is made where there is none.
    It ends with this process, however that ends, and is not inherited by the server. Raises OSError.
    """
    # Closed to others: being able to read a file is enough to lock it.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        # The folder may have been replaced since: then this is a lock that nobody else would ever look at.
        yield os.path.samestat(os.fstat(descriptor), path.stat())
    finally:
        os.close(descriptor)
