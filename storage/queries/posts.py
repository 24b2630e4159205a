"""Posts that wait for Slack: choosing the next one for a destination, and recording the result."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
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
from storage.values import ActivityType, PostKind, Urgency

# A search for a message begins this long before the attempt to post it, because Slack's clock is only estimated.
_SEARCH_MARGIN_S = 60.0


_OVERDUE = PreparedStatement(
    f"SELECT d.target, {POST_COLUMNS} FROM unnest(%(ids)s) AS d(target)"  # noqa: S608 - composed of constants
    " CROSS JOIN LATERAL (SELECT p.* FROM unnest(ARRAY[3, 2, 1]) AS u(turn)"
    "   CROSS JOIN LATERAL (SELECT * FROM post WHERE destination_id = d.target AND urgency = u.turn"
    "     AND wanted_version > drawn_version AND due_at <= %(overdue)s ORDER BY due_at, id LIMIT 1) p"
    "   ORDER BY u.turn DESC LIMIT 1) p",
    {"ids": "bigint[]", "now": "timestamptz", "overdue": "timestamptz"},
)
_NEXT = PreparedStatement(
    f"SELECT d.target, {POST_COLUMNS} FROM unnest(%(ids)s) AS d(target)"  # noqa: S608 - composed of constants
    " CROSS JOIN LATERAL (SELECT * FROM post"
    "   WHERE destination_id = d.target AND wanted_version > drawn_version AND due_at <= %(now)s"
    "   ORDER BY urgency, due_at, id LIMIT 1) p",
    {"ids": "bigint[]", "now": "timestamptz"},
)


def find_next_posts(
    tx: Connection, destination_ids: Collection[int], now: datetime, *, overdue: datetime, fair: Collection[int]
) -> dict[int, Post]:
    """Returns the most urgent due post of each destination that has one, by the destination's id.

    In the destinations `fair`, a post that was due by `overdue` goes first; of several, the least urgent one.
    """
    rows = list(_OVERDUE.rows(tx, {"ids": fair, "now": now, "overdue": overdue})) if fair else []
    others = set(destination_ids) - {row[0] for row in rows}
    if others:
        rows += _NEXT.rows(tx, {"ids": others, "now": now})
    return {row[0]: build_post(row[1:]) for row in rows}


_KNOWN_TYPES = "(" + ", ".join(f"{kind:d}" for kind in ActivityType) + ")"
_EARLIER = PreparedStatement(
    f"SELECT o.own, {POST_COLUMNS}"  # noqa: S608 - composed of constants
    " FROM unnest(%(organization_ids)s::bigint[], %(ids)s) AS o(organization, own)"
    " CROSS JOIN LATERAL (SELECT e.* FROM post p JOIN post e USING (organization_id, destination_id, incident_id)"
    f"   WHERE p.organization_id = o.organization AND p.id = o.own AND e.kind IN {ORDERED_KINDS}"
    "     AND e.id < p.id AND e.ts IS NULL AND e.wanted_version > e.drawn_version"
    "     AND e.card_id IS NOT DISTINCT FROM p.card_id"
    "     AND NOT EXISTS (SELECT FROM incident_activity a WHERE a.organization_id = e.organization_id"
    f"                    AND a.id = e.activity_id AND a.type NOT IN {_KNOWN_TYPES} OFFSET 0)"
    "   ORDER BY e.id LIMIT 1) p",
    {"ids": "bigint[]", "now": "timestamptz"},
)


def find_earlier_posts(tx: Connection, following: Iterable[Post], now: datetime) -> dict[int, KnownPost]:
    """Finds posts about the same incident in the same thread or with the same person that are to be posted before.

    Returns the first one for each post that has any, by the id of the post. Cards are ignored and never wait: they show
    the current state, and so have no order. Entries of a type that only a newer version can show are ignored, too.
    """
    waiting = [post for post in following if isinstance(post, ThreadPost | NotificationPost) and post.ts is None]
    given = {
        "organization_ids": [post.organization_id for post in waiting],
        "ids": [post.id for post in waiting],
        "now": now,
    }
    rows = _EARLIER.rows(tx, given) if waiting else ()
    found = {row[0]: build_post(row[1:]) for row in rows}
    return {id_: post for id_, post in found.items() if not isinstance(post, UnknownPost)}


def is_overtaken(tx: Connection, post: ThreadPost | DirectPost, target: Target) -> bool:
    """Whether a later event of the incident is already posted above it in the thread, or to the person.

    Posts are inserted in the order of the events, except where an event could not be expanded for some time.
    """
    return bool(
        tx.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM post WHERE organization_id = %(organization_id)s"  # noqa: S608 - composed of constants
            f" AND destination_id = %(destination_id)s AND incident_id = %(incident_id)s AND kind IN {ORDERED_KINDS}"
            " AND card_id IS NOT DISTINCT FROM %(card_id)s::bigint"
            f" AND (id > %(id)s OR (kind = '{PostKind.MIRROR}' AND activity_id > %(activity_id)s::bigint))"
            " AND (%(ts)s::text IS NULL OR ts < %(ts)s) AND ts IS NOT NULL)",
            {
                "organization_id": post.organization_id,
                "destination_id": target.id,
                "incident_id": post.incident_id,
                "id": post.id,
                "activity_id": post.activity_id if isinstance(post, ThreadPost) else None,
                "card_id": post.card_id if isinstance(post, ThreadPost) else None,
                "ts": post.ts,
            },
        ).scalar_one()
    )


_MARK_SENDING = PreparedStatement(
    "UPDATE post SET attempted_at = to_timestamp(b.begun), attempts = attempts + 1, searched_to = NULL,"
    " searchable_at = NULL, after_ts = b.after, due_at = %(now)s + make_interval(secs => %(seconds)s)"
    " FROM unnest(%(organization_ids)s, %(ids)s, %(begun)s, %(after)s) AS b(organization, own, begun, after)"
    " WHERE organization_id = b.organization AND id = b.own",
    {
        "organization_ids": "bigint[]",
        "ids": "bigint[]",
        "now": "timestamptz",
        "begun": "float8[]",
        "after": "text[]",
        "seconds": "float8",
    },
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to post a message that begins at `slack_now`, in seconds since the epoch by Slack's clock."""

    organization_id: int
    post_id: int
    slack_now: float
    last_ts: str | None  # of the latest known message in the conversation

    @property
    def after_ts(self) -> str:
        """A search for the message begins here."""
        return max(f"{self.slack_now - _SEARCH_MARGIN_S:.6f}", self.last_ts or "")


