"""Loads the program without collecting garbage: what is loaded is many objects that stay, and no garbage.

This module imports only the standard library.
"""

from __future__ import annotations

import gc
from importlib import import_module


def begin_loading() -> None:
    """Collects no garbage until `end_loading`: to do so took a fifth of the time in which `serve` is loaded."""
    gc.disable()


def end_loading() -> None:
    """Collects garbage again, if this process has begun to load before. What has been loaded is never looked at.

    The collector would stop the process for a tenth of a second each time it does that.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def load(module: str) -> None:
    """Loads a module and what it imports."""
    begin_loading()
    try:
        import_module(module)
    finally:
        end_loading()
