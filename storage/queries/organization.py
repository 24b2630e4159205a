"""Reads what an organization file describes. `organization_changes` writes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from storage.member_rows import SlackIds
from storage.models import (
    IncidentProject,
    IntakeToken,
    Member,
    MemberTeam,
    Organization,
    Project,
    ProjectChannel,
    ProjectTeam,
    Team,
    Workspace,
)
from storage.queries.digests import FileDigest, list_file_digests
from storage.queries.slack_ids import get_ids_by_workspace

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A team as stored."""

    id: int
    slug: str
    name: str
    slack_usergroup: str | None
    sync_members: bool
    remind_owner_s: int | None
    oncall_usergroup: str | None
    oncall_channel: str | None
    timezone: str | None
    calls: list[dict[str, Any]] | None  # as `storage.call_rows.CallRule` serializes them


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project as stored, with its teams and channels."""

    id: int
    slug: str
    name: str
    teams: frozenset[str]  # slugs
    channels: frozenset[str]  # Slack ids
    quiet_minutes: int
    storm_cards: int
    storm_within_s: int


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member as stored. `removed` is set for a removed member."""

    id: int
    email: str
    name: str
    slack: SlackIds
    role: str
    superuser: bool
    removed: datetime | None
    changed_in_slack: bool
    teams: frozenset[str]  # slugs


@dataclass(frozen=True, slots=True)
class OrganizationState:
    """Everything about an organization that an organization file can set."""

    id: int
    slug: str
    name: str
    open_membership: bool
    incidents: bool
    shared_channels: bool
    acknowledge_reaction: str = ""
    resolve_reaction: str = ""
    retention_closed_incidents_s: int | None = None
    retention_audit_s: int | None = None
    workspaces: frozenset[str] = frozenset()  # Slack team ids
    workspaces_of_slack: frozenset[str] = frozenset()  # those of them that were connected in Slack
    workspaces_disconnected: frozenset[str] = frozenset()  # in Slack, by an owner; not among `workspaces`
    teams: Mapping[str, TeamRow] = field(default_factory=dict)  # by slug
    projects: Mapping[str, ProjectRow] = field(default_factory=dict)  # by slug
    members: Sequence[MemberRow] = ()  # including removed ones
    digests: Sequence[FileDigest] = ()  # only those that come from an organization file


def find_organization(connection: Connection, slug: str) -> OrganizationState | None:
    """Returns the organization with that slug, or None if there is none."""
    row = connection.execute(
        select(
            Organization.id,
            Organization.slug,
            Organization.name,
            Organization.open_membership,
            Organization.incidents,
            Organization.shared_channels,
            Organization.acknowledge_reaction,
            Organization.resolve_reaction,
            Organization.retention_closed_incidents_s,
            Organization.retention_audit_s,
        ).where(Organization.slug == slug)
    ).first()
    if row is None:
        return None
    id_ = row.id
    return OrganizationState(
        **row._mapping,
        workspaces=frozenset(
            connection.scalars(
                select(Workspace.id).where(Workspace.organization_id == id_, Workspace.date_disconnected.is_(None))
            )
        ),
        workspaces_of_slack=frozenset(
            connection.scalars(
                select(Workspace.id).where(
                    Workspace.organization_id == id_,
                    Workspace.connected_in_slack,
                    Workspace.date_disconnected.is_(None),
                )
            )
        ),
        workspaces_disconnected=frozenset(
            connection.scalars(
                select(Workspace.id).where(Workspace.organization_id == id_, Workspace.date_disconnected.is_not(None))
            )
        ),
        teams={
            t.slug: TeamRow(*t)
            for t in connection.execute(
                select(
                    Team.id,
                    Team.slug,
                    Team.name,
                    Team.slack_usergroup,
                    Team.sync_members,
                    Team.remind_owner_s,
                    Team.oncall_usergroup,
                    Team.oncall_channel,
                    Team.timezone,
                    Team.calls,
                ).where(Team.organization_id == id_)
            )
        },
        projects={p.slug: p for p in _projects(connection, id_)},
        members=_members(connection, id_),
        digests=list_file_digests(connection, id_),
    )


