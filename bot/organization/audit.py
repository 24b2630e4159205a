"""What an organization file has changed, for the audit log: the organization as it was, compared with what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bot.incidents.audit import build_change
from bot.organization.calls import format_rules
from storage.audit_rows import AuditAction, AuditChange
from storage.queries.organization import MemberRow, OrganizationState, ProjectRow, TeamRow

_ORGANIZATION = (AuditAction.ORGANIZATION_ADD, AuditAction.ORGANIZATION_CHANGE, AuditAction.ORGANIZATION_CHANGE)
_TEAM = (AuditAction.TEAM_ADD, AuditAction.TEAM_CHANGE, AuditAction.TEAM_REMOVE)
_PROJECT = (AuditAction.PROJECT_ADD, AuditAction.PROJECT_CHANGE, AuditAction.PROJECT_REMOVE)
_MEMBER = (AuditAction.MEMBER_ADD, AuditAction.MEMBER_CHANGE, AuditAction.MEMBER_REMOVE)
_DIGEST = (AuditAction.DIGEST_ADD, AuditAction.DIGEST_CHANGE, AuditAction.DIGEST_REMOVE)
_NOTHING = OrganizationState(0, "", "", open_membership=False, incidents=False, shared_channels=False)
# Fields of `OrganizationState` that are compared one by one.
_PARTS = frozenset(
    {"id", "workspaces", "workspaces_of_slack", "workspaces_disconnected", "teams", "projects", "members", "digests"}
)


def build_changes(before: OrganizationState | None, after: OrganizationState) -> list[AuditChange]:
    """Everything that differs, each as one change. `before` is None for a new organization."""
    was = before or _NOTHING
    changes = [
        build_change(
            _ORGANIZATION, None if before is None else _describe(before), _describe(after), subject=after.slug
        ),
        *(AuditChange(AuditAction.WORKSPACE_REMOVE, one) for one in sorted(was.workspaces - after.workspaces)),
        *(AuditChange(AuditAction.WORKSPACE_ADD, one) for one in sorted(after.workspaces - was.workspaces)),
        *_compare(
            _TEAM,
            {slug: _describe_team(team) for slug, team in was.teams.items()},
            {slug: _describe_team(team) for slug, team in after.teams.items()},
        ),
        *_compare(
            _PROJECT,
            {slug: _describe_project(project) for slug, project in was.projects.items()},
            {slug: _describe_project(project) for slug, project in after.projects.items()},
        ),
        *_compare_members(was, after),
        *_compare(_DIGEST, _describe_digests(was), _describe_digests(after)),
    ]
    return [change for change in changes if change is not None]


def _compare(
    actions: tuple[AuditAction, AuditAction, AuditAction],
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
) -> Iterator[AuditChange | None]:
    for name in sorted(before.keys() | after.keys()):
        yield build_change(actions, before.get(name), after.get(name), subject=name)


def _compare_members(before: OrganizationState, after: OrganizationState) -> Iterator[AuditChange | None]:
    old = {member.id: _describe_member(member) for member in before.members}
    new = {member.id: _describe_member(member) for member in after.members}
    for member_id in sorted(old.keys() | new.keys()):
        yield build_change(_MEMBER, old.get(member_id), new.get(member_id), subject_member_id=member_id)


def _describe(state: OrganizationState) -> Mapping[str, Any]:
    return {name: getattr(state, name) for name in OrganizationState.__dataclass_fields__ if name not in _PARTS}


def _describe_team(team: TeamRow) -> Mapping[str, Any]:
    calls = None if team.calls is None else format_rules(team.calls)
    return {key: value for key, value in asdict(team).items() if key not in ("id", "slug")} | {"calls": calls}


def _describe_project(project: ProjectRow) -> Mapping[str, Any]:
    values = {key: value for key, value in asdict(project).items() if key not in ("id", "slug")}
    return values | {"teams": sorted(project.teams), "channels": sorted(project.channels)}


def _describe_member(member: MemberRow) -> Mapping[str, Any] | None:
    if member.removed is not None:
        return None
    values: dict[str, Any] = {"name": member.name, "email": member.email, "slack": member.slack, "role": member.role}
    values |= {"superuser": member.superuser, "teams": sorted(member.teams)}
    return values | {"changed_in_slack": member.changed_in_slack}  # the file ends it, also where nothing else differs


def _describe_digests(state: OrganizationState) -> dict[str, Mapping[str, Any]]:
    ids = {member.email: member.id for member in state.members}
    digests: dict[str, Mapping[str, Any]] = {}
    for digest in state.digests:
        values = {key: value for key, value in digest.values().items() if key != "owner"}
        digests[digest.name] = values | {"owner_id": ids.get(digest.owner), "paused": digest.paused or digest.stopped}
    return digests
