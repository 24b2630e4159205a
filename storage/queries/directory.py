"""Look up teams, projects and members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from storage.models import Member, MemberTeam, Project, ProjectChannel, ProjectTeam, SlackPerson, Team
from storage.prefetch import Prefetch
from storage.queries import slack_ids
from storage.queries.access import build_with_caller


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A team or a project."""

    id: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class DirectoryMember:
    """A member."""

    id: int
    name: str
    email: str


def list_members(connection: Connection, organization_id: int) -> list[DirectoryMember]:
    """Returns the members of the organization who have not been removed."""
    query = select(Member.id, Member.name, Member.email).where(
        Member.organization_id == organization_id, Member.date_removed.is_(None)
    )
    return [DirectoryMember(*row) for row in connection.execute(query)]


def find_member_by_slack_id(
    connection: Connection, organization_id: int, workspace_id: str, user_id: str
) -> DirectoryMember | None:
    """Returns the member with this Slack id in the workspace who has not been removed, or None."""
    known = select(SlackPerson.member_id).where(
        SlackPerson.workspace_id == workspace_id, SlackPerson.user_id == user_id, SlackPerson.member_id.is_not(None)
    )
    by_file = slack_ids.find_member_of_user(connection, organization_id, workspace_id, user_id)
    row = connection.execute(
        select(Member.id, Member.name, Member.email).where(
            Member.organization_id == organization_id,
            Member.date_removed.is_(None),
            or_(Member.id == by_file, Member.id.in_(known)),
        )
    ).first()
    return None if row is None else DirectoryMember(*row)


def list_teams(connection: Connection, organization_id: int) -> list[DirectoryEntry]:
    """Returns the teams of the organization, ordered by slug."""
    query = select(Team.id, Team.slug, Team.name).where(Team.organization_id == organization_id).order_by(Team.slug)
    return [DirectoryEntry(*row) for row in connection.execute(query)]


def list_teams_with(
    connection: Connection, organization_id: int, team_ids: Iterable[int], project_ids: Sequence[int]
) -> list[DirectoryEntry]:
    """Returns these teams of the organization and those that own any of the projects, ordered by slug."""
    owns = select(ProjectTeam.team_id).where(
        ProjectTeam.organization_id == organization_id, ProjectTeam.project_id.in_(project_ids)
    )
    query = (
        select(Team.id, Team.slug, Team.name)
        .where(Team.organization_id == organization_id, or_(Team.id.in_(list(team_ids)), Team.id.in_(owns)))
        .order_by(Team.slug)
    )
    return [DirectoryEntry(*row) for row in connection.execute(query)]


def list_projects(connection: Connection, organization_id: int, project_ids: Sequence[int]) -> list[DirectoryEntry]:
    """Returns these projects, ordered by slug."""
    query = (
        select(Project.id, Project.slug, Project.name)
        .where(Project.organization_id == organization_id, Project.id.in_(project_ids))
        .order_by(Project.slug)
    )
    return [DirectoryEntry(*row) for row in connection.execute(query)]


_NAMES = build_with_caller(
    """
SELECT 'team' AS kind, t.id, t.slug, t.name FROM team t WHERE t.organization_id = %(organization_id)s
UNION ALL
SELECT 'project', p.id, p.slug, p.name FROM project p
WHERE p.organization_id = %(organization_id)s AND p.id = ANY(%(project_ids)s)
""",
    {},
)


def prefetch_names() -> Prefetch:
    """Returns the query for the teams of the organization and the projects that the caller sees.

    It is for a caller who has not been identified yet; see `get_prefetched_names`.
    """
    return Prefetch(_NAMES, {})


def get_prefetched_names(prefetched: Prefetch) -> tuple[list[DirectoryEntry], list[DirectoryEntry]]:
    """Returns the teams and the projects that `prefetch_names` read, each ordered by slug."""
    found = sorted(((kind, DirectoryEntry(*rest)) for kind, *rest in prefetched.rows), key=lambda one: one[1].slug)
    return [named for kind, named in found if kind == "team"], [named for kind, named in found if kind == "project"]


def filter_projects_by_channel(
    connection: Connection, organization_id: int, project_ids: Sequence[int], channel_id: str
) -> list[int]:
    """Returns those of the projects that name the channel."""
    query = select(ProjectChannel.project_id).where(
        ProjectChannel.organization_id == organization_id,
        ProjectChannel.channel_id == channel_id,
        ProjectChannel.project_id.in_(project_ids),
    )
    return list(connection.scalars(query))


def filter_projects_by_teams(
    connection: Connection, organization_id: int, project_ids: Sequence[int], team_ids: Iterable[int]
) -> list[int]:
    """Returns those of the projects that any of the teams owns."""
    query = (
        select(ProjectTeam.project_id)
        .where(
            ProjectTeam.organization_id == organization_id,
            ProjectTeam.project_id.in_(project_ids),
            ProjectTeam.team_id.in_(list(team_ids)),
        )
        .distinct()
    )
    return list(connection.scalars(query))


def find_team_by_usergroup(connection: Connection, organization_id: int, usergroup: str) -> DirectoryEntry | None:
    """Returns the team of a Slack user group; the first by slug if there are several."""
    row = connection.execute(
        select(Team.id, Team.slug, Team.name)
        .where(Team.organization_id == organization_id, Team.slack_usergroup == usergroup)
        .order_by(Team.slug)
    ).first()
    return None if row is None else DirectoryEntry(*row)


def get_member_names(connection: Connection, organization_id: int, member_ids: Iterable[int]) -> dict[int, str]:
    """Returns the names of these members by id."""
    query = select(Member.id, Member.name).where(
        Member.organization_id == organization_id, Member.id.in_(list(member_ids))
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def get_team_names(connection: Connection, organization_id: int, team_ids: Iterable[int]) -> dict[int, str]:
    """Returns the names of these teams by id."""
    query = select(Team.id, Team.name).where(Team.organization_id == organization_id, Team.id.in_(list(team_ids)))
    return {row[0]: row[1] for row in connection.execute(query)}


def get_member_ids_of_teams(connection: Connection, organization_id: int, team_ids: Iterable[int]) -> set[int]:
    """Returns the members of these teams who have not been removed."""
    query = (
        select(MemberTeam.member_id)
        .join(Member, (Member.organization_id == MemberTeam.organization_id) & (Member.id == MemberTeam.member_id))
        .where(
            MemberTeam.organization_id == organization_id,
            MemberTeam.team_id.in_(list(team_ids)),
            Member.date_removed.is_(None),
        )
    )
    return set(connection.scalars(query))


def list_team_names_of_member(connection: Connection, organization_id: int, member_id: int) -> list[str]:
    """Returns the names of a member's teams in alphabetical order."""
    query = (
        select(Team.name)
        .join(MemberTeam, (MemberTeam.organization_id == Team.organization_id) & (MemberTeam.team_id == Team.id))
        .where(Team.organization_id == organization_id, MemberTeam.member_id == member_id)
        .order_by(func.lower(Team.name))
    )
    return list(connection.scalars(query))
