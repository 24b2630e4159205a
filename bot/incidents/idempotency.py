"""A request that Slack delivers again changes nothing the second time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.incidents.errors import AlreadyDone
from storage.queries.handled_requests import record_once


def record_request(tx: Connection, workspace_id: str, key: str, now: datetime) -> None:
    """Stores the key of a request in the transaction that carries it out.

    `key` names the request: an event id, the id of a submitted form. Raises AlreadyDone where it is stored already.
    """
    if not record_once(tx, workspace_id, key, now):
        raise AlreadyDone
