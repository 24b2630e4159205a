"""Error messages of the embedded PostgreSQL for the person who started the bot. Each says what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from storage.errors import EmbeddedPostgresError

_FULL_DISK_CODES = (errno.ENOSPC, errno.EDQUOT)
_FULL_DISK_TEXTS = ("No space left on device", "Disk quota exceeded")

_SHOWN_LINES = 5  # the last lines of a failed program's output say why it failed


def build_os_error(error: OSError, folder: Path) -> EmbeddedPostgresError:
    """Return the error for a failed file operation in the data folder."""
    if error.errno in _FULL_DISK_CODES or any(text in str(error) for text in _FULL_DISK_TEXTS):
        return build_full_disk_error(folder)
    return EmbeddedPostgresError(
        f"{folder} cannot be used for the database: {error}. Set TOCSIN_DATA_DIR to a folder that can be written, "
        f"or DATABASE_URL to a PostgreSQL server."
    )


def build_program_error(what_failed: str, output: str, folder: Path) -> EmbeddedPostgresError:
    """Return the error for a program of PostgreSQL that failed, with the end of its output."""
    if any(text in output for text in _FULL_DISK_TEXTS):
        return build_full_disk_error(folder)
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return EmbeddedPostgresError("\n  ".join([what_failed + ":", *(lines[-_SHOWN_LINES:] or ["(it said nothing)"])]))


def build_full_disk_error(folder: Path) -> EmbeddedPostgresError:
    return EmbeddedPostgresError(f"The disk that holds {folder} is full. Free some space on it and start again.")
