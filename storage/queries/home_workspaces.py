"""Which of the workspaces of an organization a channel or a member is in, as pieces of SQL.

Slack's ids of channels are unique, so a channel is in one workspace. The destination of earlier messages says which. A
new destination is in the organization's first workspace; delivery moves it to another one where Slack does not find the
channel or the person there (`move_destination`).

A channel that Slack has shown in a workspace stays there when that is disconnected, and what is for it waits, unless a
connected workspace has the channel too. One that was only supposed there is looked for in the others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

# `{workspace_id}` is a workspace of the organization, and the answer where nothing else is known.
_OF_CHANNEL = """coalesce((
  SELECT h.workspace_id FROM workspace g JOIN workspace x ON x.organization_id = g.organization_id
  JOIN destination h ON h.workspace_id = x.id AND h.channel_id = {channel_id}
  WHERE g.id = {workspace_id} AND (x.date_disconnected IS NULL OR h.date_checked IS NOT NULL)
  ORDER BY x.date_disconnected IS NOT NULL, h.id LIMIT 1), {workspace_id})"""
_OF_MEMBER = """coalesce((
  SELECT h.workspace_id FROM workspace g JOIN workspace x ON x.organization_id = g.organization_id
  JOIN destination h ON h.workspace_id = x.id AND h.member_id = {member_id}
  WHERE g.id = {workspace_id} AND x.date_disconnected IS NULL AND h.failed_reason IS NULL ORDER BY h.id LIMIT 1), (
  SELECT k.workspace_id FROM workspace g JOIN workspace x ON x.organization_id = g.organization_id
  JOIN slack_person k ON k.workspace_id = x.id AND k.member_id = {member_id}
  WHERE g.id = {workspace_id} AND x.date_disconnected IS NULL
  ORDER BY k.date_checked DESC NULLS LAST, k.workspace_id LIMIT 1), (
  SELECT k.workspace_id FROM workspace g JOIN workspace x ON x.organization_id = g.organization_id
  JOIN member_slack_user k ON k.organization_id = x.organization_id AND k.workspace_id = x.id
    AND k.member_id = {member_id}
  WHERE g.id = {workspace_id} AND x.date_disconnected IS NULL
  ORDER BY x.date_added NULLS FIRST, x.id LIMIT 1), {workspace_id})"""


def first_workspace(organization_id: str) -> str:
    """SQL for the id of the first workspace of an organization; NULL if it has none."""
    return (
        f"(SELECT x.id FROM workspace x WHERE x.organization_id = {organization_id}"  # noqa: S608 - composed of constants
        " AND x.date_disconnected IS NULL ORDER BY x.date_added NULLS FIRST, x.id LIMIT 1)"
    )


def workspace_of_channel(channel_id: str, workspace_id: str) -> str:
    """SQL for the workspace of a channel; `workspace_id` is one of the organization's."""
    return _OF_CHANNEL.format(channel_id=channel_id, workspace_id=workspace_id)


def workspace_of_member(member_id: str, workspace_id: str) -> str:
    """SQL for the workspace in which a member is reached; `workspace_id` is one of the organization's."""
    return _OF_MEMBER.format(member_id=member_id, workspace_id=workspace_id)


def find_home(
    connection: Connection, workspace_id: str, *, channel_id: str | None = None, member_id: int | None = None
) -> str:
    """Returns the workspace of a channel or of a member; `workspace_id` is one of the organization's."""
    home = workspace_of_channel("%(channel)s::text", "%(workspace)s::text")
    if channel_id is None:
        home = workspace_of_member("%(member)s::bigint", "%(workspace)s::text")
    found: str = connection.exec_driver_sql(
        f"SELECT {home}", {"channel": channel_id, "member": member_id, "workspace": workspace_id}
    ).scalar_one()
    return found


def list_other_workspaces(connection: Connection, workspace_id: str) -> list[str]:
    """Returns the other workspaces of the same organization."""
    rows = connection.exec_driver_sql(
        "SELECT x.id FROM workspace g JOIN workspace x ON x.organization_id = g.organization_id"
        " WHERE g.id = %(id)s AND x.id <> g.id AND x.date_disconnected IS NULL ORDER BY x.date_added NULLS FIRST, x.id",
        {"id": workspace_id},
    )
    return list(rows.scalars())


