"""Posts on their way to Slack: choosing what to send to a destination, and writing down what came of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from storage.queries.destinations import Target
from storage.queries.post_kinds import (
    ONE_TIME_KINDS,
    ORDERED_KINDS,
    POST_COLUMNS,
    DuePost,
    KnownPost,
    NotificationPost,
    Post,
    ThreadPost,
    UnknownPost,
    build_post,
)

# How long before a posting began a conversation is searched for it: what is known of Slack's clock is not exact.
_SEARCH_MARGIN_S = 60.0


def find_next_post(tx: Connection, destination_id: int, now: datetime, overdue: datetime | None = None) -> Post | None:
    """What is to be sent there first, of what is due: the most urgent.

    With `overdue`, what has been due since before that moment has its turn: the least urgent of it.
    """
    if overdue is not None:
        row = tx.exec_driver_sql(
            f"SELECT {POST_COLUMNS} FROM unnest(ARRAY[3, 2, 1]) AS u(turn)"  # noqa: S608 - composed of constants
            " CROSS JOIN LATERAL (SELECT * FROM post WHERE destination_id = %(id)s AND urgency = u.turn"
            "   AND wanted_version > drawn_version AND due_at <= %(overdue)s ORDER BY due_at, id LIMIT 1) p"
            " ORDER BY u.turn DESC LIMIT 1",
            {"id": destination_id, "now": now, "overdue": overdue},
        ).first()
        if row is not None:
            return build_post(row)
    row = tx.exec_driver_sql(
        f"SELECT {POST_COLUMNS} FROM post"  # noqa: S608 - composed of constants
        " WHERE destination_id = %(id)s AND wanted_version > drawn_version AND due_at <= %(now)s"
        " ORDER BY urgency, due_at, id LIMIT 1",
        {"id": destination_id, "now": now},
    ).first()
    return None if row is None else build_post(row)


def find_earlier_post(tx: Connection, post: KnownPost, target: Target, now: datetime) -> KnownPost | None:
    """The first post that tells of the same incident in the same conversation, was asked for before this one, and
    does not stand there yet. Cards tell of no order: they show how things are.
    """
    if not isinstance(post, ThreadPost | NotificationPost) or post.ts is not None:
        return None
    row = tx.exec_driver_sql(
        f"SELECT {POST_COLUMNS} FROM post"  # noqa: S608 - composed of constants
        f" WHERE destination_id = %(destination_id)s AND incident_id = %(incident_id)s AND kind IN {ORDERED_KINDS}"
        "   AND id < %(id)s AND ts IS NULL AND wanted_version > drawn_version ORDER BY id LIMIT 1",
        {"destination_id": target.id, "incident_id": post.incident_id, "id": post.id, "now": now},
    ).first()
    earlier = None if row is None else build_post(row)
    return None if isinstance(earlier, UnknownPost) else earlier


def is_overtaken(tx: Connection, post: ThreadPost | NotificationPost, target: Target) -> bool:
    """Whether something stands above it in the conversation that happened to the incident after what it tells."""
    return bool(
        tx.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM post WHERE destination_id = %(destination_id)s"  # noqa: S608 - composed of constants
            f" AND incident_id = %(incident_id)s AND kind IN {ORDERED_KINDS} AND id > %(id)s"
            " AND (%(ts)s::text IS NULL OR ts < %(ts)s) AND ts IS NOT NULL)",
            {"destination_id": target.id, "incident_id": post.incident_id, "id": post.id, "ts": post.ts},
        ).scalar_one()
    )


def mark_sending(
    tx: Connection, post: DuePost, target: Target, now: datetime, *, slack_now: float, settles_in_s: float
) -> None:
    """Notes that a posting begins, `slack_now` seconds since the epoch by Slack's clock. Unless it is settled, it
    counts as unknown, to be looked into after `settles_in_s` seconds.

    When that is, and how far back to look, must not depend on a clock of ours: one that jumps would have the
    message missed, and posted again.
    """
    before = f"{slack_now - _SEARCH_MARGIN_S:.6f}"
    tx.exec_driver_sql(
        "UPDATE post SET attempted_at = to_timestamp(%(begun)s), attempts = attempts + 1, searched_to = NULL,"
        " searchable_at = NULL,"
        " after_ts = %(after)s, due_at = %(now)s + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {
            "id": post.id,
            "now": now,
            "begun": slack_now,
            "after": max(before, target.last_ts or ""),
            "seconds": settles_in_s,
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
    """Writes down that a post stands as it was wanted (or is given up); `done`: it will never change again.

    `version` is what it shows, where that is not what was wanted.
    """
    tx.exec_driver_sql(
        "UPDATE post SET ts = %(ts)s, drawn_version = GREATEST(drawn_version, %(version)s),"
        " drawn_hash = %(hash)s, failed_reason = %(reason)s, attempted_at = NULL,"
        " refused_at = NULL, slot_at = NULL, due_at = %(now)s,"
        " date_done = CASE WHEN %(done)s THEN %(now)s END"
        " WHERE id = %(id)s",
        {
            "id": post.id,
            "now": now,
            "ts": ts,
            "version": post.wanted_version if version is None else version,
            "hash": drawn_hash,
            "reason": failed_reason,
            "done": done,
        },
    )


def mark_delivered_late(tx: Connection, post: DuePost, ts: str, now: datetime) -> None:
    """Keeps the outcome of a posting whose lease has meanwhile ended, unless somebody has begun it again."""
    tx.exec_driver_sql(
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


def find_ts(connection: Connection, post_id: int) -> str | None:
    """By what Slack knows the message of a post."""
    ts: str | None = connection.exec_driver_sql("SELECT ts FROM post WHERE id = %(id)s", {"id": post_id}).scalar()
    return ts


def mark_not_sent(tx: Connection, post: DuePost, now: datetime) -> None:
    """Writes down that a posting that had begun has certainly not happened."""
    tx.exec_driver_sql(
        "UPDATE post SET attempted_at = NULL, searched_to = NULL, due_at = %(now)s WHERE id = %(id)s",
        {"id": post.id, "now": now},
    )


def mark_answered(tx: Connection, post: DuePost, now: datetime, *, slack_now: float, seconds: float) -> None:
    """Slack has answered a posting with an error of its own: what came of it can be seen in so many seconds."""
    tx.exec_driver_sql(
        "UPDATE post SET searchable_at = to_timestamp(%(at)s), due_at = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE id = %(id)s",
        {"id": post.id, "at": slack_now + seconds, "now": now, "seconds": seconds},
    )


def mark_refused(tx: Connection, post: DuePost, now: datetime, reason: str, seconds: float) -> None:
    """Slack refuses a post for a reason that may pass: it is tried again in so many seconds."""
    tx.exec_driver_sql(
        "UPDATE post SET refused_at = coalesce(refused_at, %(now)s), failed_reason = %(reason)s,"
        " due_at = %(now)s + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"id": post.id, "now": now, "reason": reason, "seconds": seconds},
    )


def mark_searched(tx: Connection, post: DuePost, to_ts: str) -> None:
    """Writes down how far back a conversation has been searched for a post whose outcome is unknown."""
    tx.exec_driver_sql("UPDATE post SET searched_to = %(to)s WHERE id = %(id)s", {"id": post.id, "to": to_ts})


def postpone_post(tx: Connection, post: DuePost, seconds: float, now: datetime) -> None:
    """Puts off one post, and nothing else that waits for its destination."""
    tx.exec_driver_sql(
        "UPDATE post SET due_at = %(now)s + make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"id": post.id, "seconds": seconds, "now": now},
    )


def repost(tx: Connection, post: DuePost, now: datetime) -> None:
    """Somebody deleted the message: it is to be posted again, as another one."""
    tx.exec_driver_sql(
        "UPDATE post SET ts = NULL, generation = generation + 1, drawn_hash = NULL, attempted_at = NULL,"
        " due_at = %(now)s WHERE id = %(id)s",
        {"id": post.id, "now": now},
    )


def delete_done_posts(connection: Connection, before: datetime, most: int) -> int:
    """Removes messages that were sent, or given up, before that; gives how many of at most `most`."""
    return connection.exec_driver_sql(
        "DELETE FROM post WHERE id = ANY(ARRAY(SELECT id FROM post WHERE date_done < %(before)s ORDER BY date_done"
        " LIMIT %(most)s FOR UPDATE SKIP LOCKED))",
        {"before": before, "most": most},
    ).rowcount


def count_failed_since(connection: Connection, since: datetime) -> dict[str, int]:
    """How many messages were given up since that moment, by the reason."""
    rows = connection.exec_driver_sql(
        "SELECT failed_reason, count(*) FROM post WHERE date_done >= %(since)s AND failed_reason IS NOT NULL"
        " GROUP BY failed_reason ORDER BY failed_reason",
        {"since": since},
    )
    return {row[0]: row[1] for row in rows}


def count_waiting(connection: Connection) -> int:
    """How many posts wait to be sent."""
    count: int = connection.exec_driver_sql(
        "SELECT count(*) FROM post WHERE wanted_version > drawn_version"
    ).scalar_one()
    return count
