"""Reads the activity log of an incident in pages."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.incidents.access import Access
from storage.queries import activity
from storage.rows import ActivityPage, IncidentHead


def find_page(
    connection: Connection,
    access: Access,
    incident: IncidentHead,
    *,
    size: int,
    before: int | None = None,
    after: int | None = None,
) -> ActivityPage:
    """A page of the log: at most `size` entries, newest first.

    `before` and `after` are ids of entries: the page has the entries that are older than `before`, or newer than
    `after`. Without them, or if the entry is not in this incident's log, it is the newest page.
    """
    return activity.get_activity_page(
        connection,
        incident.organization_id,
        incident.id,
        access.workspace_id,
        size=size,
        before=activity.find_position(connection, incident.organization_id, incident.id, before)
        if before is not None
        else None,
        after=activity.find_position(connection, incident.organization_id, incident.id, after)
        if after is not None
        else None,
    )
