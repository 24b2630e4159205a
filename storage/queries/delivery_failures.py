"""Conversations where nothing arrives: giving up what waits there, trying again, and listing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.queries.destinations import Target, reschedule_destinations
from storage.queries.outbox import wake_after_commit
from storage.queries.post_kinds import KNOWN_KINDS, LASTING_KINDS, ONE_TIME_KINDS


def fail_destination(
    tx: Connection, target: Target, reason: str, pause_s: float, now: datetime, *, ask_again: bool = True
) -> int:
    """Gives up what waits for a destination where nothing can arrive. Returns how many posts that ends.

    One-time messages are given up for good. What shows a state is tried again with its next change, but not within
    `pause_s` seconds; with `ask_again`, Slack is first asked about the channel again. Posts of kinds that this version
    does not know go on waiting.
    """
    ended = tx.exec_driver_sql(
        "UPDATE post SET drawn_version = wanted_version, failed_reason = %(reason)s, attempted_at = NULL,"  # noqa: S608 - composed of constants
        f" slot_at = NULL, date_done = CASE WHEN kind IN {ONE_TIME_KINDS} THEN %(now)s END"
        f" WHERE destination_id = %(id)s AND wanted_version > drawn_version AND kind IN {KNOWN_KINDS}",
        {"id": target.id, "reason": reason, "now": now},
    ).rowcount
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = %(reason)s, failed_at = %(now)s, failures = failures + 1,"
        " leased_until = NULL,"
        " date_checked = CASE WHEN %(ask)s THEN NULL ELSE date_checked END,"
        " next_send_at = %(now)s + make_interval(secs => %(pause)s) WHERE id = %(id)s",
        {"id": target.id, "reason": reason, "pause": pause_s, "ask": ask_again, "now": now},
    )
    reschedule_destinations(tx, [target.id], now)
    return ended


def mark_refusing(tx: Connection, target: Target, reason: str, now: datetime) -> None:
    """Notes that Slack refuses what is sent to a destination. What waits there is tried again all the same."""
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = %(reason)s, failed_at = coalesce(failed_at, %(now)s) WHERE id = %(id)s",
        {"id": target.id, "reason": reason, "now": now},
    )


def recover_channel(tx: Connection, workspace_id: str, channel_id: str, now: datetime) -> bool:
    """A channel may take messages again (unarchived, the bot invited): what failed to show a state there is due.

    Cards of incidents that were resolved before they could be posted stay unposted. Gives whether the channel is
    known at all.
    """
    row = tx.exec_driver_sql(
        "SELECT id FROM destination WHERE workspace_id = %(workspace)s AND channel_id = %(channel)s FOR UPDATE",
        {"workspace": workspace_id, "channel": channel_id},
    ).first()
    if row is None:
        return False
    tx.exec_driver_sql(
        "UPDATE destination SET failed_reason = NULL, failed_at = NULL, failures = 0, is_member = NULL,"
        " date_checked = NULL, next_send_at = %(now)s WHERE id = %(id)s",
        {"id": row[0], "now": now},
    )
    tx.exec_driver_sql(
        "UPDATE post p SET wanted_version = wanted_version + 1, failed_reason = NULL, due_at = %(now)s"  # noqa: S608 - composed of constants
        " FROM incident i WHERE i.id = p.incident_id AND p.destination_id = %(id)s"
        f" AND p.kind IN {LASTING_KINDS} AND p.failed_reason IS NOT NULL"
        " AND (p.ts IS NOT NULL OR i.status <> 2)",
        {"id": row[0], "now": now},
    )
    reschedule_destinations(tx, [row[0]], now)
    wake_after_commit(tx)
    return True


def recover_oldest_channels(tx: Connection, failed_for_s: float, most: int, now: datetime) -> int:
    """Has channels that took nothing for so long tried again, in case nobody said that they do again."""
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
    """A conversation that something is wrong with."""

    workspace_id: str
    channel_id: str | None
    channel_name: str | None
    member: str | None  # a person's name
    reason: str | None  # Slack's name for why nothing arrives there; None: it is only deaf
    since: datetime | None
    deaf: bool  # nothing that is said there is heard, because the bot is not in it


def list_failed_destinations(connection: Connection) -> Sequence[FailedDestination]:
    """Where nothing arrives, and which channels of the organization file are deaf."""
    rows = connection.exec_driver_sql(
        "SELECT d.workspace_id, d.channel_id, d.name, m.name, d.failed_reason, d.failed_at,"
        " d.channel_id IS NOT NULL AND d.is_member IS NOT DISTINCT FROM false"
        " FROM destination d LEFT JOIN member m ON m.id = d.member_id"
        " WHERE d.failed_reason IS NOT NULL OR (d.channel_id IS NOT NULL AND d.is_member = false)"
        " ORDER BY d.id"
    )
    return [FailedDestination(*row) for row in rows]
