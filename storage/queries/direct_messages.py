"""Direct messages that were sent: which of them is the newest about an incident, and which are out of date."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.destinations import build_mark_due
from storage.queries.outbox import wake_after_commit
from storage.values import PostKind, Urgency, Work

# How long an update waits, so that changes that follow at once become one.
_DEBOUNCE_S = 0.5
# The same where another message to the person already waits, which will make this one an older one.
_LONG_DEBOUNCE_S = 5.0

# Posts p that show the present state. One that is being sent may show a state that is no longer the present one.
_SHOWS_STATE = (
    f"((p.kind = '{PostKind.NEWEST}' AND p.ts IS NOT NULL)"
    f" OR (p.kind = '{PostKind.NOTIFICATION}' AND p.ts IS NULL AND p.attempted_at IS NOT NULL))"
)


def _build_outdate(earlier: PostKind, above: str) -> PreparedStatement:
    return PreparedStatement(
        f"UPDATE post p SET kind = '{PostKind.OLDER}', wanted_version = wanted_version + 1, date_done = NULL,"  # noqa: S608 - composed of constants
        f" urgency = {int(Urgency.BULK)}, due_at = %(now)s"
        " FROM unnest(%(organizations)s, %(ids)s, %(destinations)s, %(incidents)s, %(ts)s)"
        "  AS m(organization, own, destination, incident, at)"
        " WHERE p.organization_id = m.organization AND p.destination_id = m.destination AND p.incident_id = m.incident"
        f" AND p.kind = '{earlier}' AND p.id <> m.own AND ({above})",
        {
            "organizations": "bigint[]",
            "ids": "bigint[]",
            "destinations": "bigint[]",
            "incidents": "bigint[]",
            "ts": "text[]",
            "now": "timestamptz",
        },
    )


_OUTDATE = (
    _build_outdate(PostKind.NEWEST, 'p.ts IS NULL OR p.ts COLLATE "C" < m.at'),
    _build_outdate(PostKind.NOTIFICATION, 'p.ts COLLATE "C" < m.at'),
)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A direct message about an incident that was sent."""

    organization_id: int
    post_id: int
    destination_id: int
    incident_id: int
    ts: str


def outdate_messages_above(tx: Connection, sent: Sequence[SentMessage], now: datetime) -> None:
    """Makes the messages that stand above these older ones, and due to be updated.

    The caller has locked the destinations. Sent messages of kind NOTIFICATION are those of a version that did not rank
    them.
    """
    if sent:
        given = {
            "organizations": [one.organization_id for one in sent],
            "ids": [one.post_id for one in sent],
            "destinations": [one.destination_id for one in sent],
            "incidents": [one.incident_id for one in sent],
            "ts": [one.ts for one in sent],
        }
        for statement in _OUTDATE:
            statement.rows(tx, {**given, "now": now})


def rank_message(tx: Connection, message: SentMessage, now: datetime) -> PostKind:
    """Decides whether a sent message is the newest about its incident in the conversation, and returns its kind.

    The messages above it become older ones. `posts.mark_delivered` does the same for those that were sent just now. The
    caller has locked the destination.
    """
    outdate_messages_above(tx, [message], now)
    kind: str = tx.exec_driver_sql(
        "WITH below AS (SELECT EXISTS (SELECT FROM post WHERE organization_id = %(organization_id)s"  # noqa: S608 - composed of constants
        f"  AND destination_id = %(destination_id)s AND incident_id = %(incident_id)s AND kind = '{PostKind.NEWEST}'"
        " AND id <> %(id)s) AS it)"
        f" UPDATE post SET kind = CASE WHEN below.it THEN '{PostKind.OLDER}' ELSE '{PostKind.NEWEST}' END,"
        " wanted_version = wanted_version + below.it::int,"
        " date_done = CASE WHEN NOT below.it THEN date_done END,"
        " urgency = CASE WHEN below.it THEN %(bulk)s ELSE %(news)s END"
        " FROM below WHERE organization_id = %(organization_id)s AND id = %(id)s RETURNING kind",
        {
            "organization_id": message.organization_id,
            "id": message.post_id,
            "destination_id": message.destination_id,
            "incident_id": message.incident_id,
            "bulk": int(Urgency.BULK),
            "news": int(Urgency.NEWS),
        },
    ).scalar_one()
    return PostKind(kind)


