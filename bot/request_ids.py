"""The id of a request: every line of the log about it has the id, and a person is shown it when something fails."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

_NAME = "request_id"  # of the field in the log


@contextmanager
def new_request_id() -> Iterator[str]:
    """Gives what is done and logged in the block a new id."""
    request_id = _make()
    before = bind_contextvars(**{_NAME: request_id})
    try:
        yield request_id
    finally:
        reset_contextvars(**before)


def get_request_id() -> str:
    """The id of the request that is being handled; outside of one, an id that nothing else has."""
    return str(get_contextvars().get(_NAME) or _make())


def _make() -> str:
    return secrets.token_hex(4)
