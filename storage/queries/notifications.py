"""Notifications: direct messages about a change to those who follow its incident, or are mentioned in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.outbox_changes import EntryChange
from storage.queries.summaries import find_summaries
from storage.values import PostKind, Urgency

# How long a notification waits, so that changes that follow at once become one message.
DEBOUNCE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Notified:
    """A member who is notified of a change."""

    member_id: int
    mention: bool
    destination_id: int
    waiting_id: int | None  # of the post that waits for the same person and incident


_INSERT = PreparedStatement(
    "INSERT INTO notification (organization_id, activity_id, member_id, mention, post_id)"
    " SELECT %(organization_id)s::bigint, %(activity_id)s::bigint, r.member_id, r.mention, r.post_id"
    " FROM unnest(%(member_ids)s::bigint[], %(mentions)s::boolean[], %(posts)s::bigint[])"
    "   AS r(member_id, mention, post_id)"
)


def create_notifications(
    tx: Connection,
    change: EntryChange,
    recipients: Mapping[int, bool],
    destination_of: Mapping[int, int],
    now: datetime,
    *,
    foldable: bool = False,
) -> None:
    """Notifies each recipient of the change once; `recipients` maps member ids to whether they are mentioned.

    A notification that already waits for the same person and incident takes in the change, so that both are one
    message. With `foldable`, so does the summary of somebody who got many messages lately, unless they are mentioned.
    The caller has locked the destinations.
    """
    notified = _list_notified(tx, change, recipients, destination_of)
    if not notified:
        return
    summary_of = _take_into_summaries(tx, change, notified, now) if foldable else {}
    new = [one for one in notified if one.waiting_id is None and one.member_id not in summary_of]
    post_of = _insert_posts(tx, change, new, now) if new else {}
    _hasten_mentions(tx, change, notified, now)
    _INSERT.execute(
        tx,
        {
            "organization_id": change.organization_id,
            "activity_id": change.activity_id,
            "member_ids": [one.member_id for one in notified],
            "mentions": [one.mention for one in notified],
            "posts": [
                one.waiting_id or summary_of.get(one.member_id) or post_of[one.destination_id] for one in notified
            ],
        },
    )


_LIST_NOTIFIED = PreparedStatement(
    f"""
SELECT r.member_id, r.mention, r.destination_id, p.id
FROM unnest(%(member_ids)s::bigint[], %(mentions)s::boolean[], %(destinations)s::bigint[])
  AS r(member_id, mention, destination_id)
LEFT JOIN LATERAL (SELECT id FROM post WHERE organization_id = %(organization_id)s AND destination_id = r.destination_id
                   AND wanted_version > drawn_version AND kind = '{PostKind.NOTIFICATION}' AND ts IS NULL
                   AND incident_id = %(incident_id)s AND attempted_at IS NULL ORDER BY id DESC LIMIT 1) p ON true
WHERE NOT EXISTS (SELECT FROM notification n WHERE n.organization_id = %(organization_id)s
  AND n.activity_id = %(activity_id)s
                  AND n.member_id = r.member_id AND n.mention = r.mention)
""",  # noqa: S608 - composed of constants
    {"organization_id": "bigint", "incident_id": "bigint", "activity_id": "bigint"},
)


def _list_notified(
    tx: Connection, change: EntryChange, recipients: Mapping[int, bool], destination_of: Mapping[int, int]
) -> list[_Notified]:
    """Returns the recipients who have not been notified of the change yet."""
    rows = _LIST_NOTIFIED.rows(
        tx,
        {
            "member_ids": list(recipients),
            "mentions": list(recipients.values()),
            "destinations": [destination_of[member_id] for member_id in recipients],
            "organization_id": change.organization_id,
            "incident_id": change.incident_id,
            "activity_id": change.activity_id,
        },
    )
    return [_Notified(*row) for row in rows]


def _take_into_summaries(
    tx: Connection, change: EntryChange, notified: Sequence[_Notified], now: datetime
) -> dict[int, int]:
    """Returns the summaries that take in the change: the id of the post by that of the member."""
    folded = {one.member_id: one.destination_id for one in notified if one.waiting_id is None and not one.mention}
    summaries = find_summaries(tx, change.organization_id, folded.values(), now, DEBOUNCE_S) if folded else {}
    return {member_id: summaries[to] for member_id, to in folded.items() if to in summaries}


_INSERT_POSTS = PreparedStatement(
    f"""
INSERT INTO post (organization_id, destination_id, kind, incident_id, urgency, due_at, date_added)
SELECT %(organization_id)s, r.destination_id, '{PostKind.NOTIFICATION}', %(incident_id)s,
       CASE WHEN r.mention THEN {Urgency.URGENT:d} ELSE {Urgency.NEWS:d} END,
       %(now)s + CASE WHEN r.mention THEN interval '0' ELSE make_interval(secs => {DEBOUNCE_S}) END, %(now)s
FROM unnest(%(destinations)s::bigint[], %(mentions)s::boolean[]) AS r(destination_id, mention)
RETURNING destination_id, id
""",  # noqa: S608 - composed of constants
    {"organization_id": "bigint", "incident_id": "bigint", "now": "timestamptz"},
)


def _insert_posts(tx: Connection, change: EntryChange, new: Sequence[_Notified], now: datetime) -> dict[int, int]:
    """Inserts a message to each of these members. Returns the id of the post by that of its destination."""
    made = _INSERT_POSTS.rows(
        tx,
        {
            "organization_id": change.organization_id,
            "incident_id": change.incident_id,
            "destinations": [one.destination_id for one in new],
            "mentions": [one.mention for one in new],
            "now": now,
        },
    )
    return {row[0]: row[1] for row in made}


def _hasten_mentions(tx: Connection, change: EntryChange, notified: Sequence[_Notified], now: datetime) -> None:
    """Has the messages that wait, and now take in a mention, go at once."""
    hastened = [one.waiting_id for one in notified if one.waiting_id is not None and one.mention]
    if hastened:
        tx.exec_driver_sql(
            "UPDATE post SET urgency = 0, due_at = %(now)s"
            " WHERE organization_id = %(organization_id)s AND id = ANY(%(ids)s)",
            {"organization_id": change.organization_id, "ids": hastened, "now": now},
        )
