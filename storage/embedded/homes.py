"""The folders of the embedded server, and the system user that it runs as.

PostgreSQL refuses to run as root. If the bot is started as root, the server runs as the owner of its data, or else as
`postgres` or `nobody`. That user must be able to traverse all folders above the data. The bot does not change the
permissions of folders that it does not own. So if the user cannot reach the data folder (a checkout below /root), the
server uses a folder in /var/lib/tocsin, and the link `server` in the data folder points there.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from storage.errors import EmbeddedPostgresError

FALLBACK_FOLDER = Path("/var/lib/tocsin")
POINTER_NAME = "server"
ACCOUNTS_FOR_ROOT = ("postgres", "nobody")

SOCKET_NAME = ".s.PGSQL.5432"
# sizeof(sockaddr_un.sun_path), minus the terminating zero.
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
SHORT_SOCKET_FOLDER = Path("/tmp")


@dataclass(frozen=True)
class Account:
    """A system user."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of_uid(cls, uid: int) -> Account:
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:  # a uid without a user entry, as in some containers
            return cls(str(uid), uid, os.getegid())
        return cls(entry.pw_name, uid, entry.pw_gid)

    def can_traverse(self, folder: Path) -> bool:
        """Return whether, by the permission bits, the user can enter the folder and all folders above it."""
        for part in (folder, *folder.parents):
            status = part.stat()
            if status.st_uid == self.uid:
                needed = stat.S_IXUSR
            elif status.st_gid == self.gid:
                needed = stat.S_IXGRP
            else:
                needed = stat.S_IXOTH
            if not status.st_mode & needed:
                return False
        return True


@dataclass(frozen=True)
class ServerHome:
    """The folder of the server, and the system user that it runs as."""

    folder: Path
    account: Account

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "cluster"

    @property
    def lock(self) -> Path:
        """The lock file. The process that locks it owns the server, and only the owner may change the other files."""
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket: in `folder`, or in /tmp if the path is too long for a socket or contains a comma.

        It depends only on the home and the account, so that all processes that share a server find it.
        """
        near = self.folder / "socket"
        # A comma separates hosts in libpq, and socket folders in the server's settings.
        if len(os.fsencode(near / SOCKET_NAME)) <= LONGEST_SOCKET_PATH and "," not in str(near):
            return near
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return SHORT_SOCKET_FOLDER / f"tocsin-{self.account.uid}-{digest}"

    def make_socket_folder(self) -> None:
        """Create the socket folder if needed, and close it to other users.

        Raises EmbeddedPostgresError when it is not a folder or belongs to another user, OSError.
        """
        folder = self.socket_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        # In /tmp, another user may already have created a folder or a link of that name.
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (self.account.uid, os.geteuid()):
            raise EmbeddedPostgresError(
                f"{folder}, where the socket of the database belongs, was made by somebody else. Remove it, or "
                f"set TOCSIN_DATA_DIR to a folder with a shorter path."
            )
        folder.chmod(0o700)
        os.chown(folder, self.account.uid, self.account.gid)


def resolve_home(data_dir: Path) -> ServerHome:
    """Find the home of the server for a data folder, or choose one. Raises EmbeddedPostgresError, OSError."""
    data_dir = _create_folder(data_dir).resolve()
    pointer = data_dir / POINTER_NAME
    if pointer.is_symlink():
        return _follow_pointer(pointer)
    place = ServerHome(data_dir, _choose_account(data_dir))
    if os.geteuid() != 0 or place.account.can_traverse(data_dir):
        return place
    if place.cluster.exists():
        raise EmbeddedPostgresError(
            f"The database in {data_dir} cannot be run from there as root: the server has to run as the user "
            f"{place.account.name}, who may not enter that folder. Move it to one that everybody may pass "
            f"through, and set TOCSIN_DATA_DIR to that."
        )
    return _create_elsewhere(pointer, place.account)


def _create_folder(folder: Path) -> Path:
    """Create a folder if needed. Set its permissions, whatever the umask, if it is ours and empty."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid == os.geteuid() and not any(folder.iterdir()):
        folder.chmod(_home_mode())
    return folder


def _home_mode() -> int:
    # If this process is root, the server's user has to traverse the folder. The cluster in it is closed to others.
    return 0o711 if os.geteuid() == 0 else 0o700


def _choose_account(home: Path) -> Account:
    us = Account.of_uid(os.geteuid())
    try:
        owner = Account.of_uid((home / "cluster").stat().st_uid)
    except FileNotFoundError:
        owner = None
    if us.uid != 0:
        if owner and owner.uid != us.uid:
            raise EmbeddedPostgresError(
                f"The database in {home} belongs to the user {owner.name}. Start the bot as that user or as root, "
                f"or set TOCSIN_DATA_DIR to another folder."
            )
        return us
    if owner and owner.uid != 0:
        return owner
    for name in ACCOUNTS_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(ACCOUNTS_FOR_ROOT)} to run it as. "
        f"Start the bot as an ordinary user, or set DATABASE_URL to a PostgreSQL server."
    )


def _follow_pointer(pointer: Path) -> ServerHome:
    home = pointer.readlink()
    if not home.is_dir():
        raise EmbeddedPostgresError(
            f"The database of {pointer.parent} lives in {home}, and that folder is not there. Bring it back, or "
            f"remove the link {pointer} to begin with an empty database."
        )
    return ServerHome(home, _choose_account(home))


def _create_elsewhere(pointer: Path, account: Account) -> ServerHome:
    """Create a home that the account can reach. If several processes do so at once, the first link wins."""
    way_out = "Set TOCSIN_DATA_DIR to a folder that everybody may pass through, or DATABASE_URL to a server."
    why = f"As root the database server runs as the user {account.name}, who may not enter {pointer.parent}"
    try:
        _create_folder(FALLBACK_FOLDER)
        home = Path(tempfile.mkdtemp(prefix="data-", dir=FALLBACK_FOLDER))
    except OSError as error:
        raise EmbeddedPostgresError(f"{why}; and elsewhere it cannot live: {error}. {way_out}") from error
    if not account.can_traverse(FALLBACK_FOLDER):
        home.rmdir()
        raise EmbeddedPostgresError(f"{why}, nor {FALLBACK_FOLDER}. {way_out}")
    home.chmod(_home_mode())
    try:
        pointer.symlink_to(home)
    except FileExistsError:
        home.rmdir()
        return _follow_pointer(pointer)
    (home / "belongs-to").write_text(f"{pointer.parent}\n", encoding="utf-8", errors="surrogateescape")
    return ServerHome(home, account)
