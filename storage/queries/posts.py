"""Posts that wait for Slack: choosing the next one for a destination, and recording the result."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.destinations import Target
from storage.queries.post_kinds import (
    ONE_TIME_KINDS,
    ORDERED_KINDS,
    POST_COLUMNS,
    CardPost,
    DirectPost,
    DuePost,
    KnownPost,
    NotificationPost,
    Post,
    StormPost,
    ThreadPost,
    UnknownPost,
    build_post,
)
from storage.values import PostKind, Urgency

# A search for a message begins this long before the attempt to post it, because Slack's clock is only estimated.
_SEARCH_MARGIN_S = 60.0


_OVERDUE = PreparedStatement(
    f"SELECT {POST_COLUMNS} FROM unnest(ARRAY[3, 2, 1]) AS u(turn)"  # noqa: S608 - composed of constants
    " CROSS JOIN LATERAL (SELECT * FROM post WHERE destination_id = %(id)s AND urgency = u.turn"
    "   AND wanted_version > drawn_version AND due_at <= %(overdue)s ORDER BY due_at, id LIMIT 1) p"
    " ORDER BY u.turn DESC LIMIT 1",
    {"id": "bigint", "now": "timestamptz", "overdue": "timestamptz"},
)
_NEXT = PreparedStatement(
    f"SELECT {POST_COLUMNS} FROM post"  # noqa: S608 - composed of constants
    " WHERE destination_id = %(id)s AND wanted_version > drawn_version AND due_at <= %(now)s"
    " ORDER BY urgency, due_at, id LIMIT 1",
    {"id": "bigint", "now": "timestamptz"},
)


def find_next_post(tx: Connection, destination_id: int, now: datetime, overdue: datetime | None = None) -> Post | None:
    """Returns the most urgent due post of a destination; None when nothing is due.

    With `overdue`, a post that was due by that moment goes first; of several, the least urgent one.
    """
    given = {"id": destination_id, "now": now, "overdue": overdue}
    row = None if overdue is None else _OVERDUE.row(tx, given)
    row = row or _NEXT.row(tx, given)
    return None if row is None else build_post(row)


_EARLIER = PreparedStatement(
    f"SELECT {POST_COLUMNS} FROM post"  # noqa: S608 - composed of constants
    f" WHERE destination_id = %(destination_id)s AND incident_id = %(incident_id)s AND kind IN {ORDERED_KINDS}"
    "   AND id < %(id)s AND ts IS NULL AND wanted_version > drawn_version ORDER BY id LIMIT 1",
    {"destination_id": "bigint", "incident_id": "bigint", "id": "bigint", "now": "timestamptz"},
)


def find_earlier_post(tx: Connection, post: KnownPost, target: Target, now: datetime) -> KnownPost | None:
    """Returns the first earlier post about the same incident in the same conversation that is not posted yet.

    Cards are ignored and never wait: they show the current state, and so have no order.
    """
    if not isinstance(post, ThreadPost | NotificationPost) or post.ts is not None:
        return None
    row = _EARLIER.row(tx, {"destination_id": target.id, "incident_id": post.incident_id, "id": post.id, "now": now})
    earlier = None if row is None else build_post(row)
    return None if isinstance(earlier, UnknownPost) else earlier


def is_overtaken(tx: Connection, post: ThreadPost | DirectPost, target: Target) -> bool:
    """Whether a later event of the incident is already posted above it in the conversation."""
    return bool(
        tx.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM post WHERE destination_id = %(destination_id)s"  # noqa: S608 - composed of constants
            f" AND incident_id = %(incident_id)s AND kind IN {ORDERED_KINDS} AND id > %(id)s"
            " AND (%(ts)s::text IS NULL OR ts < %(ts)s) AND ts IS NOT NULL)",
            {"destination_id": target.id, "incident_id": post.incident_id, "id": post.id, "ts": post.ts},
        ).scalar_one()
    )


_MARK_SENDING = PreparedStatement(
    "UPDATE post SET attempted_at = to_timestamp(%(begun)s), attempts = attempts + 1, searched_to = NULL,"
    " searchable_at = NULL,"
    " after_ts = %(after)s, due_at = %(now)s + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
    {"id": "bigint", "now": "timestamptz", "begun": "float8", "after": "text", "seconds": "float8"},
)


def mark_sending(
    tx: Connection, post: DuePost, target: Target, now: datetime, *, slack_now: float, settles_in_s: float
) -> None:
    """Records that an attempt begins, at `slack_now` seconds since the epoch by Slack's clock.

    Until a result is recorded, its outcome is unknown, and delivery searches for it after `settles_in_s` seconds. The
    times of the search must not depend on a local clock: if that jumped, the search would miss the message and
    delivery would post it again.
    """
    before = f"{slack_now - _SEARCH_MARGIN_S:.6f}"
    _MARK_SENDING.rows(
        tx,
        {
            "id": post.id,
            "now": now,
            "begun": slack_now,
            "after": max(before, target.last_ts or ""),
            "seconds": settles_in_s,
        },
    )


_MARK_DELIVERED = PreparedStatement(
    "UPDATE post SET ts = %(ts)s, drawn_version = GREATEST(drawn_version, %(version)s),"
    " drawn_hash = %(hash)s, failed_reason = %(reason)s, attempted_at = NULL,"
    " refused_at = NULL, slot_at = NULL, due_at = %(now)s,"
    " urgency = CASE WHEN kind = %(card)s AND %(ts)s IS NOT NULL THEN %(change)s ELSE urgency END,"
    " date_done = CASE WHEN %(done)s THEN %(now)s END"
    " WHERE id = %(id)s",
    {
        "id": "bigint",
        "now": "timestamptz",
        "ts": "text",
        "version": "int",
        "hash": "text",
        "reason": "text",
        "done": "boolean",
        "card": "text",
        "change": "smallint",
    },
)


def mark_delivered(
    tx: Connection,
    post: DuePost,
    now: datetime,
    *,
    ts: str | None,
    version: int | None = None,
    drawn_hash: str | None = None,
    failed_reason: str | None = None,
    done: bool = False,
) -> None:
    """Records that a post is delivered, or given up with `failed_reason`; `done`: it is not expected to change again.

    `version` is the version that the message shows, if that is not `wanted_version`.
    """
    _MARK_DELIVERED.rows(
        tx,
        {
            "id": post.id,
            "now": now,
            "ts": ts,
            "version": post.wanted_version if version is None else version,
            "hash": drawn_hash,
            "reason": failed_reason,
            "done": done,
            "card": str(PostKind.CARD),
            "change": int(Urgency.CHANGE),
        },
    )
    if post.ts is None:
        _wake_thread(tx, post, now)


def _wake_thread(tx: Connection, card: DuePost, now: datetime) -> None:
    """Makes the messages due that wait for their card, or their storm's message, to be posted or given up."""
    if isinstance(card, CardPost | StormPost):
        tx.exec_driver_sql(
            "UPDATE post SET due_at = %(now)s WHERE card_id = %(id)s AND ts IS NULL AND due_at > %(now)s"
            " AND wanted_version > drawn_version AND attempted_at IS NULL",
            {"id": card.id, "now": now},
        )


