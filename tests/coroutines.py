"""Running coroutines in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.patience import PATIENCE_S

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Returns what the coroutine returns, run by an event loop on a thread of its own.

    Not on this thread: Playwright's sync API leaves a loop running there once the worker has had a browser test.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asyncio.wait_for(work, PATIENCE_S)).result()
