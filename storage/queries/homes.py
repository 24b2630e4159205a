"""Whose Home tab is to be published anew, because what they may see or do has changed.

Home is published when somebody opens it, too. So only who has opened it before can be looking at an old one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from storage.queries.outbox import wake_after_commit
from storage.values import Work


@dataclass(frozen=True, slots=True)
class DueHome:
    """A Home that one worker is to publish."""

    workspace_id: str
    user_id: str
    leased_until: datetime


def mark_opened(connection: Connection, workspace_id: str, user_id: str) -> bool:
    """Records that a Slack user has opened Home. Returns False for one of whom nothing is stored yet."""
    found = connection.exec_driver_sql(
        "WITH marked AS (UPDATE slack_person SET home_opened = true"
        "  WHERE workspace_id = %(workspace_id)s AND user_id = %(user_id)s AND NOT home_opened)"
        " SELECT EXISTS (SELECT FROM slack_person WHERE workspace_id = %(workspace_id)s AND user_id = %(user_id)s)",
        {"workspace_id": workspace_id, "user_id": user_id},
    )
    return bool(found.scalar_one())


def mark_due(
    tx: Connection,
    organization_id: int,
    now: datetime,
    member_ids: Collection[int] | None,
    *,
    newcomers: bool = False,
) -> None:
    """Has the Home of these members published anew; None: of everybody in the organization.

    `newcomers`: somebody has become a member. Which of those who are none they are, is looked up when it is published.
    """
    marked = tx.exec_driver_sql(
        "UPDATE slack_person p SET home_due_at = %(now)s FROM workspace w"
        " WHERE w.id = p.workspace_id AND w.organization_id = %(organization_id)s AND p.home_opened"
        "  AND (%(member_ids)s::bigint[] IS NULL OR p.member_id = ANY(%(member_ids)s)"
        "       OR (%(newcomers)s AND p.member_id IS NULL))",
        {
            "organization_id": organization_id,
            "now": now,
            "member_ids": None if member_ids is None else list(member_ids),
            "newcomers": newcomers,
        },
    ).rowcount
    if marked:
        wake_after_commit(tx, Work.HOMES)


def take_due(tx: Connection, workspaces: Sequence[str], now: datetime, *, lease: timedelta, most: int) -> list[DueHome]:
    """Leases at most `most` Homes that are due in these workspaces: after `lease` they are due again."""
    rows = tx.exec_driver_sql(
        "UPDATE slack_person p SET home_due_at = %(until)s FROM (SELECT workspace_id, user_id FROM slack_person"
        "  WHERE home_due_at <= %(now)s AND workspace_id = ANY(%(workspaces)s) ORDER BY home_due_at LIMIT %(most)s"
        "  FOR NO KEY UPDATE SKIP LOCKED) due"
        " WHERE p.workspace_id = due.workspace_id AND p.user_id = due.user_id"
        " RETURNING p.workspace_id, p.user_id, p.home_due_at",
        {"workspaces": list(workspaces), "now": now, "until": now + lease, "most": most},
    )
    return [DueHome(*row) for row in rows]


def settle(tx: Connection, home: DueHome, again_at: datetime | None) -> None:
    """Ends a lease: the Home was published, or is to be tried `again_at`. What became due meanwhile stays due."""
    tx.exec_driver_sql(
        "UPDATE slack_person SET home_due_at = %(again_at)s"
        " WHERE workspace_id = %(workspace_id)s AND user_id = %(user_id)s AND home_due_at = %(until)s",
        {
            "workspace_id": home.workspace_id,
            "user_id": home.user_id,
            "until": home.leased_until,
            "again_at": again_at,
        },
    )