@dataclass(frozen=True, slots=True)
class DigestHome:
    """Where the channel of a digest may be."""

    known: str | None  # where Slack has shown it before
    workspaces: Sequence[str]  # all that the organization has connected, the one that the digest names first


def list_homes_of_digests(
    connection: Connection, organization_ids: Collection[int], digest_ids: Collection[int]
) -> dict[int, DigestHome]:
    """Returns where the channels of those digests may be whose organization has several workspaces, by digest id."""
    rows = connection.exec_driver_sql(
        "SELECT d.id, (SELECT h.workspace_id FROM workspace x JOIN destination h ON h.workspace_id = x.id"
        "   AND h.channel_id = d.channel_id"
        "   WHERE x.organization_id = d.organization_id AND x.date_disconnected IS NULL AND h.date_checked IS NOT NULL"
        "   ORDER BY h.id LIMIT 1),"
        "  ARRAY(SELECT x.id FROM workspace x WHERE x.organization_id = d.organization_id"
        "   AND x.date_disconnected IS NULL ORDER BY x.id <> d.workspace_id, x.date_added NULLS FIRST, x.id)"
        " FROM digest d WHERE d.organization_id = ANY(%(organization_ids)s) AND d.id = ANY(%(ids)s)"
        " AND EXISTS (SELECT FROM workspace x"
        "  WHERE x.organization_id = d.organization_id AND x.id <> d.workspace_id)",
        {"organization_ids": list(organization_ids), "ids": list(digest_ids)},
    )
    return {id_: DigestHome(known, workspaces) for id_, known, workspaces in rows}


def move_digest(connection: Connection, organization_id: int, digest_id: int, workspace_id: str) -> None:
    """Has a digest be in another workspace of its organization. Its owner has another Slack id there."""
    connection.exec_driver_sql(
        "UPDATE digest SET workspace_id = %(workspace)s, owner_user_id = NULL"
        " WHERE organization_id = %(organization_id)s AND id = %(id)s",
        {"organization_id": organization_id, "workspace": workspace_id, "id": digest_id},
    )


def move_destination(tx: Connection, destination_id: int, workspace_id: str) -> bool:
    """Has a destination be in another workspace. The caller has locked it. Returns False if that has one already."""
    return bool(
        tx.exec_driver_sql(
            "UPDATE destination d SET workspace_id = %(workspace)s, conversation_id = NULL, date_checked = NULL,"
            " is_member = NULL, failures = 0, failed_reason = NULL"
            " WHERE d.id = %(id)s AND NOT EXISTS (SELECT FROM destination o WHERE o.workspace_id = %(workspace)s"
            "  AND o.channel_id IS NOT DISTINCT FROM d.channel_id AND o.user_id IS NOT DISTINCT FROM d.user_id"
            "  AND o.member_id IS NOT DISTINCT FROM d.member_id)",
            {"id": destination_id, "workspace": workspace_id},
        ).rowcount
    )


def claim_channel(tx: Connection, workspace_id: str, channel_id: str) -> None:
    """Records that a channel is in this workspace, where it was taken for one of another workspace of the same
    organization. One that is disconnected claims none.
    """
    row = tx.exec_driver_sql(
        "SELECT h.id FROM workspace g JOIN workspace x ON x.organization_id = g.organization_id AND x.id <> g.id"
        " JOIN destination h ON h.workspace_id = x.id AND h.channel_id = %(channel)s"
        " WHERE g.id = %(workspace)s AND g.date_disconnected IS NULL ORDER BY h.id LIMIT 1 FOR NO KEY UPDATE OF h",
        {"workspace": workspace_id, "channel": channel_id},
    ).first()
    if row is not None and move_destination(tx, row[0], workspace_id):
        # Whoever serves it right now asks in the workspace of before, and its result does not count.
        tx.exec_driver_sql(
            "UPDATE destination SET leased_until = NULL, lease = lease + 1"
            " WHERE workspace_id = %(workspace)s AND id = %(id)s",
            {"workspace": workspace_id, "id": row[0]},
        )
