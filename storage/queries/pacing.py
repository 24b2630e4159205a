"""Rate limits of methods in a workspace, paused workspaces, and a database clock that is set back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.post_kinds import DuePost


def take_slot(
    tx: Connection,
    workspace_id: str,
    method: str,
    interval_s: float,
    burst: int,
    now: datetime,
    *,
    behind: str | None = None,
) -> float:
    """Reserves a call of a Slack method. Returns the seconds to wait before the call; 0 means now.

    Each call reserves `interval_s` seconds. Up to `burst` calls may be made at once. With `behind`, the call comes
    after those that are reserved under that name.
    """
    wait: float = tx.exec_driver_sql(
        "INSERT INTO method_pace AS m (workspace_id, method, spoken_for_until)"
        " VALUES (%(workspace)s, %(method)s, GREATEST(%(now)s, (SELECT spoken_for_until FROM method_pace"
        "   WHERE workspace_id = %(workspace)s AND method = %(behind)s)) + make_interval(secs => %(interval)s))"
        " ON CONFLICT (workspace_id, method) DO UPDATE SET spoken_for_until ="
        " GREATEST(m.spoken_for_until + make_interval(secs => %(interval)s), EXCLUDED.spoken_for_until)"
        " RETURNING EXTRACT(epoch FROM m.spoken_for_until - %(now)s)::float8",
        {"workspace": workspace_id, "method": method, "now": now, "interval": interval_s, "behind": behind},
    ).scalar_one()
    return max(0.0, wait - interval_s * burst)


def assign_slot(tx: Connection, post: DuePost, seconds: float, now: datetime) -> None:
    """Delays a post by `seconds`, until the call that `take_slot` reserved for it."""
    tx.exec_driver_sql(
        "UPDATE post SET slot_at = %(now)s + make_interval(secs => %(seconds)s),"
        " due_at = %(now)s + make_interval(secs => %(seconds)s)"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": post.organization_id, "id": post.id, "seconds": seconds, "now": now},
    )


def block_method(tx: Connection, workspace_id: str, method: str, seconds: float, now: datetime) -> None:
    """Records that Slack does not allow a method in a workspace for `seconds`."""
    tx.exec_driver_sql(
        "INSERT INTO method_pace AS m (workspace_id, method, spoken_for_until)"
        " VALUES (%(workspace)s, %(method)s, %(now)s + make_interval(secs => %(seconds)s))"
        " ON CONFLICT (workspace_id, method) DO UPDATE"
        " SET spoken_for_until = GREATEST(m.spoken_for_until, EXCLUDED.spoken_for_until)",
        {"workspace": workspace_id, "method": method, "now": now, "seconds": seconds},
    )


def pause_workspace(tx: Connection, workspace_id: str, reason: str, seconds: float, now: datetime) -> bool:
    """Pauses sending to a workspace for `seconds`. Returns True if it was not paused before."""
    was: str | None = tx.exec_driver_sql(
        "SELECT paused_reason FROM workspace WHERE id = %(id)s FOR NO KEY UPDATE", {"id": workspace_id}
    ).scalar()
    tx.exec_driver_sql(
        "UPDATE workspace SET paused_reason = %(reason)s, paused_until = %(now)s + make_interval(secs => %(s)s)"
        " WHERE id = %(id)s",
        {"id": workspace_id, "reason": reason, "s": seconds, "now": now},
    )
    return was is None


def resume_workspace(tx: Connection, workspace_id: str) -> bool:
    """Resumes sending to a workspace. Returns True if it was paused."""
    return bool(
        tx.exec_driver_sql(
            "UPDATE workspace SET paused_reason = NULL, paused_until = NULL"
            " WHERE id = %(id)s AND paused_reason IS NOT NULL",
            {"id": workspace_id},
        ).rowcount
    )


_PAUSED = PreparedStatement(
    "SELECT id, paused_reason, EXTRACT(epoch FROM paused_until - %(now)s::timestamptz)::float8"
    " FROM workspace WHERE paused_reason IS NOT NULL"
)


def get_paused_workspaces(connection: Connection, now: datetime) -> dict[str, tuple[str, float]]:
    """Returns the paused workspaces by id: the reason, and the seconds until sending is retried."""
    rows = _PAUSED.rows(connection, {"now": now})
    return {id_: (reason, seconds) for id_, reason, seconds in rows}


def adjust_to_clock_set_back(tx: Connection, longest_s: float, now: datetime) -> None:
    """Corrects stored times after the database's clock was set back.

    Times more than `longest_s` seconds ahead become due at once; a lease then ends after `longest_s` seconds. Other
    times do not change. A second call has no further effect.
    """
    limit = {"limit": longest_s, "now": now}
    tx.exec_driver_sql(
        "WITH latest AS (SELECT %(now)s::timestamptz + make_interval(secs => %(limit)s) AS at)"
        " UPDATE destination SET leased_until = LEAST(leased_until, latest.at),"
        " next_send_at = CASE WHEN next_send_at > latest.at THEN %(now)s ELSE next_send_at END,"
        " due_at = CASE WHEN due_at > latest.at THEN %(now)s ELSE due_at END"
        " FROM latest WHERE leased_until > latest.at OR next_send_at > latest.at OR due_at > latest.at",
        limit,
    )
    tx.exec_driver_sql(
        "UPDATE post SET due_at = %(now)s, slot_at = NULL"
        " WHERE wanted_version > drawn_version AND due_at > %(now)s + make_interval(secs => %(limit)s)",
        limit,
    )
    for table, column in (("method_pace", "spoken_for_until"), ("workspace", "paused_until"), ("outbox", "retry_at")):
        tx.exec_driver_sql(
            f"UPDATE {table} SET {column} = %(now)s"  # noqa: S608
            f" WHERE {column} > %(now)s + make_interval(secs => %(limit)s)",
            limit,
        )