def _projects(connection: Connection, organization_id: int) -> list[ProjectRow]:
    teams = _list_by(
        connection,
        select(ProjectTeam.project_id, func.array_agg(Team.slug))
        .join(Team, (Team.organization_id == ProjectTeam.organization_id) & (Team.id == ProjectTeam.team_id))
        .where(ProjectTeam.organization_id == organization_id)
        .group_by(ProjectTeam.project_id),
    )
    channels = _list_by(
        connection,
        select(ProjectChannel.project_id, func.array_agg(ProjectChannel.channel_id))
        .where(ProjectChannel.organization_id == organization_id)
        .group_by(ProjectChannel.project_id),
    )
    rows = connection.execute(
        select(
            Project.id,
            Project.slug,
            Project.name,
            Project.quiet_minutes,
            Project.storm_cards,
            Project.storm_within_s,
        ).where(Project.organization_id == organization_id)
    )
    return [ProjectRow(i, s, n, teams.get(i, _NONE), channels.get(i, _NONE), *more) for i, s, n, *more in rows]


def _members(connection: Connection, organization_id: int) -> list[MemberRow]:
    teams = _list_by(
        connection,
        select(MemberTeam.member_id, func.array_agg(Team.slug))
        .join(Team, (Team.organization_id == MemberTeam.organization_id) & (Team.id == MemberTeam.team_id))
        .where(MemberTeam.organization_id == organization_id)
        .group_by(MemberTeam.member_id),
    )
    rows = connection.execute(
        select(
            Member.id,
            Member.email,
            Member.name,
            Member.slack_user_id,
            Member.role,
            Member.superuser,
            Member.date_removed,
            Member.changed_in_slack,
        )
        .where(Member.organization_id == organization_id)
        .order_by(Member.id)
    )
    ids = get_ids_by_workspace(connection, organization_id)
    return [
        MemberRow(i, email, name, ids.get(i, slack), role, superuser, removed, in_slack, teams.get(i, _NONE))
        for i, email, name, slack, role, superuser, removed, in_slack in rows
    ]


def _list_by(connection: Connection, statement: Select[int, Sequence[str]]) -> dict[int, frozenset[str]]:
    """What a statement lists for each id.

    It is read once for all: looked up for each row, it takes a plan that is wrong while the tables are new to the
    planner, and the square of the time.
    """
    return {id_: frozenset(listed) for id_, listed in connection.execute(statement)}


def get_workspace_owners(connection: Connection, workspaces: Collection[str], organization_slug: str) -> dict[str, str]:
    """Returns those of the workspaces that belong to another organization: workspace id to that organization's slug."""
    rows = connection.execute(
        select(Workspace.id, Organization.slug)
        .join(Organization, Organization.id == Workspace.organization_id)
        .where(
            Workspace.id.in_(workspaces), Organization.slug != organization_slug, Workspace.date_disconnected.is_(None)
        )
    )
    return {row.id: row.slug for row in rows}


def get_members_and_workspace(tx: Connection, organization_id: int) -> tuple[dict[str, int], str]:
    """Returns the ids of the organization's members by e-mail, and the id of its first workspace."""
    workspace_id = tx.scalars(
        select(Workspace.id)
        .where(Workspace.organization_id == organization_id)
        .order_by(Workspace.date_disconnected.is_not(None), Workspace.date_added.nulls_first(), Workspace.id)
    ).first()
    assert workspace_id is not None
    members = tx.execute(select(Member.email, Member.id).where(Member.organization_id == organization_id))
    return {row.email: row.id for row in members}, workspace_id


def count_incidents(connection: Connection, organization_id: int, project_ids: Collection[int]) -> dict[int, int]:
    """Returns the number of incidents of each project, by project id. Projects without incidents are left out."""
    in_project = and_(IncidentProject.organization_id == organization_id, IncidentProject.project_id.in_(project_ids))
    return _count(connection, IncidentProject.project_id, in_project)


def count_tokens(connection: Connection, organization_id: int, project_ids: Collection[int]) -> dict[int, int]:
    """Returns the number of unrevoked intake tokens by project id. Projects without any are left out."""
    in_use = and_(
        IntakeToken.organization_id == organization_id,
        IntakeToken.project_id.in_(project_ids),
        IntakeToken.date_revoked.is_(None),
    )
    return _count(connection, IntakeToken.project_id, in_use)


def _count(connection: Connection, project_id: Any, which: ColumnElement[bool]) -> dict[int, int]:
    rows = connection.execute(select(project_id, func.count()).where(which).group_by(project_id))
    return {row[0]: row[1] for row in rows}
