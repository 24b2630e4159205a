"""Summaries: direct messages that stand for many at once, when much that somebody follows changes within a minute."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.post_kinds import SummaryPost
from storage.queries.visibility import sees_incident
from storage.rows import SummaryContent, SummaryLine
from storage.values import PostKind, Status, Urgency

# More messages than this to one person within a minute become a summary. It takes in what follows until nothing has for
# a minute, and for ten minutes at most. It is updated no more often than every few seconds.
_LIMIT = 5
_WITHIN = "interval '1 minute'"
_LONGEST = "interval '10 minutes'"
_REDRAW_S = 3.0
MAX_LINES = 10

# The kinds of messages about the incidents that somebody follows; an index of posts is for these.
NEWS_KINDS = f"('{PostKind.NOTIFICATION}', '{PostKind.NEWEST}', '{PostKind.OLDER}', '{PostKind.SUMMARY}')"


_FIND = PreparedStatement(
    "WITH lately AS (SELECT id, destination_id, kind, due_at, date_added FROM post"  # noqa: S608 - composed of constants
    "  WHERE organization_id = %(organization_id)s"
    f"  AND destination_id = ANY(%(ids)s) AND kind IN {NEWS_KINDS} AND date_added > %(now)s - {_LONGEST}),"
    " ongoing AS (UPDATE post p SET wanted_version = p.wanted_version + 1, date_done = NULL, due_at = CASE"
    "   WHEN p.wanted_version > p.drawn_version THEN p.due_at"
    f"   ELSE %(now)s + make_interval(secs => {_REDRAW_S}) END"
    "  FROM (SELECT DISTINCT ON (destination_id) id FROM lately"
    f"        WHERE kind = '{PostKind.SUMMARY}' AND due_at > %(now)s - {_WITHIN}"
    "        ORDER BY destination_id, id DESC) s"
    "  WHERE p.organization_id = %(organization_id)s AND p.id = s.id RETURNING p.destination_id, p.id),"
    " made AS (INSERT INTO post (organization_id, destination_id, kind, urgency, due_at, date_added)"
    f"  SELECT %(organization_id)s, destination_id, '{PostKind.SUMMARY}', {Urgency.NEWS:d},"
    "   %(now)s + make_interval(secs => %(settles)s), %(now)s FROM lately"
    f"  WHERE date_added > %(now)s - {_WITHIN} AND kind <> '{PostKind.SUMMARY}'"
    "   AND destination_id NOT IN (SELECT destination_id FROM ongoing)"
    f"  GROUP BY destination_id HAVING count(*) >= {_LIMIT} RETURNING destination_id, id)"
    " SELECT destination_id, id FROM ongoing UNION ALL SELECT destination_id, id FROM made",
    {"organization_id": "bigint", "ids": "bigint[]", "now": "timestamptz", "settles": "float8"},
)


def find_summaries(
    tx: Connection, organization_id: int, destination_ids: Collection[int], now: datetime, settles_s: float
) -> dict[int, int]:
    """Returns the summaries that take in another notification now: the id of the post by that of its destination.

    Destinations are left out whose person got few messages lately. The caller has locked them.
    """
    given = {"organization_id": organization_id, "ids": sorted(destination_ids), "now": now, "settles": settles_s}
    rows = _FIND.rows(tx, given)
    return {row[0]: row[1] for row in rows}


_LINES = f"""
SELECT i.identifier, i.title, i.status, news.count, count(*) OVER (), sum(news.count) OVER ()
FROM (SELECT a.incident_id, count(*) AS count, max(a.id) AS last
      FROM notification n JOIN incident_activity a ON a.organization_id = n.organization_id AND a.id = n.activity_id
      WHERE n.organization_id = %(organization_id)s AND n.post_id = %(post_id)s
        AND n.member_id = %(member_id)s GROUP BY a.incident_id) news
JOIN incident i ON i.organization_id = %(organization_id)s AND i.id = news.incident_id
JOIN member m ON m.organization_id = i.organization_id AND m.id = %(member_id)s
JOIN organization o ON o.id = m.organization_id AND o.id = i.organization_id
WHERE m.notify = 'all' AND {sees_incident("i.id")}
  AND EXISTS (SELECT FROM incident_subscription s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
    AND s.member_id = m.id)
ORDER BY i.status = {Status.CLOSED:d}, i.status DESC, news.last DESC LIMIT {MAX_LINES}
"""  # noqa: S608 - composed of constants


def find_summary_content(tx: Connection, post: SummaryPost, member_id: int) -> SummaryContent | None:
    """Returns what a summary shows to its reader; None if there is nothing that they follow, may see and want."""
    given = {"organization_id": post.organization_id, "post_id": post.id, "member_id": member_id}
    rows = tx.exec_driver_sql(_LINES, given).all()
    if not rows:
        return None
    lines = [SummaryLine(identifier, title, Status(status)) for identifier, title, status, *_ in rows]
    return SummaryContent(lines, incidents=rows[0][4], changes=int(rows[0][5]))
