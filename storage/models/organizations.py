"""Organizations with their workspaces, teams, projects, members and Slack users."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, filled_organization


class Organization(Base):
    """The owner of incidents. Data of one organization is never visible in another."""

    __tablename__ = "organization"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    open_membership: Mapped[bool] = mapped_column(server_default=text("false"))
    incidents: Mapped[bool] = mapped_column(server_default=text("true"))  # whether incidents are enabled
    shared_channels: Mapped[bool] = mapped_column(server_default=text("false"))
    # Slack's names of the reactions on a card that acknowledge and resolve.
    acknowledge_reaction: Mapped[str] = mapped_column(server_default=text("'eyes'"))
    resolve_reaction: Mapped[str] = mapped_column(server_default=text("'white_check_mark'"))
    # How many seconds closed incidents and entries of the audit log are kept; NULL: for good.
    retention_closed_incidents_s: Mapped[int | None]
    retention_audit_s: Mapped[int | None]
    legal_hold: Mapped[bool] = mapped_column(server_default=text("false"))  # nothing is removed or erased
    # Incremented in the transaction that inserts the incident, so that numbers have no gaps and no repeats.
    last_identifier: Mapped[int] = mapped_column(server_default=text("0"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())


class Workspace(Base):
    """A Slack workspace. It belongs to one organization."""

    __tablename__ = "workspace"
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        Index("ix_workspace_paused", "id", postgresql_where=text("paused_reason IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)  # Slack's team id, "T…"
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"), index=True)
    # Why sending to the workspace is paused (such as a revoked token), and when it is retried.
    paused_reason: Mapped[str | None]
    paused_until: Mapped[datetime | None]
    # When it was added to its organization; NULL if that was before the column existed.
    date_added: Mapped[datetime | None] = mapped_column(server_default=func.now())
    # Connected by an owner in Slack, and not named by an organization file since then.
    connected_in_slack: Mapped[bool] = mapped_column(server_default=text("false"))
    # Since then the organization does not use it: nobody there is answered, and nothing is sent. What it has is kept.
    date_disconnected: Mapped[datetime | None]


class Team(Base):
    __tablename__ = "team"
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        UniqueConstraint("organization_id", "slug"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    slug: Mapped[str]
    name: Mapped[str]
    slack_usergroup: Mapped[str | None]  # "S…"; a mention of this user group mentions the team
    # After so many seconds without a sign of life, the owner of one of its incidents is asked; NULL: never.
    remind_owner_s: Mapped[int | None]
    # The people of `slack_usergroup` are the members of the team, kept in step.
    sync_members: Mapped[bool] = mapped_column(server_default=text("false"))
    oncall_usergroup: Mapped[str | None]  # "S…"; who is on call
    oncall_channel: Mapped[str | None]  # "C…"; where a change of who is on call is posted
    timezone: Mapped[str | None]  # IANA name; of quiet hours
    # Who is called for an incident, as `storage.call_rows.CallRule` serializes it. NULL: the organization file does not
    # say, and what a form has saved in `form_calls` counts.
    calls: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    form_calls: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))


class Project(Base):
    __tablename__ = "project"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        UniqueConstraint("organization_id", "id"),
        UniqueConstraint("organization_id", "slug"),
    )

    id: Mapped[int] = mapped_column(Identity())
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    slug: Mapped[str]
    name: Mapped[str]
    # An alert that ends and fires again within this time belongs to the same incident.
    quiet_minutes: Mapped[int] = mapped_column(server_default=text("5"))
    # More new cards than `storm_cards` within `storm_within_s` seconds become one message in a channel.
    storm_cards: Mapped[int] = mapped_column(server_default=text("5"))
    storm_within_s: Mapped[int] = mapped_column(server_default=text("60"))


class ProjectTeam(Base):
    """A team of a project. The team's members see the project's incidents."""

    __tablename__ = "project_team"
    __table_args__ = (
        PrimaryKeyConstraint("project_id", "team_id", "organization_id"),
        cascade_within("project_id", "project"),
        cascade_within("team_id", "team"),
    )

    organization_id: Mapped[int] = filled_organization()
    project_id: Mapped[int]
    team_id: Mapped[int] = mapped_column(index=True)


class ProjectChannel(Base):
    """A channel where a project's cards are posted. Its readers can therefore see the project's incidents."""

    __tablename__ = "project_channel"
    __table_args__ = (
        PrimaryKeyConstraint("project_id", "channel_id", "organization_id"),
        cascade_within("project_id", "project"),
    )

    organization_id: Mapped[int] = filled_organization()
    project_id: Mapped[int]
    channel_id: Mapped[str] = mapped_column(index=True)  # Slack's "C…"


class Member(Base):
    """A person in an organization. The row of a removed member stays, so that the log can show the name."""

    __tablename__ = "member"
    __table_args__ = (
        UniqueConstraint("organization_id", "email"),
        UniqueConstraint("organization_id", "id"),
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
    # In all workspaces, where the e-mail does not identify them; `member_slack_user` has those of single workspaces.
    slack_user_id: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default=text("'member'"))
    superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    # Added or changed by a command in Slack, and not named by an organization file since then.
    changed_in_slack: Mapped[bool] = mapped_column(server_default=text("false"))
    notify: Mapped[str] = mapped_column(server_default=text("'all'"))  # which notifications they receive
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    date_removed: Mapped[datetime | None]
    date_erased: Mapped[datetime | None]  # since then the row has neither their name nor what identifies them


class MemberSlackUser(Base):
    """The Slack id of a member in one workspace: as the organization file says, or as it was when they left."""

    __tablename__ = "member_slack_user"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "member_id"], ["member.organization_id", "member.id"], ondelete="CASCADE"
        ),
        cascade_within("workspace_id", "workspace"),
        UniqueConstraint("organization_id", "workspace_id", "slack_user_id"),
    )

    organization_id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    slack_user_id: Mapped[str]


class MemberTeam(Base):
    __tablename__ = "member_team"
    __table_args__ = (
        PrimaryKeyConstraint("member_id", "team_id", "organization_id"),
        cascade_within("member_id", "member"),
        cascade_within("team_id", "team"),
    )

    organization_id: Mapped[int] = filled_organization()
    member_id: Mapped[int]
    team_id: Mapped[int] = mapped_column(index=True)


class SlackPerson(Base):
    """Slack's data about a user, and the matching member. The bot asks Slack again when the data is old.

    `member_id` is NULL for a user who was checked and is not a member. `apply` clears `date_checked` in the whole
    organization, because it may change which member a user is.
    """

    __tablename__ = "slack_person"
    __table_args__ = (
        Index("ix_slack_person_home_due_at", "home_due_at", postgresql_where=text("home_due_at IS NOT NULL")),
    )

    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)  # Slack's "U…" or "W…"
    member_id: Mapped[int | None] = mapped_column(cascade("member.id"), index=True)
    home_team: Mapped[str | None]  # Slack's team id of the user's own workspace
    name: Mapped[str]  # the name that Slack displays
    timezone: Mapped[str] = mapped_column(server_default=text("'UTC'"))  # IANA name
    date_checked: Mapped[datetime | None]
    home_opened: Mapped[bool] = mapped_column(server_default=text("false"))
    home_due_at: Mapped[datetime | None]  # when Home is to be published anew; NULL: it is as it should be
    unmatched: Mapped[str | None]  # a value of `Unmatched`; NULL if the e-mail was usable
