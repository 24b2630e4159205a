"""How people start this program, for the lines that tell them to run a command."""

from __future__ import annotations

import sys
from pathlib import Path


def find_program(started_as: str) -> str:
    """The words before a command's name. `started_as` is sys.argv[0]."""
    path = Path(started_as)
    if path.stem == "tocsin":  # where the package is installed
        return "tocsin"
    return "python3 -m bot" if path.name == "__main__.py" and path.parent.name == "bot" else "python3 run_bot.py"


PROGRAM = find_program(sys.argv[0])
