"""An organization as the organization file describes it: read whole, and written piece by piece."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, tuple_, update

from storage.models import (
    Incident,
    IncidentProject,
    IntakeToken,
    Member,
    MemberTeam,
    Organization,
    Project,
    ProjectChannel,
    ProjectTeam,
    SlackPerson,
    Team,
    Workspace,
)
from storage.queries.digests import FileDigest, digests_of_file
from storage.rows import IncidentHead
from storage.values import NO_TEAM, Status

# Any number would do; it must be the same in every version of the program.
_APPLY_LOCK = 0x70C52
# A command at a terminal may wait longer than a responder.
_APPLY_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A team as stored."""

    id: int
    slug: str
    name: str
    slack_usergroup: str | None


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project as stored, with what hangs on it."""

    id: int
    slug: str
    name: str
    teams: frozenset[str]  # slugs
    channels: frozenset[str]  # Slack ids
    quiet_minutes: int


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member as stored; one who left has `removed` set."""

    id: int
    email: str
    name: str
    slack: str | None
    role: str
    superuser: bool
    removed: datetime | None
    teams: frozenset[str]  # slugs


@dataclass(frozen=True, slots=True)
class OrganizationState:
    """All of an organization that an organization file speaks of."""

    id: int
    slug: str
    name: str
    open_membership: bool
    incidents: bool
    shared_channels: bool
    acknowledge_reaction: str = ""
    resolve_reaction: str = ""
    workspaces: frozenset[str] = frozenset()  # Slack team ids
    teams: Mapping[str, TeamRow] = field(default_factory=dict)  # by slug
    projects: Mapping[str, ProjectRow] = field(default_factory=dict)  # by slug
    members: Sequence[MemberRow] = ()  # also those who left
    digests: Sequence[FileDigest] = ()  # only those of an organization file


def lock_apply(tx: Connection) -> None:
    """Makes this transaction the only one that applies an organization file; waits for another to end."""
    tx.execute(text(f"SET LOCAL lock_timeout = '{_APPLY_TIMEOUT_S}s'"))
    tx.execute(text(f"SET LOCAL statement_timeout = '{_APPLY_TIMEOUT_S}s'"))
    tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPLY_LOCK})


def organization_state(connection: Connection, slug: str) -> OrganizationState | None:
    """The organization with that slug, None when there is none."""
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
        ).where(Organization.slug == slug)
    ).first()
    if row is None:
        return None
    id_ = row.id
    return OrganizationState(
        *row,
        workspaces=frozenset(connection.scalars(select(Workspace.id).where(Workspace.organization_id == id_))),
        teams={
            t.slug: TeamRow(*t)
            for t in connection.execute(
                select(Team.id, Team.slug, Team.name, Team.slack_usergroup).where(Team.organization_id == id_)
            )
        },
        projects={p.slug: p for p in _projects(connection, id_)},
        members=_members(connection, id_),
        digests=digests_of_file(connection, id_),
    )


def _projects(connection: Connection, organization_id: int) -> list[ProjectRow]:
    teams = (
        select(func.array_agg(Team.slug))
        .join(ProjectTeam, ProjectTeam.team_id == Team.id)
        .where(ProjectTeam.project_id == Project.id)
        .scalar_subquery()
    )
    channels = (
        select(func.array_agg(ProjectChannel.channel_id))
        .where(ProjectChannel.project_id == Project.id)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(Project.id, Project.slug, Project.name, teams, channels, Project.quiet_minutes).where(
            Project.organization_id == organization_id
        )
    )
    return [ProjectRow(i, s, n, frozenset(t or ()), frozenset(c or ()), quiet) for i, s, n, t, c, quiet in rows]


def _members(connection: Connection, organization_id: int) -> list[MemberRow]:
    teams = (
        select(func.array_agg(Team.slug))
        .join(MemberTeam, MemberTeam.team_id == Team.id)
        .where(MemberTeam.member_id == Member.id)
        .scalar_subquery()
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
            teams,
        )
        .where(Member.organization_id == organization_id)
        .order_by(Member.id)
    )
    return [
        MemberRow(i, email, name, slack, role, superuser, removed, frozenset(in_teams or ()))
        for i, email, name, slack, role, superuser, removed, in_teams in rows
    ]


