"""`tocsin` and `python -m bot`: the commands of an installed package.

In a checkout, `run_bot.py` does the same, and builds an environment first.
"""

from __future__ import annotations

import sys

from bot.environment import ensure_home
from bot.loading import begin_loading


def main() -> int:
    """Run the command of sys.argv; returns its exit code."""
    ensure_home()  # before libraries are loaded that look for it
    begin_loading()
    from bot.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
