"""When the owners of incidents are asked whether they are still on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from storage.member_rows import DueReminder, ReminderContent
from storage.prepared import PreparedStatement
from storage.queries.activity import READABLE
from storage.queries.handoffs import LAST_COMMENT, SHOWN, parse_shown
from storage.queries.home_workspaces import first_workspace
from storage.queries.silences import is_silenced
from storage.queries.visibility import sees_incident

# After how many seconds the owner of incident i is asked: what its team says, or the first of its projects' teams.
_REMIND_AFTER_S = """
CASE WHEN i.team_id IS NOT NULL THEN (SELECT t.remind_owner_s FROM team t
  WHERE t.organization_id = i.organization_id AND t.id = i.team_id)
     ELSE (SELECT min(t.remind_owner_s) FROM incident_project ip
       JOIN project_team pt ON pt.organization_id = ip.organization_id AND pt.project_id = ip.project_id
           JOIN team t ON t.organization_id = pt.organization_id AND t.id = pt.team_id
           WHERE ip.organization_id = i.organization_id AND ip.incident_id = i.id) END
"""
_SCHEDULE = f"""
INSERT INTO owner_reminder (organization_id, incident_id, due_at, step)
SELECT i.organization_id, i.id, %(now)s + make_interval(secs => after.seconds * %(wait)s), 0
FROM incident i CROSS JOIN LATERAL (SELECT ({_REMIND_AFTER_S}) AS seconds) after
WHERE {{incidents}} AND i.owner_id IS NOT NULL AND i.status <> 2 AND after.seconds IS NOT NULL
ON CONFLICT (organization_id, incident_id) DO UPDATE SET {{known}}
"""  # noqa: S608 - composed of constants


_SCHEDULE_SOME = PreparedStatement(
    _SCHEDULE.format(
        incidents="i.organization_id = %(organization_id)s AND i.id = ANY(%(ids)s)",
        known="due_at = EXCLUDED.due_at, step = 0, heard_at = NULL",
    ),
    {"organization_id": "bigint", "ids": "bigint[]", "now": "timestamptz", "wait": "int"},
)


def schedule_reminders(tx: Connection, organization_id: int, incident_ids: Sequence[int], now: datetime) -> None:
    """Starts to wait for a sign of the owners of incidents, of those that have one whose team wants that.

    It is sent with the next statement of the transaction.
    """
    given = {"organization_id": organization_id, "ids": list(incident_ids), "now": now, "wait": 1}
    _SCHEDULE_SOME.defer(tx, given)


def schedule_all(tx: Connection, organization_id: int, now: datetime) -> None:
    """Has all owners of an organization's incidents looked at again: how long their teams wait may have changed."""
    # Who has been asked already still has the time that the message gave them.
    known = "due_at = CASE WHEN owner_reminder.step = 0 THEN EXCLUDED.due_at ELSE owner_reminder.due_at END"
    statement = _SCHEDULE.format(incidents="i.organization_id = %(id)s", known=known)
    tx.exec_driver_sql(statement, {"id": organization_id, "now": now, "wait": 0})


# When anything was heard of the owner of incident i: they took, acknowledged, commented or changed it, or it was
# reopened.
_HEARD_AT = f"""
GREATEST(i.owned_since,
         (SELECT s.last_seen FROM incident_seen s WHERE s.organization_id = i.organization_id AND s.incident_id = i.id
           AND s.member_id = i.owner_id),
         (SELECT max(a.date_added) FROM incident_activity a
           WHERE a.organization_id = i.organization_id AND a.incident_id = i.id AND {READABLE}
          AND (a.member_id = i.owner_id OR (a.type = 2 AND a.previous_value = 2))))
"""  # noqa: S608 - composed of constants
_DUE = f"""
SELECT r.organization_id, r.incident_id, i.owner_id, {first_workspace("o.id")}, r.step, r.heard_at, {_HEARD_AT},
       ({_REMIND_AFTER_S}), i.status <> 2 AND o.incidents, {is_silenced("i")}
FROM owner_reminder r JOIN incident i ON i.organization_id = r.organization_id AND i.id = r.incident_id
JOIN organization o ON o.id = r.organization_id
WHERE r.due_at <= %(now)s
ORDER BY r.due_at LIMIT %(most)s FOR UPDATE OF r SKIP LOCKED
"""  # noqa: S608 - composed of constants


