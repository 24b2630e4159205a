"""The Slack ids by which members are known: one of the organization file for all workspaces (`member.slack_user_id`),
one for each workspace (`member_slack_user`), or the user whose e-mail matches (`slack_person`).

The id for a workspace comes before the one for all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from sqlalchemy import Connection

# `m` is the member; `{workspace_id}` is SQL for the workspace.
_OF_MEMBER = """coalesce(
  (SELECT k.slack_user_id FROM member_slack_user k
   WHERE k.organization_id = m.organization_id AND k.member_id = m.id AND k.workspace_id = {workspace_id}),
  m.slack_user_id,
  (SELECT p.user_id FROM slack_person p WHERE p.workspace_id = {workspace_id} AND p.member_id = m.id
   ORDER BY p.date_checked DESC NULLS LAST LIMIT 1))"""
_IN_FILE = """coalesce(
  (SELECT k.member_id FROM member_slack_user k JOIN member x ON x.organization_id = k.organization_id
     AND x.id = k.member_id AND x.date_removed IS NULL
   WHERE k.organization_id = {organization_id} AND k.workspace_id = {workspace_id} AND k.slack_user_id = {user_id}),
  (SELECT x.id FROM member x WHERE x.organization_id = {organization_id} AND x.slack_user_id = {user_id}
     AND x.date_removed IS NULL AND NOT EXISTS (SELECT FROM member_slack_user k
       WHERE k.organization_id = x.organization_id AND k.member_id = x.id AND k.workspace_id = {workspace_id})))"""
# Any id that the organization file gives member m, also for another workspace.
HAS_ID = (
    "(m.slack_user_id = {user_id} OR EXISTS (SELECT FROM member_slack_user k WHERE k.organization_id ="
    " m.organization_id AND k.member_id = m.id AND k.slack_user_id = {user_id}))"
)


def user_of_member(workspace_id: str) -> str:
    """SQL for the Slack id of member m in a workspace, which is SQL itself; NULL where none is known."""
    return _OF_MEMBER.format(workspace_id=workspace_id)


def member_in_file(organization_id: str, workspace_id: str, user_id: str) -> str:
    """SQL for the id of the member to whom the organization file gives this Slack id in the workspace; or NULL."""
    return _IN_FILE.format(organization_id=organization_id, workspace_id=workspace_id, user_id=user_id)


_MEMBER_OF_USER = "SELECT " + member_in_file("%(organization_id)s", "%(workspace_id)s", "%(user_id)s")


def find_member_of_user(connection: Connection, organization_id: int, workspace_id: str, user_id: str) -> int | None:
    """Returns the id of the member to whom the organization file gives this Slack id in the workspace."""
    found: int | None = connection.exec_driver_sql(
        _MEMBER_OF_USER, {"organization_id": organization_id, "workspace_id": workspace_id, "user_id": user_id}
    ).scalar()
    return found


def find_user_of_member(connection: Connection, workspace_id: str, member_id: int) -> str | None:
    """Returns the Slack id that the organization file gives a member for this very workspace."""
    found: str | None = connection.exec_driver_sql(
        "SELECT k.slack_user_id FROM workspace w JOIN member_slack_user k ON k.organization_id = w.organization_id"
        " AND k.workspace_id = w.id WHERE w.id = %(workspace_id)s AND k.member_id = %(member_id)s",
        {"workspace_id": workspace_id, "member_id": member_id},
    ).scalar()
    return found


def find_known_user(connection: Connection, organization_id: int, member_id: int) -> tuple[str, str] | None:
    """Returns workspace and id of the Slack user as whom a member was seen last; None if they never were."""
    row = connection.exec_driver_sql(
        "SELECT p.workspace_id, p.user_id FROM slack_person p JOIN workspace w ON w.id = p.workspace_id"
        " WHERE p.member_id = %(member_id)s AND w.organization_id = %(organization_id)s AND w.date_disconnected IS NULL"
        " ORDER BY p.date_checked DESC NULLS LAST, p.workspace_id LIMIT 1",
        {"member_id": member_id, "organization_id": organization_id},
    ).first()
    return None if row is None else (row[0], row[1])


def get_ids_by_workspace(
    connection: Connection, organization_id: int, member_ids: Collection[int] | None = None
) -> dict[int, dict[str, str]]:
    """Returns the ids by workspace of these members, or of all: member id to workspace id to Slack id."""
    rows = connection.exec_driver_sql(
        "SELECT member_id, workspace_id, slack_user_id FROM member_slack_user"
        " WHERE organization_id = %(organization_id)s"
        " AND (%(member_ids)s::bigint[] IS NULL OR member_id = ANY(%(member_ids)s)) ORDER BY member_id, workspace_id",
        {"organization_id": organization_id, "member_ids": None if member_ids is None else list(member_ids)},
    )
    found: dict[int, dict[str, str]] = {}
    for member_id, workspace_id, user_id in rows:
        found.setdefault(member_id, {})[workspace_id] = user_id
    return found


def replace_ids(tx: Connection, organization_id: int, ids: Mapping[str, Mapping[str, str]]) -> None:
    """Sets the ids by workspace of members, by their e-mail. Whoever had one of these ids loses it."""
    if not ids:
        return
    parameters = {"organization_id": organization_id, "emails": list(ids), "ids": json.dumps(ids)}
    tx.exec_driver_sql(
        "DELETE FROM member_slack_user k USING member m WHERE k.organization_id = %(organization_id)s"
        " AND m.organization_id = k.organization_id AND m.id = k.member_id"
        " AND (m.email = ANY(%(emails)s) OR (k.workspace_id, k.slack_user_id) IN"
        "  (SELECT o.key, o.value FROM jsonb_each(%(ids)s::jsonb) e, jsonb_each_text(e.value) o))",
        parameters,
    )
    tx.exec_driver_sql(
        "INSERT INTO member_slack_user (organization_id, member_id, workspace_id, slack_user_id)"
        " SELECT m.organization_id, m.id, o.key, o.value FROM jsonb_each(%(ids)s::jsonb) e,"
        "  jsonb_each_text(e.value) o, member m WHERE m.organization_id = %(organization_id)s AND m.email = e.key",
        parameters,
    )


def delete_ids(tx: Connection, organization_id: int, member_id: int) -> None:
    """Takes a member's ids by workspace away."""
    tx.exec_driver_sql(
        "DELETE FROM member_slack_user WHERE organization_id = %(organization_id)s AND member_id = %(member_id)s",
        {"organization_id": organization_id, "member_id": member_id},
    )


def keep_known_ids(tx: Connection, organization_id: int, member_ids: Collection[int]) -> None:
    """Stores the ids by which members were known, who then can be found and erased after they have left."""
    tx.exec_driver_sql(
        "INSERT INTO member_slack_user (organization_id, member_id, workspace_id, slack_user_id)"
        " SELECT m.organization_id, m.id, p.workspace_id, p.user_id FROM member m"
        " JOIN slack_person p ON p.member_id = m.id JOIN workspace w ON w.id = p.workspace_id"
        "  AND w.organization_id = m.organization_id"
        " WHERE m.organization_id = %(organization_id)s AND m.id = ANY(%(member_ids)s) ON CONFLICT DO NOTHING",
        {"organization_id": organization_id, "member_ids": list(member_ids)},
    )
