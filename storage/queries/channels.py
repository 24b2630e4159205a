"""What Slack has said about channels, kept with their destinations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from storage.queries.destinations import Target, ensure_destination


def expire_channel(tx: Connection, workspace_id: str, channel_id: str) -> None:
    """Expires the stored data about a channel. The bot asks Slack again before the next post there."""
    tx.exec_driver_sql(
        "UPDATE destination SET date_checked = NULL, is_member = NULL"
        " WHERE workspace_id = %(workspace)s AND channel_id = %(channel)s",
        {"workspace": workspace_id, "channel": channel_id},
    )


def record_shared(tx: Connection, workspace_id: str, channel_id: str, shared: bool, now: datetime) -> None:
    """Records whether a channel is shared with another company."""
    destination_id = ensure_destination(tx, workspace_id, now=now, channel_id=channel_id)
    tx.exec_driver_sql(
        "UPDATE destination SET is_shared = %(shared)s WHERE id = %(id)s", {"id": destination_id, "shared": shared}
    )


def is_channel_shared(connection: Connection, workspace_id: str, channel_id: str) -> bool:
    """Returns whether a channel is known to be shared with another company."""
    return bool(
        connection.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM destination WHERE workspace_id = %(workspace)s"
            " AND channel_id = %(channel)s AND is_shared)",
            {"workspace": workspace_id, "channel": channel_id},
        ).scalar_one()
    )


def record_channel(
    tx: Connection, target: Target, *, name: str, is_private: bool, is_shared: bool, is_member: bool, now: datetime
) -> None:
    """Records what Slack reported about a channel."""
    tx.exec_driver_sql(
        "UPDATE destination SET name = %(name)s, is_private = %(private)s, is_shared = %(shared)s,"
        " is_member = %(member)s, date_checked = %(now)s"
        " WHERE workspace_id = %(workspace_id)s AND id = %(id)s",
        {
            "workspace_id": target.workspace_id,
            "id": target.id,
            "name": name,
            "private": is_private,
            "shared": is_shared,
            "member": is_member,
            "now": now,
        },
    )
