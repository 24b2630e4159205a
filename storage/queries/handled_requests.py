"""Twice in, once done: which of Slack's requests have been carried out."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from storage.models import HandledRequest

# Slack gives up on an event after an hour and on a form after half of one; a day is ample.
KEPT_FOR = timedelta(days=1)


def record_once(connection: Connection, workspace_id: str, key: str, now: datetime) -> bool:
    """Whether this request has not been carried out before; remembers it with the transaction that does it."""
    found = connection.execute(
        insert(HandledRequest)
        .values(workspace_id=workspace_id, key=key, date_added=now)
        .on_conflict_do_nothing()
        .returning(HandledRequest.key)
    )
    return found.first() is not None


_DELETE_OLD = """
DELETE FROM handled_request WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM handled_request WHERE date_added < %(before)s
    ORDER BY date_added LIMIT %(most)s FOR UPDATE SKIP LOCKED
))
"""


def delete_old_requests(connection: Connection, before: datetime, most: int) -> int:
    """Removes what was carried out before then; gives how many of at most `most`."""
    return connection.exec_driver_sql(_DELETE_OLD, {"before": before, "most": most}).rowcount
