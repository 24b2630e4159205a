"""What was changed about members in Slack since the organization file was applied to them last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from bot.incidents.access import Access
from storage.audit_rows import AuditAction, AuditOrigin
from storage.member_rows import MemberDetails, SlackChange
from storage.queries import audit, directory, members
from storage.values import Role


def find_slack_changes(
    connection: Connection, access: Access, found: Sequence[MemberDetails]
) -> Mapping[int, SlackChange]:
    """What the next `apply` takes back about those of these members whom it names, by the member's id."""
    changed = {one.id: one for one in found if one.changed_in_slack}
    if not changed:
        return {}
    synced = members.list_synced_teams(connection, access.organization_id)
    histories = _read_histories(connection, access, changed)
    names = {one.slug: one.name for one in directory.list_teams(connection, access.organization_id)}
    changes = {one.id: _build_slack_change(one, histories[one.id], synced, names) for one in changed.values()}
    return {member_id: change for member_id, change in changes.items() if change is not None}


@dataclass(slots=True)
class _History:
    """What the audit log has of a member since the organization file was applied to them last."""

    of_file: bool = False  # the file has named them
    added: bool = False  # in Slack, or added again
    before: dict[str, Any] = field(default_factory=dict)  # values as the file had them, of those that were changed


def _read_histories(connection: Connection, access: Access, member_ids: Collection[int]) -> Mapping[int, _History]:
    histories = {member_id: _History() for member_id in member_ids}
    for member_id, origin, action, values in audit.list_member_entries(connection, access.organization_id, member_ids):
        one = histories[member_id]
        if origin == AuditOrigin.FILE:
            histories[member_id] = _History(of_file=action != AuditAction.MEMBER_REMOVE)
        elif origin == AuditOrigin.SLACK and action == AuditAction.MEMBER_ADD:
            one.added = True
        elif origin == AuditOrigin.SLACK and action == AuditAction.MEMBER_CHANGE:
            one.before = {**(values or {}), **one.before}
    return histories


def _build_slack_change(
    member: MemberDetails, history: _History, synced: Collection[str], names: Mapping[str, str]
) -> SlackChange | None:
    """What differs from the file; None if nothing does. `names` are those of the teams, by slug."""
    if history.added:
        return SlackChange(added=True)
    now = sorted(member.teams.keys() - synced)
    role, teams = history.before.get("role", member.role.value), history.before.get("teams")
    was = now if teams is None else sorted(set(teams) - set(synced))
    if history.before and role == member.role.value and was == now:
        return None
    return SlackChange(
        role=Role(role) if role != member.role.value and role in list(Role) else None,
        teams={slug: names.get(slug) for slug in was} if was != now else None,
    )


def is_as_in_file(connection: Connection, access: Access, member: MemberDetails) -> bool:
    """Whether a member whom the organization file has named is again as it has them."""
    history = _read_histories(connection, access, [member.id])[member.id]
    synced = members.list_synced_teams(connection, access.organization_id)
    return history.of_file and _build_slack_change(member, history, synced, {}) is None