def workspace_owners(connection: Connection, workspaces: Collection[str], organization_slug: str) -> dict[str, str]:
    """Which of these workspaces belong to other organizations, and to which: workspace id to slug."""
    rows = connection.execute(
        select(Workspace.id, Organization.slug)
        .join(Organization, Organization.id == Workspace.organization_id)
        .where(Workspace.id.in_(workspaces), Organization.slug != organization_slug)
    )
    return {row.id: row.slug for row in rows}


def insert_organization(tx: Connection, values: Mapping[str, Any]) -> int:
    """Adds an organization; gives its id."""
    return tx.scalars(insert(Organization).values(**values).returning(Organization.id)).one()


def update_organization(tx: Connection, organization_id: int, values: Mapping[str, Any]) -> None:
    """Changes columns of an organization."""
    tx.execute(update(Organization).where(Organization.id == organization_id).values(**values))


def add_workspaces(tx: Connection, organization_id: int, workspaces: Collection[str]) -> None:
    """Gives workspaces to an organization; none of them may belong to one already."""
    if workspaces:
        tx.execute(insert(Workspace), [{"id": w, "organization_id": organization_id} for w in workspaces])


def remove_workspaces(tx: Connection, organization_id: int, workspaces: Collection[str]) -> None:
    """Takes workspaces from an organization, with what is known of the people in them."""
    tx.execute(delete(Workspace).where(Workspace.organization_id == organization_id, Workspace.id.in_(workspaces)))


def _insert_entries(
    tx: Connection,
    table: type[Team | Project | Member],
    organization_id: int,
    entries: Sequence[Mapping[str, Any]],
) -> None:
    if entries:
        tx.execute(insert(table), [{"organization_id": organization_id, **entry} for entry in entries])


