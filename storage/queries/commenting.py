"""Adding a comment: everything that it changes, in one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries import incidents, outbox
from storage.queries.log_entries import ENTRY_TYPES, RECORD_TYPES, build_entry, build_record
from storage.rows import IncidentHead
from storage.values import ActivityType, Work

COMMENT = PreparedStatement(
    f"""
WITH head AS MATERIALIZED ({incidents.HEAD_SQL}
), {build_entry("SELECT %(organization_id)s::bigint, id FROM head")}
, {build_record("%(organization_id)s", "(SELECT id FROM head)")}
, subscribed AS (
  INSERT INTO incident_subscription (organization_id, incident_id, member_id, date_added)
  SELECT %(organization_id)s, head.id, m.id, %(now)s FROM head, unnest(%(followers)s) AS m(id) ON CONFLICT DO NOTHING
)
SELECT head.*, (SELECT id FROM entry), EXISTS (SELECT FROM recorded) FROM head
""",  # noqa: S608 - composed of constants
    {**ENTRY_TYPES, **RECORD_TYPES, **incidents.HEAD_TYPES, "followers": "bigint[]"},
)


def add_comment(
    tx: Connection,
    organization_id: int,
    identifier: int,
    project_ids: Sequence[int],
    *,
    member_id: int,
    comment: str,
    rich_text: dict[str, Any] | None,
    mentioned_members: Collection[int],
    mentioned_teams: Collection[int],
    followers: Collection[int],
    thread_channel: str | None,
    now: datetime,
) -> tuple[IncidentHead, int] | None:
    """Adds a comment of a member, in one message, and has `followers` follow the incident.

    Returns the incident and the comment's id, or None if the member does not see the incident. `thread_channel` is as
    in `outbox.record_change`. The statement follows the lock of the incident, so it sees what was committed while it
    waited.
    """
    given = {"organization_id": organization_id, "identifier": identifier, "project_ids": project_ids}
    incidents.lock_incident(tx, given)
    row = COMMENT.row(
        tx,
        {
            **dict.fromkeys(ENTRY_TYPES),
            **given,
            "member_id": member_id,
            "type": int(ActivityType.COMMENT),
            "comment": comment,
            "rich_text": None if rich_text is None else json.dumps(rich_text),
            "date_added": now,
            "mentioned_members": sorted(mentioned_members),
            "mentioned_teams": sorted(mentioned_teams),
            "followers": sorted(followers),
            "thread_channel": thread_channel,
            "now": now,
        },
    )
    if row is None:
        return None
    comment_id, recorded = row[7:]
    if recorded:
        outbox.wake_after_commit(tx, Work.CHANGES)
    return incidents.parse_head(organization_id, row[:7]), comment_id
