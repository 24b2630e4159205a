"""Twice in, once done: which of Slack's requests have been carried out."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete
from sqlalchemy.dialects.postgresql import insert

from storage.models import HandledRequest

# Slack gives up on an event after an hour and on a form after half of one; a day is ample.
KEPT_FOR = timedelta(days=1)


def first_time(connection: Connection, workspace_id: str, key: str, now: datetime) -> bool:
    """Whether this request has not been carried out before; remembers it with the transaction that does it."""
    found = connection.execute(
        insert(HandledRequest)
        .values(workspace_id=workspace_id, key=key, date_added=now)
        .on_conflict_do_nothing()
        .returning(HandledRequest.key)
    )
    return found.first() is not None


def forget_old(connection: Connection, now: datetime) -> int:
    """Removes what no longer can arrive again; gives how many rows that was."""
    return connection.execute(delete(HandledRequest).where(HandledRequest.date_added < now - KEPT_FOR)).rowcount
