"""Nobody holds a pooled connection while Slack is asked: it may take seconds, and everybody shares those connections.

Looked at in every test that runs the bot in its own process.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool


class _Lent(threading.local):
    """What the pools have lent to one thread."""

    def __init__(self) -> None:
        self.records: set[Any] = set()


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Gives a list of where Slack was called with a connection in hand; it grows until the block ends."""
    lent = _Lent()
    found: list[str] = []
    call = HTTPConnection.putrequest

    def on_checkout(_driver: Any, record: Any, _proxy: Any) -> None:
        lent.records.add(record)

    def on_back(_driver: Any, record: Any, *_error: Any) -> None:
        lent.records.discard(record)

    def watching_call(self: HTTPConnection, method: str, url: str, *arguments: Any, **named: Any) -> None:
        if lent.records:
            found.append(f"{url} was called with a connection in hand:\n{''.join(traceback.format_stack(limit=30))}")
        call(self, method, url, *arguments, **named)

    listeners = {"checkout": on_checkout, "checkin": on_back, "detach": on_back, "invalidate": on_back}
    for name, listener in listeners.items():
        event.listen(Pool, name, listener)
    monkeypatch.setattr(HTTPConnection, "putrequest", watching_call)
    try:
        yield found
    finally:
        for name, listener in listeners.items():
            event.remove(Pool, name, listener)
