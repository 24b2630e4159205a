"""The user groups of Slack whose people the bot keeps, and who is on call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from storage.audit_rows import Actor, AuditAction, AuditChange, AuditOrigin
from storage.call_rows import OnCall
from storage.member_rows import TeamSync
from storage.queries import homes
from storage.queries.audit import record
from storage.queries.outbox import wake_after_commit
from storage.queries.slack_ids import member_in_file
from storage.values import Work

# The member, by id, that user u of a user group is in organization r.organization_id; NULL for somebody else.
MEMBER_OF_USER = f"""
coalesce({member_in_file("r.organization_id", "u.workspace_id", "u.user_id")},
         (SELECT p.member_id FROM slack_person p WHERE p.workspace_id = u.workspace_id AND p.user_id = u.user_id))
"""  # noqa: S608 - composed of constants


# For FROM: the user groups k of a team t that the bot keeps.
KEPT = "LATERAL (VALUES (t.oncall_usergroup), (CASE WHEN t.sync_members THEN t.slack_usergroup END)) AS k(id)"


# Slack reports changes by event. A user group is read again after this, in case an event was lost.
USERGROUPS_VALID_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class StaleUsergroup:
    """A user group that is to be read from Slack."""

    workspace_id: str
    id: str
    version: int


def take_stale(
    tx: Connection, workspaces: Collection[str], now: datetime, *, lease: timedelta, most: int
) -> list[StaleUsergroup]:
    """Returns user groups of these workspaces that are to be read, and leaves them to the caller for `lease`."""
    parameters = {
        "workspaces": sorted(workspaces),
        "now": now,
        "valid_from": now - USERGROUPS_VALID_FOR,
        "until": now + lease,
        "most": most,
    }
    tx.exec_driver_sql(
        "INSERT INTO usergroup (workspace_id, id)"  # noqa: S608 - composed of constants
        f" SELECT DISTINCT w.id, k.id FROM workspace w JOIN team t ON t.organization_id = w.organization_id, {KEPT}"
        " WHERE w.id = ANY(%(workspaces)s) AND k.id IS NOT NULL AND NOT EXISTS (SELECT FROM usergroup g"
        "  WHERE g.workspace_id = w.id AND g.id = k.id) ON CONFLICT DO NOTHING",
        parameters,
    )
    rows = tx.exec_driver_sql(
        "UPDATE usergroup g SET asked_until = %(until)s FROM (SELECT s.workspace_id, s.id FROM usergroup s"  # noqa: S608 - constants
        "  WHERE s.workspace_id = ANY(%(workspaces)s) AND coalesce(s.date_checked < %(valid_from)s, true)"
        "  AND coalesce(s.asked_until <= %(now)s, true)"
        f"  AND EXISTS (SELECT FROM team t JOIN workspace w ON w.organization_id = t.organization_id, {KEPT}"
        "              WHERE w.id = s.workspace_id AND k.id = s.id)"
        "  ORDER BY s.date_checked NULLS FIRST LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED) v"
        " WHERE g.workspace_id = v.workspace_id AND g.id = v.id RETURNING g.workspace_id, g.id, g.version",
        parameters,
    )
    return [StaleUsergroup(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of who is on call for a team that wants it said in a channel."""

    organization_id: int
    team_id: int
    team: str
    channel_id: str


def save_users(tx: Connection, group: StaleUsergroup, user_ids: Collection[str], now: datetime) -> list[Shift]:
    """Stores who is in a user group. Returns the teams to whose channel the change is to be posted."""
    parameters = {"workspace_id": group.workspace_id, "id": group.id, "users": sorted(set(user_ids)), "now": now}
    row = tx.exec_driver_sql(
        "SELECT date_read IS NOT NULL, ARRAY(SELECT u.user_id FROM usergroup_user u"
        "  WHERE u.workspace_id = g.workspace_id AND u.usergroup_id = g.id)"
        " FROM usergroup g WHERE g.workspace_id = %(workspace_id)s AND g.id = %(id)s FOR NO KEY UPDATE",
        parameters,
    ).first()
    if row is None:
        return []
    was_read, before = row
    tx.exec_driver_sql(
        "UPDATE usergroup SET date_read = %(now)s, asked_until = NULL, problem = NULL,"
        " date_checked = CASE WHEN version = %(version)s THEN %(now)s END"
        " WHERE workspace_id = %(workspace_id)s AND id = %(id)s",
        {**parameters, "version": group.version},
    )
    if set(before) == set(user_ids):
        return []
    tx.exec_driver_sql(
        "DELETE FROM usergroup_user WHERE workspace_id = %(workspace_id)s AND usergroup_id = %(id)s"
        " AND user_id <> ALL(%(users)s)",
        parameters,
    )
    tx.exec_driver_sql(
        "INSERT INTO usergroup_user (workspace_id, usergroup_id, user_id)"
        " SELECT %(workspace_id)s, %(id)s, unnest(%(users)s::text[]) ON CONFLICT DO NOTHING",
        parameters,
    )
    if not was_read:
        return []
    rows = tx.exec_driver_sql(
        "SELECT t.organization_id, t.id, t.name, t.oncall_channel"
        " FROM team t JOIN workspace w ON w.organization_id = t.organization_id"
        " WHERE w.id = %(workspace_id)s AND t.oncall_usergroup = %(id)s AND t.oncall_channel IS NOT NULL ORDER BY t.id",
        parameters,
    )
    return [Shift(*row) for row in rows]


