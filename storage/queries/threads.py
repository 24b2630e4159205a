"""Posted cards and the replies in their threads. Both are found by channel and ts, as in Slack's events."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from storage.rows import PostedCard
from storage.values import PostKind


@dataclass(frozen=True, slots=True)
class ThreadReplyRow:
    """A recorded reply of a person."""

    activity_id: int | None
    edited_ts: str | None
    gone: bool


def find_card(connection: Connection, workspace_id: str, channel_id: str, ts: str) -> PostedCard | None:
    """Returns the card with that ts, or None if the message is not a card."""
    row = connection.exec_driver_sql(
        "SELECT i.organization_id, p.id, d.id, d.channel_id, i.id, i.identifier"  # noqa: S608 - composed of constants
        " FROM post p JOIN destination d ON d.id = p.destination_id"
        " JOIN incident i ON i.organization_id = p.organization_id AND i.id = p.incident_id"
        f" WHERE p.ts = %(ts)s AND p.kind = '{PostKind.CARD}'"
        " AND d.workspace_id = %(workspace)s AND d.channel_id = %(channel)s",
        {"ts": ts, "workspace": workspace_id, "channel": channel_id},
    ).first()
    return None if row is None else PostedCard(*row)


def find_reactions(connection: Connection, workspace_id: str) -> tuple[str, str] | None:
    """Returns the emoji names that acknowledge and resolve in a workspace, or None if the workspace is not known."""
    row = connection.exec_driver_sql(
        "SELECT o.acknowledge_reaction, o.resolve_reaction FROM workspace w"
        " JOIN organization o ON o.id = w.organization_id WHERE w.id = %(workspace)s",
        {"workspace": workspace_id},
    ).first()
    return None if row is None else (row[0], row[1])


def has_card_not_posted_yet(connection: Connection, workspace_id: str, channel_id: str, ts: str) -> bool:
    """Returns whether that message may be a card that was just posted and whose ts is not stored yet."""
    found: bool = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM post p JOIN destination d ON d.id = p.destination_id"  # noqa: S608 - composed of constants
        f" WHERE d.workspace_id = %(workspace)s AND d.channel_id = %(channel)s AND p.kind = '{PostKind.CARD}'"
        " AND p.ts IS NULL AND p.attempted_at IS NOT NULL AND p.wanted_version > p.drawn_version"
        # A message from before the posting began is not the card.
        ' AND (p.after_ts IS NULL OR p.after_ts COLLATE "C" < %(ts)s))',
        {"workspace": workspace_id, "channel": channel_id, "ts": ts},
    ).scalar_one()
    return found


def find_reply(tx: Connection, destination_id: int, ts: str) -> ThreadReplyRow | None:
    """Locks and returns a recorded reply, or returns None if it is not recorded."""
    row = tx.exec_driver_sql(
        "SELECT activity_id, edited_ts, gone FROM thread_reply"
        " WHERE destination_id = %(destination)s AND ts = %(ts)s FOR UPDATE",
        {"destination": destination_id, "ts": ts},
    ).first()
    return None if row is None else ThreadReplyRow(*row)


def record_reply(
    tx: Connection, destination_id: int, ts: str, *, edited_ts: str | None = None, gone: bool = False
) -> bool:
    """Records a new reply. Returns False if it was already recorded."""
    return bool(
        tx.exec_driver_sql(
            "INSERT INTO thread_reply (organization_id, destination_id, ts, edited_ts, gone)"
            " SELECT w.organization_id, d.id, %(ts)s, %(edited)s, %(gone)s FROM destination d"
            " JOIN workspace w ON w.id = d.workspace_id WHERE d.id = %(destination)s ON CONFLICT DO NOTHING",
            {"destination": destination_id, "ts": ts, "edited": edited_ts, "gone": gone},
        ).rowcount
    )


def link_comment(tx: Connection, destination_id: int, ts: str, activity_id: int) -> None:
    """Records which comment was made from a reply."""
    tx.exec_driver_sql(
        "UPDATE thread_reply SET activity_id = %(activity)s WHERE destination_id = %(destination)s AND ts = %(ts)s",
        {"destination": destination_id, "ts": ts, "activity": activity_id},
    )


def record_reply_edited(tx: Connection, destination_id: int, ts: str, edited_ts: str) -> None:
    """Records the latest edit of a reply."""
    tx.exec_driver_sql(
        "UPDATE thread_reply SET edited_ts = %(edited)s WHERE destination_id = %(destination)s AND ts = %(ts)s",
        {"destination": destination_id, "ts": ts, "edited": edited_ts},
    )


def record_reply_deleted(tx: Connection, destination_id: int, ts: str) -> None:
    """Records that a reply was deleted."""
    tx.exec_driver_sql(
        "UPDATE thread_reply SET gone = true WHERE destination_id = %(destination)s AND ts = %(ts)s",
        {"destination": destination_id, "ts": ts},
    )


def record_card_deleted(tx: Connection, workspace_id: str, channel_id: str, ts: str) -> bool:
    """Records that a card or the message of a storm was deleted; the next change posts it again.

    Returns False if the message is neither.
    """
    deleted = {"workspace": workspace_id, "channel": channel_id, "ts": ts}
    forget = "UPDATE post p SET ts = NULL, generation = p.generation + 1, drawn_hash = NULL FROM destination d"
    in_channel = "d.workspace_id = %(workspace)s AND d.channel_id = %(channel)s AND p.ts = %(ts)s"
    card = f"{forget} WHERE d.id = p.destination_id AND p.kind = '{PostKind.CARD}' AND {in_channel}"
    storm = f"{forget} JOIN storm s ON s.destination_id = d.id WHERE s.post_id = p.id AND {in_channel}"
    return bool(tx.exec_driver_sql(card, deleted).rowcount or tx.exec_driver_sql(storm, deleted).rowcount)
