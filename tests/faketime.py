"""A process whose machine has a wrong clock, by libfaketime (Debian's package `faketime`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_LIBRARY = "faketime/libfaketimeMT.so.1"


def wrong_clock(ahead_s: float) -> dict[str, str]:
    """The environment of a process whose clock is so many seconds ahead of this one's.

    Skips the test where libfaketime is not installed, but not where the tests are what decides.
    """
    library = next(iter(sorted([*Path("/usr/lib").glob(_LIBRARY), *Path("/usr/lib").glob(f"*/{_LIBRARY}")])), None)
    if library is None:
        missing = "libfaketime is not installed (on Debian: apt-get install faketime)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    # This process may have been started with a wrong clock itself.
    ahead_s += float(os.environ.get("FAKETIME", "0"))
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{ahead_s:+f}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
