"""A process that uses an embedded server, for the tests that need several, or one to be killed.

python -m tests.storage.hold_server DATA_DIR [--bin DIR] [--as UID GID] [--outlived]

Prints `owner URL` or `sharer URL` once the server answers, the same again for each line it reads, and stops it
when there are none left; with an error, prints that. `--as` becomes an ordinary user first. `--outlived` is what
happens where the kernel does not end a server with its owner.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from storage.embedded import EmbeddedPostgres, EmbeddedPostgresError, processes


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--bin", type=Path)
    parser.add_argument("--as", dest="account", type=int, nargs=2)
    parser.add_argument("--outlived", action="store_true")
    given = parser.parse_args()
    if given.account:
        os.setgroups([])
        os.setgid(given.account[1])
        os.setuid(given.account[0])
    if given.outlived:
        processes._libc = None
    try:
        server = EmbeddedPostgres(given.data_dir, bin_dir=given.bin, durable=False)
        with server as url:
            tell(server, url)
            for _ in sys.stdin:
                tell(server, url)
    except EmbeddedPostgresError as error:
        sys.stdout.write(f"error {error}\n")
        return 2
    return 0


def tell(server: EmbeddedPostgres, url: str) -> None:
    sys.stdout.write(f"{'owner' if server.owner else 'sharer'} {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