def mark_sending(tx: Connection, attempts: Sequence[Attempt], now: datetime, *, settles_in_s: float) -> None:
    """Records that attempts begin.

    Until a result is recorded, the outcome of each is unknown, and delivery searches for it after `settles_in_s`
    seconds. The times of the search must not depend on a local clock: if that jumped, the search would miss the message
    and delivery would post it again.
    """
    if attempts:
        given = {
            "organization_ids": [one.organization_id for one in attempts],
            "ids": [one.post_id for one in attempts],
            "begun": [one.slack_now for one in attempts],
            "after": [one.after_ts for one in attempts],
        }
        _MARK_SENDING.rows(tx, {**given, "now": now, "seconds": settles_in_s})


_MARK_DELIVERED = PreparedStatement(
    "UPDATE post SET ts = g.ts, drawn_version = GREATEST(drawn_version, g.version),"  # noqa: S608 - composed of constants
    " drawn_hash = g.hash, failed_reason = g.reason, attempted_at = NULL,"
    " refused_at = NULL, slot_at = NULL, due_at = %(now)s,"
    f" kind = CASE WHEN g.incident IS NULL THEN kind WHEN g.below THEN '{PostKind.OLDER}' ELSE '{PostKind.NEWEST}' END,"
    " wanted_version = wanted_version + g.below::int,"
    " urgency = CASE"
    f"  WHEN g.below THEN {int(Urgency.BULK)} WHEN g.incident IS NOT NULL THEN {int(Urgency.NEWS)}"
    f"  WHEN kind = '{PostKind.CARD}' AND g.ts IS NOT NULL THEN {int(Urgency.CHANGE)} ELSE urgency END,"
    " date_done = CASE WHEN g.done AND NOT g.below THEN %(now)s END"
    " FROM (SELECT g.*, EXISTS (SELECT FROM post n WHERE n.organization_id = g.organization"
    "        AND n.destination_id = g.destination"
    f"        AND n.incident_id = g.incident AND n.kind = '{PostKind.NEWEST}' AND n.id <> g.own OFFSET 0) AS below"
    "       FROM unnest(%(organization_ids)s, %(ids)s, %(ts)s, %(versions)s, %(hashes)s, %(reasons)s, %(done)s,"
    "                   %(destinations)s, %(incidents)s)"
    "         AS g(organization, own, ts, version, hash, reason, done, destination, incident)) g"
    " WHERE organization_id = g.organization AND id = g.own",
    {
        "organization_ids": "bigint[]",
        "ids": "bigint[]",
        "now": "timestamptz",
        "ts": "text[]",
        "versions": "int[]",
        "hashes": "text[]",
        "reasons": "text[]",
        "done": "boolean[]",
        "destinations": "bigint[]",
        "incidents": "bigint[]",
    },
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A post that was delivered, or given up with `failed_reason`."""

    post: DuePost
    ts: str | None
    version: int | None = None  # that the message shows, if that is not `wanted_version`
    drawn_hash: str | None = None
    failed_reason: str | None = None
    done: bool = False  # it is not expected to change again
    # The destination of a direct message about an incident that was posted just now. The message becomes the newest
    # about its incident there, or an older one if a newest one stands below it.
    ranked_in: int | None = None


def mark_delivered(tx: Connection, delivered: Sequence[Delivered], now: datetime) -> None:
    """Records that posts are delivered or given up. Newest messages above one that is `ranked_in` are older already."""
    if not delivered:
        return
    _MARK_DELIVERED.rows(
        tx,
        {
            "now": now,
            "organization_ids": [one.post.organization_id for one in delivered],
            "ids": [one.post.id for one in delivered],
            "ts": [one.ts for one in delivered],
            "versions": [one.post.wanted_version if one.version is None else one.version for one in delivered],
            "hashes": [one.drawn_hash for one in delivered],
            "reasons": [one.failed_reason for one in delivered],
            "done": [one.done for one in delivered],
            "destinations": [one.ranked_in for one in delivered],
            "incidents": [
                one.post.incident_id if one.ranked_in is not None and isinstance(one.post, DirectPost) else None
                for one in delivered
            ],
        },
    )
    _wake_threads(tx, [one.post for one in delivered if one.post.ts is None], now)


def _wake_threads(tx: Connection, cards: Iterable[DuePost], now: datetime) -> None:
    """Makes the messages due that wait for their card, or their storm's message, to be posted or given up."""
    posted = [card for card in cards if isinstance(card, CardPost | StormPost)]
    if posted:
        tx.exec_driver_sql(
            "UPDATE post SET due_at = %(now)s WHERE organization_id = ANY(%(organization_ids)s)"
            " AND card_id = ANY(%(ids)s)"
            " AND ts IS NULL AND due_at > %(now)s AND wanted_version > drawn_version AND attempted_at IS NULL",
            {
                "organization_ids": [card.organization_id for card in posted],
                "ids": [card.id for card in posted],
                "now": now,
            },
        )


def mark_delivered_late(tx: Connection, post: DuePost, ts: str, now: datetime) -> bool:
    """Records the result of an attempt whose lease has ended. Returns False if another attempt has begun."""
    found = tx.exec_driver_sql(
        "UPDATE post SET ts = %(ts)s, drawn_version = GREATEST(drawn_version, %(version)s), attempted_at = NULL,"  # noqa: S608 - composed of constants
        " refused_at = NULL, failed_reason = NULL,"
        f" due_at = %(now)s, date_done = CASE WHEN kind IN {ONE_TIME_KINDS} THEN %(now)s END"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s AND ts IS NULL AND generation = %(generation)s"
        " AND attempts = %(attempts)s + 1",
        {
            "organization_id": post.organization_id,
            "id": post.id,
            "now": now,
            "ts": ts,
            "version": post.wanted_version,
            "generation": post.generation,
            "attempts": post.attempts,
        },
    )
    _wake_threads(tx, [post], now)
    return bool(found.rowcount)


def find_ts(connection: Connection, organization_id: int, post_id: int) -> str | None:
    """Returns Slack's ts of a posted message; None when it is not posted."""
    ts: str | None = connection.exec_driver_sql(
        "SELECT ts FROM post WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": organization_id, "id": post_id},
    ).scalar()
    return ts