def mark_delivered_late(tx: Connection, post: DuePost, ts: str, now: datetime) -> bool:
    """Records the result of an attempt whose lease has ended. Returns False if another attempt has begun."""
    found = tx.exec_driver_sql(
        "UPDATE post SET ts = %(ts)s, drawn_version = GREATEST(drawn_version, %(version)s), attempted_at = NULL,"  # noqa: S608 - composed of constants
        " refused_at = NULL, failed_reason = NULL,"
        f" due_at = %(now)s, date_done = CASE WHEN kind IN {ONE_TIME_KINDS} THEN %(now)s END"
        " WHERE id = %(id)s AND ts IS NULL AND generation = %(generation)s AND attempts = %(attempts)s + 1",
        {
            "id": post.id,
            "now": now,
            "ts": ts,
            "version": post.wanted_version,
            "generation": post.generation,
            "attempts": post.attempts,
        },
    )
    _wake_thread(tx, post, now)
    return bool(found.rowcount)


def find_ts(connection: Connection, post_id: int) -> str | None:
    """Returns Slack's ts of a posted message; None when it is not posted."""
    ts: str | None = connection.exec_driver_sql("SELECT ts FROM post WHERE id = %(id)s", {"id": post_id}).scalar()
    return ts


def mark_not_sent(tx: Connection, post: DuePost, now: datetime) -> None:
    """Records that an attempt certainly posted nothing."""
    tx.exec_driver_sql(
        "UPDATE post SET attempted_at = NULL, searched_to = NULL, due_at = %(now)s WHERE id = %(id)s",
        {"id": post.id, "now": now},
    )


