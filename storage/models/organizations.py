"""Organizations: their workspaces, teams, projects and people, and how Slack knows those."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade


class Organization(Base):
    """Whose incidents these are. Nothing of one organization is visible from another's."""

    __tablename__ = "organization"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    open_membership: Mapped[bool] = mapped_column(server_default=text("false"))
    incidents: Mapped[bool] = mapped_column(server_default=text("true"))  # the feature switch
    shared_channels: Mapped[bool] = mapped_column(server_default=text("false"))
    # The reactions on a card that acknowledge and resolve, as Slack names them.
    acknowledge_reaction: Mapped[str] = mapped_column(server_default=text("'eyes'"))
    resolve_reaction: Mapped[str] = mapped_column(server_default=text("'white_check_mark'"))
    # Counted up inside the transaction that inserts the incident: no gap, no repeat.
    last_identifier: Mapped[int] = mapped_column(server_default=text("0"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())


class Workspace(Base):
    """A Slack workspace; it belongs to one organization."""

    __tablename__ = "workspace"

    id: Mapped[str] = mapped_column(primary_key=True)  # Slack's team id, "T…"
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), index=True)
    # Why nothing can be sent there at the moment (a revoked token), and until when it is not tried again.
    paused_reason: Mapped[str | None]
    paused_until: Mapped[datetime | None]
    # When it came to its organization; NULL: before that was kept.
    date_added: Mapped[datetime | None] = mapped_column(server_default=func.now())


class Team(Base):
    __tablename__ = "team"
    __table_args__ = (UniqueConstraint("organization_id", "slug"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    slug: Mapped[str]
    name: Mapped[str]
    slack_usergroup: Mapped[str | None]  # "S…": a mention of that user group mentions this team


class Project(Base):
    __tablename__ = "project"
    __table_args__ = (UniqueConstraint("organization_id", "slug"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    slug: Mapped[str]
    name: Mapped[str]
    # An alert that ends and fires again within this time is the same incident.
    quiet_minutes: Mapped[int] = mapped_column(server_default=text("5"))


class ProjectTeam(Base):
    """Whose project it is: the members of these teams see its incidents."""

    __tablename__ = "project_team"

    project_id: Mapped[int] = mapped_column(cascade("project.id"), primary_key=True)
    team_id: Mapped[int] = mapped_column(cascade("team.id"), primary_key=True, index=True)


class ProjectChannel(Base):
    """Where the cards of a project are posted, and to whom its incidents are thereby shown."""

    __tablename__ = "project_channel"

    project_id: Mapped[int] = mapped_column(cascade("project.id"), primary_key=True)
    channel_id: Mapped[str] = mapped_column(primary_key=True, index=True)  # Slack's "C…"


class Member(Base):
    """A person of an organization. One who left keeps the row, so that the log keeps its names."""

    __tablename__ = "member"
    __table_args__ = (
        UniqueConstraint("organization_id", "email"),
        Index(
            "uq_member_organization_id_slack_user_id",
            "organization_id",
            "slack_user_id",
            unique=True,
            postgresql_where=text("slack_user_id IS NOT NULL AND date_removed IS NULL"),
        ),
        CheckConstraint("email = lower(email)", name="email_lower"),
        CheckConstraint("role IN ('member', 'admin', 'manager', 'owner')", name="role_known"),
        CheckConstraint("notify IN ('all', 'mentions', 'none')", name="notify_known"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    email: Mapped[str]
    name: Mapped[str]
    slack_user_id: Mapped[str | None]  # as written in the organization file
    role: Mapped[str] = mapped_column(server_default=text("'member'"))
    superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    notify: Mapped[str] = mapped_column(server_default=text("'all'"))  # what they are told of
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    date_removed: Mapped[datetime | None]


class MemberTeam(Base):
    __tablename__ = "member_team"

    member_id: Mapped[int] = mapped_column(cascade("member.id"), primary_key=True)
    team_id: Mapped[int] = mapped_column(cascade("team.id"), primary_key=True, index=True)


class SlackPerson(Base):
    """What Slack said of one of its users, and which member that makes them; asked again when it grows old.

    `member_id` is NULL for someone who was looked at and is no member. `apply` clears `date_checked` of a whole
    organization, because it may change who is who.
    """

    __tablename__ = "slack_person"

    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)  # Slack's "U…" or "W…"
    member_id: Mapped[int | None] = mapped_column(cascade("member.id"), index=True)
    home_team: Mapped[str | None]  # Slack's team id of the workspace that the person belongs to
    name: Mapped[str]  # how Slack shows them
    timezone: Mapped[str] = mapped_column(server_default=text("'UTC'"))  # IANA name
    date_checked: Mapped[datetime | None]
    unmatched: Mapped[str | None]  # a value of `Unmatched`; NULL where the e-mail could be looked for
