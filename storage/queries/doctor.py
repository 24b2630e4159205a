"""Queries of the `doctor` command."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import InstrumentedAttribute

from storage.models import (
    IntakeToken,
    Member,
    MemberSlackUser,
    Organization,
    Project,
    ProjectChannel,
    SlackPerson,
    Team,
    Workspace,
)


@dataclass(frozen=True, slots=True)
class OrganizationSetup:
    """How an organization is set up."""

    name: str
    incidents: bool
    shared_channels: bool
    members: int
    projects: int


@dataclass(frozen=True, slots=True)
class RefusedToken:
    """A token whose last delivery was refused, in whole or in part."""

    id: int
    source: str
    when: datetime
    why: str  # the field and what is wrong with it


@dataclass(frozen=True, slots=True)
class RoleRow:
    """The role that the bot connects with."""

    name: str
    quoted_name: str  # as SQL has it
    superuser: bool
    bypasses_row_security: bool  # by a privilege of its own
    owns_tables: bool  # itself, not as a member of another role or as a superuser
    first: bool  # the superuser whom initdb made: the server needs it, and keeps it a superuser
    may_migrate: bool  # owns the schema's tables, and may create others


def get_timeouts_ms(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Returns what the session has for settings that are times, in milliseconds."""
    rows = connection.exec_driver_sql(
        "SELECT name, setting FROM pg_settings WHERE name = ANY(%(names)s)", {"names": list(names)}
    )
    return {name: int(setting) for name, setting in rows}


def get_role(connection: Connection) -> RoleRow:
    """Returns the role of the session."""
    row = connection.exec_driver_sql(
        "SELECT r.rolname, quote_ident(r.rolname), r.rolsuper, r.rolbypassrls,"
        " EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass('alembic_version') AND c.relowner = r.oid),"
        " r.oid = 10, has_schema_privilege(current_schema(), 'CREATE')"
        " AND coalesce((SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c"
        "               WHERE c.oid = to_regclass('alembic_version')), true)"
        " FROM pg_roles r WHERE r.rolname = current_user"
    ).one()
    return RoleRow(*row)


def find_trigrams(connection: Connection) -> str | None:
    """Returns the version and schema of the extension pg_trgm; None if the database does not have it."""
    version: str | None = connection.exec_driver_sql(
        "SELECT e.extversion || ' in schema ' || n.nspname FROM pg_extension e"
        " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'"
    ).scalar()
    return version


def get_server_version(connection: Connection) -> str:
    """Returns "PostgreSQL" and the version of the server."""
    return f"PostgreSQL {connection.scalar(text('SHOW server_version'))}"