_PEOPLE = f"""
people AS (
  SELECT DISTINCT r.id AS team_id, r.organization_id, m.id AS member_id
  FROM team r JOIN workspace w ON w.organization_id = r.organization_id
  LEFT JOIN usergroup_user u ON u.workspace_id = w.id AND u.usergroup_id = r.slack_usergroup
  LEFT JOIN member m ON m.id = {MEMBER_OF_USER} AND m.organization_id = r.organization_id AND m.date_removed IS NULL
  WHERE w.id = %(workspace_id)s AND r.slack_usergroup = %(id)s AND r.sync_members
    AND (%(team_id)s::bigint IS NULL OR r.id = %(team_id)s)
)
"""  # noqa: S608 - composed of constants


def find_team_syncs(connection: Connection, group: StaleUsergroup, *, team_id: int | None = None) -> list[TeamSync]:
    """Returns what keeping the teams of a user group in step with it would change; with `team_id`, this team alone."""
    rows = connection.exec_driver_sql(
        f"WITH {_PEOPLE} SELECT t.organization_id, t.id, t.name, count(mt.member_id),"  # noqa: S608 - composed of constants
        "  count(mt.member_id) FILTER (WHERE NOT EXISTS"
        "   (SELECT FROM people p WHERE p.team_id = mt.team_id AND p.member_id = mt.member_id)),"
        "  (SELECT count(p.member_id) FROM people p WHERE p.team_id = t.id)"
        " FROM workspace w JOIN team t ON t.organization_id = w.organization_id"
        " LEFT JOIN member_team mt ON mt.organization_id = t.organization_id AND mt.team_id = t.id"
        " WHERE w.id = %(workspace_id)s AND t.id IN (SELECT team_id FROM people)"
        " GROUP BY t.id, t.organization_id ORDER BY t.id",
        {"workspace_id": group.workspace_id, "id": group.id, "team_id": team_id},
    )
    return [TeamSync(*row) for row in rows]


def find_synced_group(tx: Connection, organization_id: int, workspace_id: str, team_id: int) -> StaleUsergroup | None:
    """Returns the user group, locked, with which a team of this organization is kept in step."""
    row = tx.exec_driver_sql(
        "SELECT g.workspace_id, g.id, g.version FROM usergroup g JOIN team t ON t.slack_usergroup = g.id"
        " WHERE t.id = %(team_id)s AND t.organization_id = %(organization_id)s AND t.sync_members"
        "   AND g.workspace_id = %(workspace_id)s FOR NO KEY UPDATE OF g",
        {"team_id": team_id, "organization_id": organization_id, "workspace_id": workspace_id},
    ).first()
    return None if row is None else StaleUsergroup(*row)