def lock_due(tx: Connection, now: datetime, most: int) -> list[DueReminder]:
    """Locks and returns up to `most` rows that are due. Those that other replicas have locked are left out."""
    return [DueReminder(*row) for row in tx.exec_driver_sql(_DUE, {"now": now, "most": most})]


def delete_reminder(tx: Connection, due: DueReminder) -> None:
    """Waits for nothing any more about this incident."""
    tx.exec_driver_sql(
        "DELETE FROM owner_reminder WHERE organization_id = %(organization_id)s AND incident_id = %(incident_id)s",
        {"organization_id": due.organization_id, "incident_id": due.incident_id},
    )


def set_reminder(tx: Connection, due: DueReminder, *, step: int, due_at: datetime, post_key: str | None = None) -> None:
    """Records who was told, and when to look again. `post_key` is of a new message to the owner."""
    tx.exec_driver_sql(
        "UPDATE owner_reminder SET step = %(step)s, due_at = %(due_at)s, heard_at = %(heard_at)s,"
        " post_key = coalesce(%(post_key)s, post_key) WHERE organization_id = %(organization_id)s"
        " AND incident_id = %(incident_id)s",
        {
            "organization_id": due.organization_id,
            "incident_id": due.incident_id,
            "step": step,
            "due_at": due_at,
            "heard_at": due.heard_now,
            "post_key": post_key,
        },
    )


# Has the messages that ask about these incidents updated, as `redraw_messages` in storage/queries/expansion.py says.
REDRAW = PreparedStatement(
    "UPDATE post p SET wanted_version = p.wanted_version + 1, due_at = %(now)s FROM owner_reminder r"
    " WHERE r.organization_id = ANY(%(organization_ids)s) AND r.incident_id = ANY(%(ids)s)"
    " AND p.organization_id = r.organization_id AND p.key = r.post_key AND p.date_done IS NULL"
    "   AND (p.ts IS NOT NULL OR p.attempted_at IS NOT NULL)"
    " AND p.destination_id = ANY(%(locked)s)",
    {"organization_ids": "bigint[]", "ids": "bigint[]", "locked": "bigint[]", "now": "timestamptz"},
)


_CONTENT = f"""
SELECT heard.heard_at, i.status <> 2 AND i.owner_id = m.id AND r.step > 0 AND r.heard_at = heard.heard_at,
       i.status <> 2 AND i.owner_id = m.id, offer.id, offer.receiver, {SHOWN}
FROM owner_reminder r JOIN incident i ON i.organization_id = r.organization_id AND i.id = r.incident_id
JOIN member m ON m.organization_id = r.organization_id AND m.id = %(owner_id)s
JOIN organization o ON o.id = m.organization_id
CROSS JOIN LATERAL (SELECT {_HEARD_AT} AS heard_at) heard
LEFT JOIN LATERAL (SELECT h.id, x.name AS receiver FROM handoff_item hi
                   JOIN handoff h ON h.organization_id = hi.organization_id AND h.id = hi.handoff_id
                   JOIN member x ON x.organization_id = h.organization_id AND x.id = h.receiver_id
                   WHERE hi.organization_id = i.organization_id AND hi.incident_id = i.id
                     AND hi.state = 'offered') offer ON true
{LAST_COMMENT}
WHERE r.organization_id = %(organization_id)s AND r.post_key = %(post_key)s AND {sees_incident("i.id")}
ORDER BY i.status DESC, i.date_started DESC, i.id DESC
"""  # noqa: S608 - composed of constants


def get_content(
    connection: Connection, organization_id: int, post_key: str, owner_id: int
) -> Sequence[ReminderContent]:
    """Returns the incidents of a message to a member that they see, with what became of them."""
    given = {"organization_id": organization_id, "post_key": post_key, "owner_id": owner_id}
    rows = connection.exec_driver_sql(_CONTENT, given)
    return [ReminderContent(parse_shown(row[5:]), row[0], bool(row[1]), bool(row[2]), row[3], row[4]) for row in rows]
