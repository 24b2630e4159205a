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
        " FROM workspace w JOIN destination d ON d.workspace_id = w.id"
        " JOIN post p ON p.organization_id = w.organization_id AND p.destination_id = d.id"
        " JOIN incident i ON i.organization_id = p.organization_id AND i.id = p.incident_id"
        f" WHERE p.ts = %(ts)s AND p.kind = '{PostKind.CARD}'"
        " AND w.id = %(workspace)s AND d.channel_id = %(channel)s",
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
        "SELECT EXISTS (SELECT FROM workspace w JOIN destination d ON d.workspace_id = w.id"  # noqa: S608 - constants
        " JOIN post p ON p.organization_id = w.organization_id AND p.destination_id = d.id"
        f" WHERE w.id = %(workspace)s AND d.channel_id = %(channel)s AND p.kind = '{PostKind.CARD}'"
        " AND p.ts IS NULL AND p.attempted_at IS NOT NULL AND p.wanted_version > p.drawn_version"
        # A message from before the posting began is not the card.
        ' AND (p.after_ts IS NULL OR p.after_ts COLLATE "C" < %(ts)s))',
        {"workspace": workspace_id, "channel": channel_id, "ts": ts},
    ).scalar_one()
    return found


def find_reply(tx: Connection, card: PostedCard, ts: str) -> ThreadReplyRow | None:
    """Locks and returns a recorded reply, or returns None if it is not recorded."""
    row = tx.exec_driver_sql(
        "SELECT activity_id, edited_ts, gone FROM thread_reply"
        " WHERE organization_id = %(organization_id)s AND destination_id = %(destination)s AND ts = %(ts)s FOR UPDATE",
        {"organization_id": card.organization_id, "destination": card.destination_id, "ts": ts},
    ).first()
    return None if row is None else ThreadReplyRow(*row)


def record_reply(
    tx: Connection, card: PostedCard, ts: str, *, edited_ts: str | None = None, gone: bool = False
) -> bool:
    """Records a new reply. Returns False if it was already recorded."""
    return bool(
        tx.exec_driver_sql(
            "INSERT INTO thread_reply (organization_id, destination_id, ts, edited_ts, gone)"
            " VALUES (%(organization_id)s, %(destination)s, %(ts)s, %(edited)s, %(gone)s) ON CONFLICT DO NOTHING",
            {
                "organization_id": card.organization_id,
                "destination": card.destination_id,
                "ts": ts,
                "edited": edited_ts,
                "gone": gone,
            },
        ).rowcount
    )


def link_comment(tx: Connection, card: PostedCard, ts: str, activity_id: int) -> None:
    """Records which comment was made from a reply."""
    tx.exec_driver_sql(
        "UPDATE thread_reply SET activity_id = %(activity)s"
        " WHERE organization_id = %(organization_id)s AND destination_id = %(destination)s AND ts = %(ts)s",
        {
            "organization_id": card.organization_id,
            "destination": card.destination_id,
            "ts": ts,
            "activity": activity_id,
        },
    )


def record_reply_edited(tx: Connection, card: PostedCard, ts: str, edited_ts: str) -> None:
    """Records the latest edit of a reply."""
    tx.exec_driver_sql(
        "UPDATE thread_reply SET edited_ts = %(edited)s"
        " WHERE organization_id = %(organization_id)s AND destination_id = %(destination)s AND ts = %(ts)s",
        {"organization_id": card.organization_id, "destination": card.destination_id, "ts": ts, "edited": edited_ts},
    )


def record_reply_deleted(tx: Connection, card: PostedCard, ts: str) -> None:
    """Records that a reply was deleted."""
    tx.exec_driver_sql(
        "UPDATE thread_reply SET gone = true"
        " WHERE organization_id = %(organization_id)s AND destination_id = %(destination)s AND ts = %(ts)s",
        {"organization_id": card.organization_id, "destination": card.destination_id, "ts": ts},
    )


def record_card_deleted(tx: Connection, workspace_id: str, channel_id: str, ts: str) -> bool:
    """Records that a card or the message of a storm was deleted; the next change posts it again.

    Returns False if the message is neither.
    """
    deleted = {"workspace": workspace_id, "channel": channel_id, "ts": ts}
    forget = (
        "UPDATE post p SET ts = NULL, generation = p.generation + 1, drawn_hash = NULL"
        " FROM workspace w JOIN destination d ON d.workspace_id = w.id"
    )
    in_channel = "w.id = %(workspace)s AND p.organization_id = w.organization_id"
    in_channel += " AND d.channel_id = %(channel)s AND p.ts = %(ts)s"
    card = f"{forget} WHERE d.id = p.destination_id AND p.kind = '{PostKind.CARD}' AND {in_channel}"
    storm = f"{forget} JOIN storm s ON s.organization_id = w.organization_id AND s.destination_id = d.id"
    storm += f" WHERE s.post_id = p.id AND {in_channel}"
    return bool(tx.exec_driver_sql(card, deleted).rowcount or tx.exec_driver_sql(storm, deleted).rowcount)