def sync_teams(
    tx: Connection,
    group: StaleUsergroup,
    now: datetime,
    *,
    team_id: int | None = None,
    kept: Collection[int] = (),
    by: Actor | None = None,
) -> list[int]:
    """Makes the people of a user group the members of its teams. Returns the organizations in which somebody left.

    With `team_id`, that team alone changes. Nobody leaves the teams in `kept`. `by` is who has asked for it; None: it
    was kept in step.
    """
    parameters = {"workspace_id": group.workspace_id, "id": group.id, "team_id": team_id, "kept": list(kept)}
    joined = tx.exec_driver_sql(
        f"WITH {_PEOPLE}, joined AS (INSERT INTO member_team (organization_id, member_id, team_id)"  # noqa: S608
        "  SELECT organization_id, member_id, team_id FROM people WHERE member_id IS NOT NULL ON CONFLICT DO NOTHING"
        "  RETURNING organization_id, member_id, team_id)"
        " SELECT t.organization_id, t.slug, joined.member_id FROM joined"
        " JOIN team t ON t.organization_id = joined.organization_id AND t.id = joined.team_id"
        " ORDER BY t.id, joined.member_id",
        parameters,
    ).all()
    left = tx.exec_driver_sql(
        f"WITH {_PEOPLE}, left_team AS (DELETE FROM member_team mt"  # noqa: S608 - composed of constants
        "  WHERE (mt.organization_id, mt.team_id) IN (SELECT organization_id, team_id FROM people)"
        "   AND mt.team_id <> ALL(%(kept)s::bigint[]) AND NOT EXISTS"
        "   (SELECT FROM people p WHERE p.team_id = mt.team_id AND p.member_id = mt.member_id)"
        "  RETURNING mt.organization_id, mt.member_id, mt.team_id)"
        " SELECT t.organization_id, t.slug, l.member_id FROM left_team l"
        " JOIN team t ON t.organization_id = l.organization_id AND t.id = l.team_id"
        " ORDER BY t.id, l.member_id",
        parameters,
    ).all()
    changes: dict[int, list[AuditChange]] = {}
    for organization_id, team, member_id in joined:
        change = AuditChange(AuditAction.MEMBER_CHANGE, subject_member_id=member_id, after={"team": team})
        changes.setdefault(organization_id, []).append(change)
    for organization_id, team, member_id in left:
        change = AuditChange(AuditAction.MEMBER_CHANGE, subject_member_id=member_id, before={"team": team})
        changes.setdefault(organization_id, []).append(change)
    actor = by or Actor(AuditOrigin.SYNC, name=group.id, workspace_id=group.workspace_id)
    for organization_id, of_one in changes.items():
        record(tx, organization_id, actor, of_one, now)
    for organization_id in changes:
        moved = {member_id for of, _, member_id in (*joined, *left) if of == organization_id}
        homes.mark_due(tx, organization_id, now, moved)
    return sorted({organization_id for organization_id, *_ in left})


def save_problem(tx: Connection, group: StaleUsergroup, problem: str, now: datetime, retry: timedelta) -> None:
    """Records that a user group could not be read: it is tried again after `retry`."""
    tx.exec_driver_sql(
        "UPDATE usergroup SET problem = %(problem)s, asked_until = %(until)s"
        " WHERE workspace_id = %(workspace_id)s AND id = %(id)s",
        {"workspace_id": group.workspace_id, "id": group.id, "problem": problem, "until": now + retry},
    )


def expire_usergroup(tx: Connection, workspace_id: str, usergroup_id: str) -> bool:
    """Has a user group read again, because Slack reports a change. Returns False if the bot does not keep it."""
    wake_after_commit(tx, Work.USERGROUPS)
    return bool(
        tx.exec_driver_sql(
            "UPDATE usergroup SET date_checked = NULL, asked_until = NULL, version = version + 1"
            " WHERE workspace_id = %(workspace_id)s AND id = %(id)s",
            {"workspace_id": workspace_id, "id": usergroup_id},
        ).rowcount
    )


_ON_CALL = f"""
SELECT r.name, r.slug, r.oncall_usergroup, g.date_read IS NOT NULL, g.problem,
       ARRAY(SELECT DISTINCT m.name FROM usergroup_user u JOIN member m ON m.id = {MEMBER_OF_USER}
             WHERE u.workspace_id = g.workspace_id AND u.usergroup_id = g.id
               AND m.organization_id = r.organization_id AND m.date_removed IS NULL ORDER BY m.name),
       ARRAY(SELECT u.user_id FROM usergroup_user u WHERE u.workspace_id = g.workspace_id AND u.usergroup_id = g.id
             AND NOT EXISTS (SELECT FROM member m WHERE m.id = {MEMBER_OF_USER}
                             AND m.organization_id = r.organization_id AND m.date_removed IS NULL) ORDER BY u.user_id)
FROM team r LEFT JOIN usergroup g ON g.workspace_id = %(workspace_id)s AND g.id = r.oncall_usergroup
WHERE r.organization_id = %(organization_id)s AND r.id = ANY(%(team_ids)s) ORDER BY r.name, r.id
"""  # noqa: S608 - composed of constants


def list_on_call(
    connection: Connection, organization_id: int, workspace_id: str, team_ids: Sequence[int]
) -> list[OnCall]:
    """Returns who is on call for these teams, in the order of the teams' names."""
    rows = connection.exec_driver_sql(
        _ON_CALL, {"organization_id": organization_id, "workspace_id": workspace_id, "team_ids": list(team_ids)}
    )
    return [OnCall(*row) for row in rows]
