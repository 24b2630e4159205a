"""Makes sure that a request which Slack delivers twice is carried out once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from storage.queries.handled_requests import record_once


def record_request(tx: Connection, workspace_id: str, key: str, now: datetime) -> None:
    """Stores the key of a request, in the same transaction that carries it out.

    `key` identifies the request: an event id, or the id of a submitted form. If it is stored already, the next
    statement of the transaction, or its commit, raises AlreadyHandled.
    """
    record_once(tx, workspace_id, key, now)
