"""Record which requests from Slack have been handled, so that a repeated request is handled only once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from storage.prepared import PreparedStatement

# Slack gives up on an event after an hour and on a form after half an hour. One day is more than enough.
KEPT_FOR = timedelta(days=1)


_RECORD = PreparedStatement(
    "INSERT INTO handled_request (workspace_id, key, date_added) VALUES (%(workspace_id)s, %(key)s, %(now)s)",
    {"workspace_id": "text", "key": "text", "now": "timestamptz"},
)


def record_once(tx: Connection, workspace_id: str, key: str, now: datetime) -> None:
    """Records a request as handled, with the next statement of the transaction that handles it.

    That statement, or the commit, raises AlreadyHandled if the request was handled before.
    """
    _RECORD.defer(tx, {"workspace_id": workspace_id, "key": key, "now": now})


_DELETE_OLD = """
DELETE FROM handled_request WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM handled_request WHERE date_added < %(before)s
    ORDER BY date_added LIMIT %(most)s FOR UPDATE SKIP LOCKED
))
"""


def delete_old_requests(connection: Connection, before: datetime, most: int) -> int:
    """Deletes at most `most` requests that were handled before `before`, and returns how many."""
    return connection.exec_driver_sql(_DELETE_OLD, {"before": before, "most": most}).rowcount