def count_tokens_by_source(connection: Connection) -> dict[str, int]:
    """Returns the number of tokens that are not revoked, by source."""
    query = (
        select(IntakeToken.source, func.count()).where(IntakeToken.date_revoked.is_(None)).group_by(IntakeToken.source)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def list_refused_tokens(connection: Connection) -> list[RefusedToken]:
    """Returns the tokens that are not revoked and whose last delivery was refused."""
    query = select(IntakeToken.id, IntakeToken.source, IntakeToken.last_refused, IntakeToken.last_refusal).where(
        IntakeToken.date_revoked.is_(None), IntakeToken.last_refused.is_not(None)
    )
    found = connection.execute(query.order_by(IntakeToken.id)).all()
    return [RefusedToken(id_, source, when, why or "") for id_, source, when, why in found if when is not None]


def get_encrypted_secrets(connection: Connection) -> dict[int, str]:
    """Returns the encrypted secrets of the tokens that are not revoked, by token id."""
    query = select(IntakeToken.id, IntakeToken.secret_encrypted).where(
        IntakeToken.date_revoked.is_(None), IntakeToken.secret_encrypted.is_not(None)
    )
    return {row[0]: str(row[1]) for row in connection.execute(query.order_by(IntakeToken.id))}


def group_workspaces(connection: Connection, workspace_ids: Collection[str]) -> list[set[str]]:
    """Returns all workspaces of each organization that has one of these, in the order of these."""
    rows = connection.execute(select(Workspace.id, Workspace.organization_id))
    organization_of = {row.id: row.organization_id for row in rows}
    groups: dict[int, set[str]] = {organization_of[id_]: set() for id_ in workspace_ids if id_ in organization_of}
    for id_, organization_id in organization_of.items():
        if organization_id in groups:
            groups[organization_id].add(id_)
    return list(groups.values())


def find_organization_setup(connection: Connection, workspace_id: str) -> OrganizationSetup | None:
    """Returns the setup of a workspace's organization, or None if the workspace is not known."""
    members = (
        select(func.count())
        .where(Member.organization_id == Organization.id, Member.date_removed.is_(None))
        .correlate(Organization)
        .scalar_subquery()
    )
    projects = (
        select(func.count()).where(Project.organization_id == Organization.id).correlate(Organization).scalar_subquery()
    )
    row = connection.execute(
        select(Organization.name, Organization.incidents, Organization.shared_channels, members, projects)
        .join(Workspace, Workspace.organization_id == Organization.id)
        .where(Workspace.id == workspace_id)
    ).first()
    return None if row is None else OrganizationSetup(row[0], row[1], row[2], row[3], row[4])


def list_unmatched_emails(connection: Connection, workspace_id: str) -> list[str]:
    """Returns the e-mails of members who have no Slack id there and whom no Slack user of the workspace matches yet.

    Such members can only be matched by e-mail.
    """
    known = select(SlackPerson.user_id).where(
        SlackPerson.member_id == Member.id, SlackPerson.workspace_id == workspace_id
    )
    given = select(MemberSlackUser.member_id).where(
        MemberSlackUser.organization_id == Member.organization_id,
        MemberSlackUser.member_id == Member.id,
        MemberSlackUser.workspace_id == workspace_id,
    )
    query = (
        select(Member.email)
        .join(Workspace, Workspace.organization_id == Member.organization_id)
        .where(
            Workspace.id == workspace_id,
            Member.slack_user_id.is_(None),
            Member.date_removed.is_(None),
            ~known.exists(),
            ~given.exists(),
        )
        .order_by(Member.id)
    )
    return list(connection.scalars(query))


def get_team_usergroups(connection: Connection, workspace_id: str) -> dict[str, list[str]]:
    """Returns the user groups of the teams: id to the slugs of their teams.

    None where the organization has several workspaces: it is not known to which of them a user group belongs.
    """
    mine = select(Workspace.organization_id).where(Workspace.id == workspace_id).scalar_subquery()
    workspaces = connection.scalar(select(func.count()).where(Workspace.organization_id == mine))
    return _get_usergroups(connection, workspace_id, Team.slack_usergroup) if workspaces == 1 else {}


def get_oncall_usergroups(connection: Connection, workspace_id: str) -> dict[str, list[str]]:
    """Returns the user groups that say who is on call in a workspace: id to the slugs of their teams."""
    return _get_usergroups(connection, workspace_id, Team.oncall_usergroup)


def _get_usergroups(
    connection: Connection, workspace_id: str, column: InstrumentedAttribute[str | None]
) -> dict[str, list[str]]:
    query = (
        select(column, Team.slug)
        .join(Workspace, Workspace.organization_id == Team.organization_id)
        .where(Workspace.id == workspace_id, column.is_not(None))
        .order_by(Team.slug)
    )
    found: dict[str, list[str]] = {}
    for usergroup, slug in connection.execute(query):
        if usergroup is not None:
            found.setdefault(usergroup, []).append(slug)
    return found


def get_channels(connection: Connection, workspace_id: str) -> dict[str, list[str]]:
    """Returns the channels that the projects of the workspace's organization name: channel id to project slugs."""
    query = (
        select(ProjectChannel.channel_id, Project.slug)
        .join(Project, Project.id == ProjectChannel.project_id)
        .join(Workspace, Workspace.organization_id == Project.organization_id)
        .where(Workspace.id == workspace_id)
        .order_by(ProjectChannel.channel_id, Project.slug)
    )
    found: dict[str, list[str]] = {}
    for channel_id, slug in connection.execute(query):
        found.setdefault(channel_id, []).append(slug)
    return found