def insert_teams(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Adds teams, each a mapping of columns."""
    _insert_entries(tx, Team, organization_id, entries)


def insert_projects(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Adds projects, each a mapping of columns."""
    _insert_entries(tx, Project, organization_id, entries)


def insert_members(tx: Connection, organization_id: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Adds members, each a mapping of columns."""
    _insert_entries(tx, Member, organization_id, entries)


def update_team(tx: Connection, team_id: int, values: Mapping[str, Any]) -> None:
    """Changes columns of a team."""
    tx.execute(update(Team).where(Team.id == team_id).values(**values))


def update_project(tx: Connection, project_id: int, values: Mapping[str, Any]) -> None:
    """Changes columns of a project."""
    tx.execute(update(Project).where(Project.id == project_id).values(**values))


def update_members(tx: Connection, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Changes columns of members, by id. Members may swap e-mails or Slack ids among them."""
    # Both are unique: what changes is vacated first, so that no order of the updates can collide.
    vacate: dict[int, dict[str, Any]] = {}
    for id_, values in changes.items():
        if "email" in values:
            vacate.setdefault(id_, {})["email"] = f"changing-{id_}"
        if "slack_user_id" in values:
            vacate.setdefault(id_, {})["slack_user_id"] = None
    for id_, values in (*vacate.items(), *changes.items()):
        tx.execute(update(Member).where(Member.id == id_).values(**values))


def remove_members(tx: Connection, member_ids: Collection[int], now: datetime) -> None:
    """Dates the leaving of members; they keep their log, and lose their teams and their Slack identity."""
    tx.execute(update(Member).where(Member.id.in_(member_ids)).values(date_removed=now))
    tx.execute(delete(MemberTeam).where(MemberTeam.member_id.in_(member_ids)))
    tx.execute(update(SlackPerson).where(SlackPerson.member_id.in_(member_ids)).values(member_id=None))


def remove_teams(tx: Connection, team_ids: Collection[int]) -> None:
    """Deletes teams; the incidents that they owned are then nobody's."""
    tx.execute(update(IncidentProject).where(IncidentProject.team_id.in_(team_ids)).values(team_id=NO_TEAM))
    tx.execute(delete(Team).where(Team.id.in_(team_ids)))


def remove_projects(tx: Connection, project_ids: Collection[int]) -> None:
    """Deletes projects with their intake tokens; their incidents no longer concern them."""
    tx.execute(delete(Project).where(Project.id.in_(project_ids)))


def link_project_teams(tx: Connection, organization_id: int, pairs: Collection[tuple[str, str]]) -> None:
    """Adds teams to projects, both by slug."""
    if not pairs:
        return
    found = (
        select(Project.id, Team.id)
        .join(Team, Team.organization_id == Project.organization_id)
        .where(Project.organization_id == organization_id, tuple_(Project.slug, Team.slug).in_(pairs))
    )
    tx.execute(insert(ProjectTeam).from_select(["project_id", "team_id"], found))


def unlink_project_team(tx: Connection, project_id: int, team_id: int) -> None:
    """Takes a team from a project."""
    tx.execute(delete(ProjectTeam).where(ProjectTeam.project_id == project_id, ProjectTeam.team_id == team_id))


def link_channels(tx: Connection, organization_id: int, pairs: Collection[tuple[str, str]]) -> None:
    """Adds channels to projects: pairs of the project's slug and Slack's channel id."""
    if not pairs:
        return
    ids = _ids(tx, Project.slug, Project.id, Project.organization_id, organization_id)
    tx.execute(insert(ProjectChannel), [{"project_id": ids[p], "channel_id": c} for p, c in pairs])


def unlink_channel(tx: Connection, project_id: int, channel_id: str) -> None:
    """Takes a channel from a project."""
    tx.execute(
        delete(ProjectChannel).where(ProjectChannel.project_id == project_id, ProjectChannel.channel_id == channel_id)
    )


def link_member_teams(tx: Connection, organization_id: int, pairs: Collection[tuple[str, str]]) -> None:
    """Adds members to teams: pairs of the member's e-mail and the team's slug."""
    if not pairs:
        return
    members = _ids(tx, Member.email, Member.id, Member.organization_id, organization_id)
    teams = _ids(tx, Team.slug, Team.id, Team.organization_id, organization_id)
    tx.execute(insert(MemberTeam), [{"member_id": members[m], "team_id": teams[t]} for m, t in pairs])


def unlink_member_team(tx: Connection, member_id: int, team_id: int) -> None:
    """Takes a member from a team."""
    tx.execute(delete(MemberTeam).where(MemberTeam.member_id == member_id, MemberTeam.team_id == team_id))


def _ids(tx: Connection, name: Any, id_: Any, owner: Any, organization_id: int) -> dict[str, int]:
    return {row[0]: row[1] for row in tx.execute(select(name, id_).where(owner == organization_id))}


def owners_and_workspace(tx: Connection, organization_id: int) -> tuple[dict[str, int], str]:
    """The organization's members by e-mail, and its workspace."""
    workspace_id = tx.scalars(select(Workspace.id).where(Workspace.organization_id == organization_id)).first()
    assert workspace_id is not None
    return _ids(tx, Member.email, Member.id, Member.organization_id, organization_id), workspace_id


def forget_identities(tx: Connection, organization_id: int) -> None:
    """Has every Slack person of the organization looked at again at their next request."""
    tx.execute(
        update(SlackPerson)
        .where(SlackPerson.workspace_id.in_(select(Workspace.id).where(Workspace.organization_id == organization_id)))
        .values(date_checked=None)
    )


def open_incidents_only_of(connection: Connection, project_ids: Collection[int]) -> list[IncidentHead]:
    """The incidents that are not closed and concern no project but these, their rows locked."""
    of_these = select(IncidentProject.incident_id).where(
        IncidentProject.project_id.in_(project_ids), IncidentProject.status != Status.CLOSED
    )
    of_others = select(IncidentProject.incident_id).where(
        IncidentProject.incident_id == Incident.id, IncidentProject.project_id.not_in(project_ids)
    )
    rows = connection.execute(
        select(
            Incident.id,
            Incident.identifier,
            Incident.title,
            Incident.status,
            Incident.status_before_closing,
            Incident.date_started,
            Incident.date_closed,
        )
        .where(Incident.id.in_(of_these), ~of_others.exists())
        .order_by(Incident.id)
        .with_for_update()
    )
    return [
        IncidentHead(i, number, title, Status(status), None if before is None else Status(before), start, end)
        for i, number, title, status, before, start, end in rows
    ]


def count_incidents(connection: Connection, project_id: int) -> int:
    """How many incidents concern a project."""
    return connection.scalars(select(func.count()).where(IncidentProject.project_id == project_id)).one()


def count_tokens(connection: Connection, project_id: int) -> int:
    """How many intake tokens of a project are in use."""
    return connection.scalars(
        select(func.count()).where(IntakeToken.project_id == project_id, IntakeToken.date_revoked.is_(None))
    ).one()
