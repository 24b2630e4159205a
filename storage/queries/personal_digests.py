"""Digests for one member alone: when they are due, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from storage.member_rows import ChangedIncident, PersonalDigest, PersonalDigestContent, PersonalMention
from storage.queries.activity import ENTRY_COLUMNS, READABLE, get_mentions_of_entries, parse_entry
from storage.queries.handoffs import LAST_COMMENT, SHOWN, parse_shown
from storage.queries.visibility import sees_incident

_COLUMNS = "organization_id, member_id, workspace_id, cron, zone, next_fire_at, since, date_paused"


def find_digest(
    connection: Connection, organization_id: int, member_id: int, *, lock: bool = False
) -> PersonalDigest | None:
    """Returns the personal digest of a member, or None."""
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM personal_digest WHERE organization_id = %(organization_id)s"  # noqa: S608
        " AND member_id = %(member_id)s" + (" FOR UPDATE" if lock else ""),
        {"organization_id": organization_id, "member_id": member_id},
    ).first()
    return None if row is None else PersonalDigest(*row)


def save_digest(tx: Connection, digest: PersonalDigest, now: datetime) -> None:
    """Inserts the personal digest of a member, or replaces it. What changed since the last one stays news."""
    tx.exec_driver_sql(
        f"INSERT INTO personal_digest ({_COLUMNS}, date_added) VALUES (%(organization_id)s, %(member_id)s,"  # noqa: S608
        " %(workspace_id)s, %(cron)s, %(zone)s, %(next_fire_at)s, %(since)s, %(date_paused)s, %(now)s)"
        " ON CONFLICT (organization_id, member_id) DO UPDATE SET workspace_id = EXCLUDED.workspace_id,"
        " cron = EXCLUDED.cron, zone = EXCLUDED.zone, next_fire_at = EXCLUDED.next_fire_at, since = EXCLUDED.since,"
        " date_paused = EXCLUDED.date_paused",
        {
            "organization_id": digest.organization_id,
            "member_id": digest.member_id,
            "workspace_id": digest.workspace_id,
            "cron": digest.cron,
            "zone": digest.zone,
            "next_fire_at": digest.next_fire_at,
            "since": digest.since,
            "date_paused": digest.date_paused,
            "now": now,
        },
    )


def delete_digest(tx: Connection, organization_id: int, member_id: int) -> bool:
    """Deletes the personal digest of a member. Returns False if there is none."""
    return bool(
        tx.exec_driver_sql(
            "DELETE FROM personal_digest WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s",
            {"organization_id": organization_id, "member_id": member_id},
        ).rowcount
    )


def lock_due(tx: Connection, now: datetime, most: int) -> list[PersonalDigest]:
    """Locks and returns up to `most` personal digests that are due. Those that other replicas lock are left out."""
    rows = tx.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM personal_digest WHERE next_fire_at <= %(now)s"  # noqa: S608
        " ORDER BY next_fire_at LIMIT %(most)s FOR UPDATE SKIP LOCKED",
        {"now": now, "most": most},
    )
    return [PersonalDigest(*row) for row in rows]


# --- what it shows -------------------------------------------------------------------------------------------

_READER = """
JOIN member m ON m.organization_id = i.organization_id AND m.id = %(member_id)s
JOIN organization o ON o.id = m.organization_id
"""
_OWNED = f"""
SELECT count(*) OVER (), {SHOWN}
FROM incident i {_READER}
{LAST_COMMENT}
WHERE i.organization_id = %(organization_id)s AND i.owner_id = %(member_id)s AND i.status <> 2
  AND {sees_incident("i.id")}
ORDER BY i.status DESC, i.date_started DESC, i.id DESC LIMIT %(most)s
"""  # noqa: S608 - composed of constants
# Entries whose comment mentions the reader or a team of theirs.
_MENTIONS = f"""
SELECT i.identifier, i.title, i.status, e.*
FROM (SELECT DISTINCT c.activity_id FROM comment_mention c
      WHERE c.organization_id = %(organization_id)s AND (c.member_id = %(member_id)s
         OR c.team_id IN (SELECT mt.team_id FROM member_team mt
                          WHERE mt.organization_id = %(organization_id)s AND mt.member_id = %(member_id)s))) named
