"""Which background work is due, all in one statement: a process at rest asks for nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from storage.prepared import PreparedStatement
from storage.queries.leases import FREE, Only, Serving
from storage.queries.oncall import KEPT, USERGROUPS_VALID_FOR
from storage.queries.silences import FOLLOWED_WITHIN
from storage.values import NO_WORK, Work

_DUE_IN_ONLY = f"""
EXISTS (SELECT FROM workspace w CROSS JOIN unnest(ARRAY[0, 1, 2, 3]) AS u(urgency)
        CROSS JOIN LATERAL (SELECT FROM destination WHERE workspace_id = w.id AND urgency = u.urgency
                            AND due_at <= %(now)s AND {FREE} LIMIT 1) found
        WHERE w.id = ANY(%(workspaces)s) AND w.paused_reason IS NULL)
"""  # noqa: S608 - composed of constants
# Hashed only as a subquery: an array would be read for each row.
_LEFT_OUT = "NOT IN (SELECT unnest(string_to_array(%(workspaces)s, ',')))"
_DUE_IN_ALL_BUT = f"""
EXISTS (SELECT FROM unnest(ARRAY[0, 1, 2, 3], %(since)s) AS u(urgency, since)
        CROSS JOIN LATERAL (SELECT FROM destination WHERE urgency = u.urgency
                            AND due_at <= %(now)s AND due_at >= u.since AND {FREE}
                            AND workspace_id {_LEFT_OUT} LIMIT 1) found)
"""  # noqa: S608 - composed of constants


def _build_changes(of_alert: str) -> str:
    ready = f"SELECT FROM outbox WHERE of_alert = {of_alert} AND (retry_at IS NULL OR retry_at <= %(now)s)"
    return (
        f"CASE WHEN EXISTS ({ready}) THEN %(now)s"  # noqa: S608
        f" ELSE (SELECT min(retry_at) FROM outbox WHERE of_alert = {of_alert}) END"
    )


def _build_parts(posts_due: str, served: str) -> dict[Work, str]:
    """Returns when each kind of work is due, as SQL. `served` is a comparison that follows the id of a workspace."""
    # A workspace whose pause has passed is to be tested.
    tested = f"EXISTS (SELECT FROM workspace w WHERE w.paused_until <= %(now)s AND w.id {served})"
    return {
        Work.CHANGES: _build_changes("false"),
        Work.ALERTS: _build_changes("true"),
        Work.POSTS: f"CASE WHEN {posts_due} OR {tested} THEN %(now)s END",
        Work.STORMS: "(SELECT min(calm_at) FROM storm WHERE date_ended IS NULL)",
        Work.CALLS: "(SELECT min(due_at) FROM call_step WHERE due_at IS NOT NULL)",
        Work.USERGROUPS: "CASE WHEN EXISTS (SELECT FROM workspace w"  # noqa: S608
        f"  JOIN team t ON t.organization_id = w.organization_id, {KEPT}"
        f"  WHERE w.id {served} AND k.id IS NOT NULL AND NOT EXISTS ("
        "   SELECT FROM usergroup g WHERE g.workspace_id = w.id AND g.id = k.id"
        "   AND (g.date_checked >= %(now)s - %(valid_for)s OR g.asked_until > %(now)s))) THEN %(now)s END",
        Work.SILENCES: "LEAST((SELECT min(ends) FROM silence WHERE date_ended IS NULL AND alertmanager_id IS NULL),"
        " (SELECT min(ends) FROM silence WHERE date_ended IS NULL AND alertmanager_id IS NOT NULL) + %(followed)s,"
        " CASE WHEN EXISTS (SELECT FROM silence WHERE hold_after IS NOT NULL OR release_after IS NOT NULL)"
        " THEN %(now)s END)",
        Work.OFFERS: "(SELECT min(h.expires_at) FROM handoff_item i"
        " JOIN handoff h ON h.organization_id = i.organization_id AND h.id = i.handoff_id WHERE i.state = 'offered')",
        Work.REMINDERS: "(SELECT min(due_at) FROM owner_reminder)",
        Work.PERSONAL_DIGESTS: "(SELECT min(next_fire_at) FROM personal_digest WHERE next_fire_at IS NOT NULL)",
        Work.DIGESTS: "(SELECT min(next_fire_at) FROM digest WHERE next_fire_at IS NOT NULL)",
        Work.FIRES: "(SELECT min(coalesce(f.leased_until, %(now)s)) FROM digest_fire f"  # noqa: S608
        " JOIN digest d ON d.organization_id = f.organization_id AND d.id = f.digest_id"
        f" WHERE f.state = 'due' AND d.workspace_id {served})",
        Work.HOMES: "(SELECT min(home_due_at) FROM slack_person"  # noqa: S608
        f" WHERE home_due_at IS NOT NULL AND workspace_id {served})",
        Work.POSTED: "CASE WHEN EXISTS (SELECT FROM digest_fire f"
        " LEFT JOIN post p ON p.organization_id = f.organization_id AND p.id = f.post_id"
        " WHERE f.state = 'posted' AND (p.id IS NULL OR p.date_done IS NOT NULL)) THEN %(now)s END",
    }


def _build_statement(parts: dict[Work, str], types: dict[str, str]) -> PreparedStatement:
    columns = ", ".join(f"EXTRACT(epoch FROM {part} - %(now)s)::float8" for part in parts.values())
    return PreparedStatement(
        f"SELECT clock_timestamp(), {columns}",
        {"now": "timestamptz", "valid_for": "interval", "followed": "interval", **types},
    )


_IN_ONLY = _build_parts(_DUE_IN_ONLY, "= ANY(%(workspaces)s)")
_IN_ALL_BUT = _build_parts(_DUE_IN_ALL_BUT, _LEFT_OUT)
_FIND_IN_ONLY = _build_statement(_IN_ONLY, {"workspaces": "text[]"})
_FIND_IN_ALL_BUT = _build_statement(_IN_ALL_BUT, {"workspaces": "text", "since": "timestamptz[]"})


@dataclass(frozen=True, slots=True)
class DueWork:
    """What waits to be done."""

    database_time: datetime
    work: Work  # that is due
    next_s: float | None  # seconds until other work becomes due; messages apart


def find_due_work(connection: Connection, serving: Serving, now: datetime) -> DueWork:
    """Returns what waits to be done in all organizations, and to be sent or published in the served workspaces.

    What another transaction is doing counts as due. `serving` may name workspaces that are paused.
    """
    given = {"now": now, "valid_for": USERGROUPS_VALID_FOR, "followed": FOLLOWED_WITHIN}
    if isinstance(serving, Only):
        row = _FIND_IN_ONLY.row(connection, {**given, "workspaces": list(serving.workspaces)})
    else:
        where = {"workspaces": ",".join(serving.workspaces), "since": list(serving.since)}
        row = _FIND_IN_ALL_BUT.row(connection, {**given, **where})
    assert row is not None
    database_time, *seconds = row
    due = NO_WORK
    later: list[float] = []
    for kind, left in zip(_IN_ONLY, seconds, strict=True):
        if left is not None and left <= 0:
            due |= kind
        elif left is not None:
            later.append(left)
    return DueWork(database_time, due, min(later, default=None))
