"""Destinations where delivery fails: failing their posts, retrying them, and listing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.queries.destinations import Target, reschedule_destinations
from storage.queries.outbox import wake_after_commit
from storage.queries.post_kinds import KNOWN_KINDS, LASTING_KINDS
from storage.values import Work


def fail_destination(
    tx: Connection, target: Target, reason: str, pause_s: float, now: datetime, *, ask_again: bool = True
) -> int:
    """Fails the waiting posts of a destination that cannot take messages. Returns the number of failed posts.

    Messages that were to be sent are never retried, except cards and the messages in their threads. Those, and the
    updates of messages, are retried with their next change, but not within `pause_s` seconds. With `ask_again`, the bot
    first asks Slack about the channel again. Posts of kinds that this version does not know stay in the queue.
    """
    ended = tx.exec_driver_sql(
        "UPDATE post SET drawn_version = wanted_version, failed_reason = %(reason)s, attempted_at = NULL,"  # noqa: S608 - composed of constants
        f" slot_at = NULL, date_done = CASE WHEN kind NOT IN {LASTING_KINDS} THEN %(now)s END"
        " WHERE organization_id = %(organization_id)s AND destination_id = %(id)s AND wanted_version > drawn_version"
        f" AND kind IN {KNOWN_KINDS}",
        {"organization_id": target.organization_id, "id": target.id, "reason": reason, "now": now},
    ).rowcount
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = %(reason)s, failed_at = %(now)s, failures = failures + 1,"
        " leased_until = NULL,"
        " date_checked = CASE WHEN %(ask)s THEN NULL ELSE date_checked END,"
        " next_send_at = %(now)s + make_interval(secs => %(pause)s)"
        " WHERE workspace_id = %(workspace_id)s AND id = %(id)s",
        {
            "workspace_id": target.workspace_id,
            "id": target.id,
            "reason": reason,
            "pause": pause_s,
            "ask": ask_again,
            "now": now,
        },
    )
    reschedule_destinations(tx, [target.id], now)
    return ended


def mark_refusing(tx: Connection, target: Target, reason: str, now: datetime) -> None:
    """Records that Slack refuses messages to a destination. Its waiting posts are still retried."""
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = %(reason)s, failed_at = coalesce(failed_at, %(now)s)"
        " WHERE workspace_id = %(workspace_id)s AND id = %(id)s",
        {"workspace_id": target.workspace_id, "id": target.id, "reason": reason, "now": now},
    )


def recover_channel(tx: Connection, workspace_id: str, channel_id: str, now: datetime) -> bool:
    """Retries a channel that may take messages again (it was unarchived, or the bot was invited).

    The failed posts that show a state become due. Cards of incidents that were resolved before their card could be
    posted stay unposted. Returns False if there is no destination for the channel.
    """
    row = tx.exec_driver_sql(
        "SELECT id FROM destination WHERE workspace_id = %(workspace)s AND channel_id = %(channel)s FOR NO KEY UPDATE",
        {"workspace": workspace_id, "channel": channel_id},
    ).first()
    if row is None:
        return False
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = NULL, failed_at = NULL, failures = 0, is_member = NULL,"
        " date_checked = NULL, next_send_at = %(now)s WHERE workspace_id = %(workspace_id)s AND id = %(id)s",
        {"workspace_id": workspace_id, "id": row[0], "now": now},
    )
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = wanted_version + 1, failed_reason = NULL, due_at = %(now)s"  # noqa: S608 - composed of constants
        " FROM workspace w JOIN incident i ON i.organization_id = w.organization_id WHERE w.id = %(workspace_id)s"
        " AND p.organization_id = w.organization_id AND i.id = p.incident_id AND p.destination_id = %(id)s"
        f" AND p.kind IN {LASTING_KINDS} AND p.failed_reason IS NOT NULL"
        " AND (p.ts IS NOT NULL OR i.status <> 2)",
        {"workspace_id": workspace_id, "id": row[0], "now": now},
    )
    reschedule_destinations(tx, [row[0]], now)
    wake_after_commit(tx, Work.POSTS)
    return True


def recover_oldest_channels(tx: Connection, failed_for_s: float, most: int, now: datetime) -> int:
    """Retries up to `most` channels that failed more than `failed_for_s` seconds ago. Returns their number.

    Slack's event for a channel that takes messages again may be missing, so the bot also retries on its own.
    """
    rows = tx.exec_driver_sql(
        "SELECT workspace_id, channel_id FROM destination WHERE failed_reason IS NOT NULL AND channel_id IS NOT NULL"
        " AND failed_at < %(now)s - make_interval(secs => %(seconds)s) ORDER BY failed_at LIMIT %(most)s",
        {"seconds": failed_for_s, "most": most, "now": now},
    ).all()
    for workspace_id, channel_id in rows:
        recover_channel(tx, workspace_id, channel_id, now)
    return len(rows)


@dataclass(frozen=True, slots=True)
class FailedDestination:
    """A destination where delivery fails."""

    workspace_id: str
    channel_id: str | None
    channel_name: str | None
    member: str | None  # the member's name, for direct messages
    reason: str  # Slack's error code
    since: datetime | None


def list_failed_destinations(connection: Connection) -> Sequence[FailedDestination]:
    """Returns the destinations where delivery fails."""
    rows = connection.exec_driver_sql(
        "SELECT d.workspace_id, d.channel_id, d.name, m.name, d.failed_reason, d.failed_at"
        " FROM destination d JOIN workspace w ON w.id = d.workspace_id"
        " LEFT JOIN member m ON m.organization_id = w.organization_id AND m.id = d.member_id"
        " WHERE d.failed_reason IS NOT NULL"
        " ORDER BY d.id"
    )
    return [FailedDestination(*row) for row in rows]
