#!/usr/bin/env python3
"""The door: makes sure of an environment that has the packages, and hands the command over to bot/cli.py.

    python3 run_bot.py [serve|demo|migrate|apply|token|doctor|manifest] ...
    python3 run_bot.py test [pytest arguments]
    python3 run_bot.py check [name of a check ...]

How an environment is found or built is the business of bot/environment.py. Here the syntax is that of very
old Pythons, with types in comments: a Python that is too old has to get as far as saying so.
"""

import os
import sys

OLDEST_PYTHON = (3, 11)


def main(argv):
    # type: (list[str]) -> int
    """Run a command, and return its exit code unless this process has become the command."""
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(str(part) for part in OLDEST_PYTHON)
        sys.stderr.write("Python " + wanted + " or newer is needed; this is " + sys.version.split()[0] + ".\n")
        return 2

    root = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120
    if root not in sys.path:  # as it is not with python -P
        sys.path.insert(0, root)
    from bot.environment import run_command

    return run_command(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