def mark_answered(tx: Connection, post: DuePost, now: datetime, *, slack_now: float, seconds: float) -> None:
    """Records that Slack answered an attempt with a server error: its outcome can be seen after `seconds`."""
    tx.exec_driver_sql(
        "UPDATE post SET searchable_at = to_timestamp(%(at)s), due_at = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE id = %(id)s",
        {"id": post.id, "at": slack_now + seconds, "now": now, "seconds": seconds},
    )


def mark_refused(tx: Connection, post: DuePost, now: datetime, reason: str, seconds: float) -> None:
    """Records that Slack refused a post for a temporary reason: it is retried after `seconds`."""
    tx.exec_driver_sql(
        "UPDATE post SET refused_at = coalesce(refused_at, %(now)s), failed_reason = %(reason)s,"
        " due_at = %(now)s + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"id": post.id, "now": now, "reason": reason, "seconds": seconds},
    )


def mark_searched(tx: Connection, post: DuePost, to_ts: str) -> None:
    """Records how far back a conversation was searched for a post with an unknown outcome."""
    tx.exec_driver_sql("UPDATE post SET searched_to = %(to)s WHERE id = %(id)s", {"id": post.id, "to": to_ts})


def postpone_post(tx: Connection, post: DuePost, seconds: float, now: datetime) -> None:
    """Delays one post by `seconds`; other posts of its destination are not affected."""
    tx.exec_driver_sql(
        "UPDATE post SET due_at = %(now)s + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"id": post.id, "seconds": seconds, "now": now},
    )


def repost(tx: Connection, post: DuePost, now: datetime) -> None:
    """Has a deleted message posted again, as a new one."""
    tx.exec_driver_sql(
        "UPDATE post SET ts = NULL, generation = generation + 1, drawn_hash = NULL, attempted_at = NULL,"
        " due_at = %(now)s WHERE id = %(id)s",
        {"id": post.id, "now": now},
    )


def delete_done_posts(connection: Connection, before: datetime, most: int) -> int:
    """Deletes up to `most` posts that were sent, or given up, before a moment; returns how many."""
    return connection.exec_driver_sql(
        "DELETE FROM post WHERE id = ANY(ARRAY(SELECT id FROM post WHERE date_done < %(before)s ORDER BY date_done"
        " LIMIT %(most)s FOR UPDATE SKIP LOCKED))",
        {"before": before, "most": most},
    ).rowcount


def count_failed_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Counts the messages that were given up since that moment, by reason."""
    rows = connection.exec_driver_sql(
        "SELECT failed_reason, count(*) FROM post WHERE date_done >= %(since)s AND failed_reason IS NOT NULL"
        " GROUP BY failed_reason ORDER BY failed_reason",
        {"since": since},
    )
    return {row[0]: row[1] for row in rows}


def count_waiting(connection: Connection) -> int:
    """Counts the posts that wait to be sent."""
    count: int = connection.exec_driver_sql(
        "SELECT count(*) FROM post WHERE wanted_version > drawn_version"
    ).scalar_one()
    return count
