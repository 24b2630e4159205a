"""Record which requests from Slack have been handled, so that a repeated request is handled only once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from storage.models import HandledRequest

# Slack gives up on an event after an hour and on a form after half an hour. One day is more than enough.
KEPT_FOR = timedelta(days=1)


def record_once(connection: Connection, workspace_id: str, key: str, now: datetime) -> bool:
    """Records a request as handled. Returns False if it was handled before.

    Call it in the transaction that handles the request.
    """
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
    """Deletes at most `most` requests that were handled before `before`, and returns how many."""
    return connection.exec_driver_sql(_DELETE_OLD, {"before": before, "most": most}).rowcount