# Has the messages that show the state of these incidents updated, as `redraw_messages` in
# storage/queries/expansion.py says.
REDRAW = PreparedStatement(
    f"""
UPDATE post p SET wanted_version = wanted_version + 1, date_done = NULL,
  urgency = CASE WHEN wanted_version > drawn_version THEN urgency ELSE {Urgency.NEWS:d} END,
  due_at = CASE WHEN wanted_version > drawn_version THEN due_at ELSE %(now)s + make_interval(secs => CASE
    WHEN EXISTS (SELECT FROM post n WHERE n.organization_id = p.organization_id AND n.destination_id = p.destination_id
                 AND n.incident_id = p.incident_id AND n.kind = '{PostKind.NOTIFICATION}'
                 AND n.ts IS NULL AND n.wanted_version > n.drawn_version)
    THEN {_LONG_DEBOUNCE_S} ELSE {_DEBOUNCE_S} END) END
WHERE p.organization_id = ANY(%(organization_ids)s) AND p.incident_id = ANY(%(ids)s)
  AND p.destination_id = ANY(%(locked)s) AND {_SHOWS_STATE}
""",  # noqa: S608 - composed of constants
    {"organization_ids": "bigint[]", "ids": "bigint[]", "locked": "bigint[]", "now": "timestamptz"},
)


def redraw_messages_of_entries(
    tx: Connection, organization_ids: Collection[int], activity_ids: Collection[int], now: datetime
) -> None:
    """Makes the sent messages that show these log entries due. The caller has locked their destinations."""
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = wanted_version + 1, date_done = NULL,"  # noqa: S608 - composed of constants
        " due_at = CASE WHEN wanted_version > drawn_version THEN due_at"
        "  ELSE %(now)s + make_interval(secs => %(short)s) END"
        " FROM notification n WHERE n.organization_id = ANY(%(organization_ids)s) AND n.activity_id = ANY(%(ids)s)"
        " AND p.organization_id = n.organization_id AND p.id = n.post_id"
        f" AND p.kind IN ('{PostKind.NEWEST}', '{PostKind.OLDER}') AND p.ts IS NOT NULL",
        {"organization_ids": list(organization_ids), "ids": sorted(activity_ids), "now": now, "short": _DEBOUNCE_S},
    )


def build_hurry(organization: str, incident: str) -> str:
    """Returns the CTEs of `hurry_for_member`; `hurried` are the conversations. Both are a subquery or an id."""
    return f"""
talks AS (
  SELECT d.workspace_id, d.id FROM destination d
  WHERE d.workspace_id IN (SELECT w.id FROM workspace w WHERE w.organization_id = {organization})
    AND d.member_id = %(member_id)s
    AND EXISTS (SELECT FROM post p WHERE p.organization_id = {organization} AND p.incident_id = {incident}
                AND p.destination_id = d.id AND {_SHOWS_STATE})
  FOR NO KEY UPDATE SKIP LOCKED
), messages AS (
  UPDATE post p SET wanted_version = wanted_version + 1, date_done = NULL, slot_at = NULL,
    urgency = LEAST(urgency, {Urgency.CHANGE:d}), due_at = CASE WHEN ts IS NULL THEN due_at ELSE %(now)s END
  FROM talks WHERE p.organization_id = {organization} AND p.incident_id = {incident} AND p.destination_id = talks.id
    AND {_SHOWS_STATE}
  RETURNING p.destination_id
), hurried AS (
  UPDATE destination SET {build_mark_due(str(int(Urgency.CHANGE)))}
  FROM talks WHERE destination.workspace_id = talks.workspace_id AND destination.id = talks.id
    AND talks.id IN (SELECT destination_id FROM messages) RETURNING talks.id
)"""  # noqa: S608 - composed of constants


HURRY = PreparedStatement(
    f"WITH {build_hurry('%(organization_id)s', '%(incident_id)s')} SELECT id FROM hurried",  # noqa: S608 - composed of constants
    {"organization_id": "bigint", "member_id": "bigint", "incident_id": "bigint", "now": "timestamptz"},
)


def hurry_for_member(tx: Connection, organization_id: int, incident_id: int, member_id: int, now: datetime) -> None:
    """Has the messages that show a member the state of an incident updated before others: the member waits for it.

    This is besides `REDRAW`, which updates them in any case. Nobody waits here for delivery: a conversation that
    it has locked is left out.
    """
    given = {"organization_id": organization_id, "incident_id": incident_id, "member_id": member_id, "now": now}
    if HURRY.rows(tx, given):
        wake_after_commit(tx, Work.POSTS)