JOIN incident_activity x ON x.organization_id = %(organization_id)s AND x.id = named.activity_id
  AND x.date_added > %(since)s
JOIN incident i ON i.organization_id = x.organization_id AND i.id = x.incident_id
CROSS JOIN LATERAL (SELECT {ENTRY_COLUMNS} FROM incident_activity a
  LEFT JOIN member m ON m.organization_id = a.organization_id AND m.id = a.member_id
                    WHERE a.organization_id = x.organization_id AND a.id = x.id AND {READABLE}
                      AND a.comment IS NOT NULL) e
{_READER}
WHERE x.member_id IS DISTINCT FROM %(member_id)s AND {sees_incident("i.id")}
ORDER BY x.date_added DESC, x.id DESC LIMIT %(most)s
"""  # noqa: S608 - composed of constants
# What others changed in the incidents that the reader owns or follows. Who follows thousands sees what few of them
# changed, so these are found first.
_CHANGED = f"""
WITH changed AS MATERIALIZED (
  SELECT mine.id, news.*
  FROM (SELECT s.incident_id AS id FROM incident_subscription s
        WHERE s.organization_id = %(organization_id)s AND s.member_id = %(member_id)s
        UNION SELECT i.id FROM incident i
        WHERE i.organization_id = %(organization_id)s AND i.owner_id = %(member_id)s) mine
  CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE a.type = 3) AS comments,
                             count(*) FILTER (WHERE a.type = 2) AS changes,
                             count(*) FILTER (WHERE a.type = 100) AS owners, max(a.date_added) AS last
                      FROM incident_activity a
                      WHERE a.organization_id = %(organization_id)s AND a.incident_id = mine.id
                        AND {READABLE} AND a.type IN (2, 3, 100) AND a.date_added > %(since)s
                        AND a.member_id IS DISTINCT FROM %(member_id)s) news
  WHERE news.last IS NOT NULL
)
SELECT i.identifier, i.title, i.status, news.comments, news.changes, news.owners, count(*) OVER ()
FROM changed news
CROSS JOIN LATERAL (SELECT i.id, i.identifier, i.title, i.status FROM incident i {_READER}
                    WHERE i.organization_id = %(organization_id)s AND i.id = news.id
                      AND {sees_incident("i.id")} OFFSET 0) i
ORDER BY news.last DESC, i.id DESC LIMIT %(most)s
"""  # noqa: S608 - composed of constants


def get_content(
    connection: Connection, organization_id: int, member_id: int, workspace_id: str, since: datetime, most: int
) -> PersonalDigestContent:
    """Returns what a member's digest shows: up to `most` incidents that are theirs, mentions and changed incidents."""
    given: dict[str, Any] = {"organization_id": organization_id, "member_id": member_id, "since": since, "most": most}
    owned: Sequence[Any] = connection.exec_driver_sql(_OWNED, given).all()
    mentions = [
        PersonalMention(row[0], row[1], row[2], parse_entry(row[3:]))
        for row in connection.exec_driver_sql(_MENTIONS, given)
    ]
    changed: Sequence[Any] = connection.exec_driver_sql(_CHANGED, given).all()
    shown = [parse_shown(row[1:]) for row in owned]
    entries = [one.entry for one in mentions] + [one.last_comment for one in shown if one.last_comment is not None]
    return PersonalDigestContent(
        since=since,
        owned=shown,
        owned_count=owned[0][0] if owned else 0,
        mentions_of_reader=mentions,
        changed=[ChangedIncident(*row[:6]) for row in changed],
        changed_count=changed[0][6] if changed else 0,
        mentions=get_mentions_of_entries(connection, entries, workspace_id),
    )