def mark_not_sent(tx: Connection, post: DuePost, now: datetime) -> None:
    """Records that an attempt certainly posted nothing."""
    tx.exec_driver_sql(
        "UPDATE post SET attempted_at = NULL, searched_to = NULL, due_at = %(now)s"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": post.organization_id, "id": post.id, "now": now},
    )


def mark_answered(tx: Connection, post: DuePost, now: datetime, *, slack_now: float, seconds: float) -> None:
    """Records that Slack answered an attempt with a server error: its outcome can be seen after `seconds`."""
    tx.exec_driver_sql(
        "UPDATE post SET searchable_at = to_timestamp(%(at)s), due_at = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {
            "organization_id": post.organization_id,
            "id": post.id,
            "at": slack_now + seconds,
            "now": now,
            "seconds": seconds,
        },
    )


def mark_refused(tx: Connection, post: DuePost, now: datetime, reason: str, seconds: float) -> None:
    """Records that Slack refused a post for a temporary reason: it is retried after `seconds`."""
    tx.exec_driver_sql(
        "UPDATE post SET refused_at = coalesce(refused_at, %(now)s), failed_reason = %(reason)s,"
        " due_at = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": post.organization_id, "id": post.id, "now": now, "reason": reason, "seconds": seconds},
    )


def mark_searched(tx: Connection, post: DuePost, to_ts: str) -> None:
    """Records how far back a conversation was searched for a post with an unknown outcome."""
    tx.exec_driver_sql(
        "UPDATE post SET searched_to = %(to)s WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": post.organization_id, "id": post.id, "to": to_ts},
    )


def postpone_post(tx: Connection, post: DuePost, seconds: float, now: datetime) -> None:
    """Delays one post by `seconds`; other posts of its destination are not affected."""
    tx.exec_driver_sql(
        "UPDATE post SET due_at = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": post.organization_id, "id": post.id, "seconds": seconds, "now": now},
    )


def repost(tx: Connection, post: DuePost, now: datetime) -> None:
    """Has a deleted message posted again, as a new one."""
    tx.exec_driver_sql(
        "UPDATE post SET ts = NULL, generation = generation + 1, drawn_hash = NULL, attempted_at = NULL,"
        " due_at = %(now)s WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": post.organization_id, "id": post.id, "now": now},
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
