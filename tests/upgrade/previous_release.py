"""The sources of the previous release, to run them beside this one.

They are kept in an archive, because a test must not depend on a clone with its whole history: CI may have a shallow
clone, and a source distribution has none. `python -m tests.upgrade.previous_release COMMIT` makes the archive anew from
git, at each release.
"""

from __future__ import annotations

import io
import lzma
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMMIT = HERE / "previous-release.txt"
ARCHIVE = HERE / "previous-release.tar.xz"
FOLDERS = ("bot", "storage")


def extract(folder: Path) -> Path:
    """Writes the sources into a folder. Returns it."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def find_in_git(commit: str) -> bytes | None:
    """Returns the sources of a commit as a tar file; None where this clone does not have it."""
    made = subprocess.run(
        ["git", "archive", "--format=tar", commit, *FOLDERS], cwd=ROOT, capture_output=True, check=False
    )
    return made.stdout if made.returncode == 0 else None


def list_files(tar: bytes) -> dict[str, bytes]:
    """Returns the files of a tar file with their content."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {one.name: found.read() for one in archive if (found := archive.extractfile(one)) is not None}


def main(commit: str) -> None:
    """Makes the archive of a commit."""
    named = subprocess.run(["git", "rev-parse", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True, check=True)
    full = named.stdout.decode().strip()
    tar = find_in_git(full)
    assert tar is not None
    ARCHIVE.write_bytes(lzma.compress(tar, preset=9 | lzma.PRESET_EXTREME))
    COMMIT.write_text(f"{full}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
