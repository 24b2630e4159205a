"""Fires of digests: what is due, what is recorded, and which replica publishes each fire."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from storage.digest_rows import (
    DigestRow,
    Fire,
    Missed,
)
from storage.queries.digests import DIGEST_COLUMNS, GRACE, LAST_SENT
from storage.queries.outbox import wake_after_commit
from storage.values import Work

# A fire is kept for as long as somebody may turn the pages of its message.
FIRES_KEPT = timedelta(days=35)


@dataclass(frozen=True, slots=True)
class DueDigest:
    """A digest that is due; its row is locked."""

    organization_id: int
    id: int
    cron: str
    zone: str
    grace_minutes: int | None  # None: the default
    next_fire_at: datetime
    last_sent_at: datetime | None


def lock_due_digests(tx: Connection, now: datetime, most: int) -> list[DueDigest]:
    """Locks up to `most` digests that are due, skipping those that another transaction has locked."""
    return [
        DueDigest(*row)
        for row in tx.exec_driver_sql(
            f"SELECT d.organization_id, d.id, d.cron, d.zone, {GRACE}, d.next_fire_at, {LAST_SENT} FROM digest d"  # noqa: S608
            " WHERE d.next_fire_at <= %(now)s ORDER BY d.next_fire_at LIMIT %(most)s FOR UPDATE OF d SKIP LOCKED",
            {"now": now, "most": most},
        )
    ]


@dataclass(frozen=True, slots=True)
class FirePlan:
    """What a due digest does: `fire_at` is the time to publish, None when there is none."""

    organization_id: int
    digest_id: int
    next_fire_at: datetime
    fire_at: datetime | None = None
    since: datetime | None = None
    missed: Sequence[datetime] = ()  # the first and the last time that come too late
    reason: str | None = None  # why they were missed


def record_fires(tx: Connection, moves: Sequence[FirePlan], now: datetime) -> int:
    """Inserts the fires and advances the next times of these digests; returns how many fires are new to publish."""
    fired = [move for move in moves if move.fire_at is not None]
    parameters = {
        "organization_ids": [move.organization_id for move in moves],
        "ids": [move.digest_id for move in moves],
        "next": [move.next_fire_at for move in moves],
        "fired": [move.digest_id for move in fired],
        "fire": [move.fire_at for move in fired],
        "since": [move.since for move in fired],
        "oldest": now - FIRES_KEPT,
        "missed": [move.digest_id for move in moves for _ in move.missed],
        "missed_at": [moment for move in moves for moment in move.missed],
        "reasons": [move.reason for move in moves for _ in move.missed],
    }
    new = tx.exec_driver_sql(
        "INSERT INTO digest_fire (organization_id, digest_id, fire_at, since)"
        " SELECT d.organization_id, d.id, v.fire_at, v.since"
        " FROM unnest(%(fired)s::bigint[], %(fire)s::timestamptz[], %(since)s::timestamptz[])"
        " AS v(digest_id, fire_at, since)"
        " JOIN digest d ON d.organization_id = ANY(%(organization_ids)s) AND d.id = v.digest_id"
        " ON CONFLICT (digest_id, fire_at) DO NOTHING",
        parameters,
    ).rowcount
    tx.exec_driver_sql(
        "UPDATE digest d SET next_fire_at = v.next_at FROM unnest(%(ids)s::bigint[], %(next)s::timestamptz[])"
        " AS v(id, next_at) WHERE d.organization_id = ANY(%(organization_ids)s) AND d.id = v.id",
        parameters,
    )
    tx.exec_driver_sql(
        "UPDATE digest d SET last_fire_at = v.fire_at"
        " FROM unnest(%(fired)s::bigint[], %(fire)s::timestamptz[]) AS v(id, fire_at)"
        " WHERE d.organization_id = ANY(%(organization_ids)s) AND d.id = v.id",
        parameters,
    )
    if parameters["missed"]:
        tx.exec_driver_sql(
            "INSERT INTO digest_fire (organization_id, digest_id, fire_at, since, state, reason)"
            " SELECT d.organization_id, d.id, v.fire_at, v.fire_at, 'missed', v.reason FROM"
            " unnest(%(missed)s::bigint[], %(missed_at)s::timestamptz[], %(reasons)s::text[])"
            " AS v(digest_id, fire_at, reason)"
            " JOIN digest d ON d.organization_id = ANY(%(organization_ids)s) AND d.id = v.digest_id"
            " ON CONFLICT (digest_id, fire_at) DO NOTHING",
            parameters,
        )
    # What was missed since the last digest is still to be reported, however rarely the digest fires.
    tx.exec_driver_sql(
        "DELETE FROM digest_fire f WHERE f.organization_id = ANY(%(organization_ids)s)"
        " AND f.digest_id = ANY(%(fired)s) AND f.fire_at < %(oldest)s AND f.fire_at <"
        " (SELECT max(s.fire_at) FROM digest_fire s"
        " WHERE s.organization_id = f.organization_id AND s.digest_id = f.digest_id AND s.state IN ('sent', 'silent'))",
        parameters,
    )
    return new


def insert_manual_fire(tx: Connection, organization_id: int, digest_id: int, fire_at: datetime, since: datetime) -> int:
    """Inserts a fire outside the schedule, because a person asked for it; returns its id."""
    wake_after_commit(tx, Work.FIRES)
    return int(
        tx.exec_driver_sql(
            "INSERT INTO digest_fire (organization_id, digest_id, fire_at, since, by_hand)"
            " SELECT organization_id, id, %(fire)s, %(since)s, true FROM digest"
            " WHERE organization_id = %(organization_id)s AND id = %(id)s RETURNING id",
            {"organization_id": organization_id, "id": digest_id, "fire": fire_at, "since": since},
        ).scalar_one()
    )


# The fires of the same digest that did not arrive, since the last one before fire f that did.
_MISSED = (
    "FROM digest_fire x WHERE x.organization_id = f.organization_id AND x.digest_id = f.digest_id"
    " AND x.state IN ('missed', 'failed') AND NOT x.by_hand"
    " AND x.fire_at < f.fire_at AND x.fire_at > coalesce((SELECT max(s.fire_at) FROM digest_fire s WHERE"
    " s.organization_id = f.organization_id AND s.digest_id = f.digest_id AND s.state IN ('posted', 'sent')"
    " AND s.fire_at < f.fire_at), '-infinity')"
)
_FIRE_COLUMNS = (
    "f.id, f.organization_id, f.digest_id, f.fire_at, f.since, f.by_hand, f.file_id, f.picture_says,"
    f" (SELECT ARRAY[min(x.fire_at), max(x.fire_at)] {_MISSED}),"
    f" (SELECT x.reason {_MISSED} ORDER BY x.fire_at DESC LIMIT 1)"
)
_FIRE_WIDTH = 10


def _parse_fire(row: Sequence[Any]) -> Fire:
    id_, organization_id, digest_id, fire_at, since, by_hand, file_id, picture_says, (first, last), reason = row
    missed = Missed(first, last, reason) if first else None
    return Fire(id_, organization_id, digest_id, fire_at, since, by_hand, file_id, picture_says, missed)


def lease_fires(
    connection: Connection, workspaces: Collection[str], now: datetime, seconds: float, *, pictures: bool, most: int
) -> list[tuple[Fire, DigestRow]]:
    """Leases up to `most` due fires in these workspaces for `seconds`: those with pictures, or those without."""
    rows = connection.exec_driver_sql(
        "UPDATE digest_fire f SET leased_until = %(until)s"  # noqa: S608
        " FROM digest d JOIN member m ON m.organization_id = d.organization_id AND m.id = d.owner_id"
        " WHERE d.organization_id = f.organization_id AND d.id = f.digest_id AND f.id = ANY(ARRAY("
        "   SELECT n.id FROM digest_fire n JOIN digest o ON o.organization_id = n.organization_id"
        " AND o.id = n.digest_id"
        "   WHERE n.state = 'due' AND (n.leased_until IS NULL OR n.leased_until < %(now)s)"
        "   AND o.workspace_id = ANY(%(workspaces)s) AND o.picture = %(pictures)s"
        "   ORDER BY n.id LIMIT %(most)s FOR UPDATE OF n SKIP LOCKED))"
        f" RETURNING {_FIRE_COLUMNS}, {DIGEST_COLUMNS}",
        {
            "workspaces": sorted(workspaces),
            "now": now,
            "until": now + timedelta(seconds=seconds),
            "pictures": pictures,
            "most": most,
        },
    )
    return [(_parse_fire(row[:_FIRE_WIDTH]), DigestRow(*row[_FIRE_WIDTH:])) for row in sorted(rows, key=lambda r: r[0])]


def release_fire(connection: Connection, fire: Fire, now: datetime, seconds: float, reason: str) -> None:
    """Delays a fire that could not be published: any replica may lease it after `seconds`. `reason` is a sentence."""
    connection.exec_driver_sql(
        "UPDATE digest_fire SET leased_until = %(until)s, reason = %(reason)s"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s AND state = 'due'",
        {
            "organization_id": fire.organization_id,
            "id": fire.id,
            "until": now + timedelta(seconds=seconds),
            "reason": reason,
        },
    )


def finish_fire(tx: Connection, fire: Fire, state: str, reason: str | None = None) -> bool:
    """Ends a fire that is due without a message; False when another replica has ended it.

    A fire that is missed keeps the reason for which it was delayed.
    """
    return bool(
        tx.exec_driver_sql(
            "UPDATE digest_fire SET state = %(state)s,"
            " reason = CASE WHEN %(state)s = 'missed' THEN coalesce(reason, %(reason)s) ELSE %(reason)s END,"
            " leased_until = NULL WHERE organization_id = %(organization_id)s AND id = %(id)s AND state = 'due'",
            {"organization_id": fire.organization_id, "id": fire.id, "state": state, "reason": reason},
        ).rowcount
    )


def find_posted_fire(connection: Connection, organization_id: int, fire_id: int) -> tuple[Fire, DigestRow] | None:
    """Returns a fire whose message is enqueued, and its digest; None when it has ended or the digest is deleted."""
    row = connection.exec_driver_sql(
        f"SELECT {_FIRE_COLUMNS}, {DIGEST_COLUMNS} FROM digest_fire f"  # noqa: S608
        " JOIN digest d ON d.organization_id = f.organization_id AND d.id = f.digest_id"
        " JOIN member m ON m.organization_id = d.organization_id AND m.id = d.owner_id"
        " WHERE f.organization_id = %(organization_id)s AND f.id = %(id)s AND f.state = 'posted'",
        {"organization_id": organization_id, "id": fire_id},
    ).first()
    return None if row is None else (_parse_fire(row[:_FIRE_WIDTH]), DigestRow(*row[_FIRE_WIDTH:]))


def withdraw_fire(tx: Connection, fire: Fire, state: str, reason: str | None = None) -> None:
    """Ends a fire whose enqueued message must not be posted."""
    tx.exec_driver_sql(
        "UPDATE digest_fire SET state = %(state)s, reason = %(reason)s"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s AND state = 'posted'",
        {"organization_id": fire.organization_id, "id": fire.id, "state": state, "reason": reason},
    )


@dataclass(frozen=True, slots=True)
class PreparedFire:
    """A fire whose message is ready to be queued."""

    fire: Fire
    file_id: str | None = None  # of the picture
    picture_says: str | None = None


def finish_posted(tx: Connection, fires: Sequence[PreparedFire]) -> set[int]:
    """Ends fires that are due, because their messages are queued. Returns the ids without those of other replicas."""
    rows = tx.exec_driver_sql(
        "UPDATE digest_fire f SET state = 'posted', file_id = v.file_id, picture_says = v.picture_says,"
        " reason = NULL, leased_until = NULL"
        " FROM unnest(%(ids)s::bigint[], %(file_ids)s::text[], %(says)s::text[]) AS v(id, file_id, picture_says)"
        " WHERE f.organization_id = ANY(%(organization_ids)s) AND f.id = v.id AND f.state = 'due' RETURNING f.id",
        {
            "organization_ids": [one.fire.organization_id for one in fires],
            "ids": [one.fire.id for one in fires],
            "file_ids": [one.file_id for one in fires],
            "says": [one.picture_says for one in fires],
        },
    )
    return {row[0] for row in rows}


def link_posts(tx: Connection, posts: Sequence[tuple[Fire, int]]) -> None:
    """Records which post belongs to which fire."""
    tx.exec_driver_sql(
        "UPDATE digest_fire f SET post_id = v.post_id"
        " FROM unnest(%(ids)s::bigint[], %(post_ids)s::bigint[]) AS v(id, post_id)"
        " WHERE f.organization_id = ANY(%(organization_ids)s) AND f.id = v.id",
        {
            "organization_ids": [fire.organization_id for fire, _ in posts],
            "ids": [fire.id for fire, _ in posts],
            "post_ids": [post_id for _, post_id in posts],
        },
    )


def find_fire(connection: Connection, organization_id: int, digest_id: int, fire_id: int) -> Fire | None:
    """Returns a fire of that digest."""
    row = connection.exec_driver_sql(
        f"SELECT {_FIRE_COLUMNS} FROM digest_fire f WHERE f.organization_id = %(organization_id)s"  # noqa: S608
        " AND f.id = %(id)s AND f.digest_id = %(digest_id)s",
        {"organization_id": organization_id, "id": fire_id, "digest_id": digest_id},
    ).first()
    return None if row is None else _parse_fire(row)


def settle_posted_fires(tx: Connection) -> list[tuple[int, int, str | None]]:
    """Copies the results of finished posts to their fires.

    Returns the ids of the organization and the digest, and why it failed, None if sent.
    """
    rows = tx.exec_driver_sql(
        "UPDATE digest_fire f SET state = CASE WHEN v.reason IS NULL THEN 'sent' ELSE 'failed' END,"
        " reason = v.reason"
        " FROM (SELECT u.organization_id, u.id, p.failed_reason AS reason FROM digest_fire u"
        " LEFT JOIN post p ON p.organization_id = u.organization_id AND p.id = u.post_id"
        "       WHERE u.state = 'posted' AND (p.id IS NULL OR p.date_done IS NOT NULL)"
        "       FOR UPDATE OF u SKIP LOCKED) v"
        " WHERE f.organization_id = v.organization_id"
        " AND f.id = v.id RETURNING f.organization_id, f.digest_id, f.reason"
    )
    return [(organization_id, digest_id, reason) for organization_id, digest_id, reason in rows]
