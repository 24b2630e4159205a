"""The tables. Shape, constraints and indexes live here; what is asked of them lives in `storage.queries`.

Every date is `timestamptz`. What must never happen twice is a unique constraint, not a hope in code.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can, and maps Python types to PostgreSQL's."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=True),
        int: BigInteger,
        str: Text,
        dict[str, Any]: JSONB,
    }


def _cascade(target: str) -> ForeignKey:
    return ForeignKey(target, ondelete="CASCADE")


# --- organizations and people ------------------------------------------------------------------------------


class Organization(Base):
    """Whose incidents these are. Nothing of one organization is visible from another's."""

    __tablename__ = "organization"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    open_membership: Mapped[bool] = mapped_column(server_default=text("false"))
    incidents: Mapped[bool] = mapped_column(server_default=text("true"))  # the feature switch
    shared_channels: Mapped[bool] = mapped_column(server_default=text("false"))
    # Counted up inside the transaction that inserts the incident: no gap, no repeat.
    last_identifier: Mapped[int] = mapped_column(server_default=text("0"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())


class Workspace(Base):
    """A Slack workspace; it belongs to one organization."""

    __tablename__ = "workspace"

    id: Mapped[str] = mapped_column(primary_key=True)  # Slack's team id, "T…"
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"), index=True)


class Team(Base):
    __tablename__ = "team"
    __table_args__ = (UniqueConstraint("organization_id", "slug"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"))
    slug: Mapped[str]
    name: Mapped[str]
    slack_usergroup: Mapped[str | None]  # "S…": a mention of that user group mentions this team


class Project(Base):
    __tablename__ = "project"
    __table_args__ = (UniqueConstraint("organization_id", "slug"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"))
    slug: Mapped[str]
    name: Mapped[str]
    # An alert that ends and fires again within this time is the same incident.
    quiet_minutes: Mapped[int] = mapped_column(server_default=text("5"))


class ProjectTeam(Base):
    """Whose project it is: the members of these teams see its incidents."""

    __tablename__ = "project_team"

    project_id: Mapped[int] = mapped_column(_cascade("project.id"), primary_key=True)
    team_id: Mapped[int] = mapped_column(_cascade("team.id"), primary_key=True, index=True)


class ProjectChannel(Base):
    """Where the cards of a project are posted, and to whom its incidents are thereby shown."""

    __tablename__ = "project_channel"

    project_id: Mapped[int] = mapped_column(_cascade("project.id"), primary_key=True)
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
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"))
    email: Mapped[str]
    name: Mapped[str]
    slack_user_id: Mapped[str | None]  # as written in the organization file
    role: Mapped[str] = mapped_column(server_default=text("'member'"))
    superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    date_removed: Mapped[datetime | None]


class MemberTeam(Base):
    __tablename__ = "member_team"

    member_id: Mapped[int] = mapped_column(_cascade("member.id"), primary_key=True)
    team_id: Mapped[int] = mapped_column(_cascade("team.id"), primary_key=True, index=True)


class SlackPerson(Base):
    """What Slack said of one of its users, and which member that makes them; asked again when it grows old.

    `member_id` is NULL for someone who was looked at and is no member. `apply` clears `date_checked` of a whole
    organization, because it may change who is who.
    """

    __tablename__ = "slack_person"

    workspace_id: Mapped[str] = mapped_column(_cascade("workspace.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)  # Slack's "U…" or "W…"
    member_id: Mapped[int | None] = mapped_column(_cascade("member.id"), index=True)
    home_team: Mapped[str | None]  # Slack's team id of the workspace that the person belongs to
    name: Mapped[str]  # how Slack shows them
    timezone: Mapped[str] = mapped_column(server_default=text("'UTC'"))  # IANA name
    date_checked: Mapped[datetime | None]


# --- incidents ---------------------------------------------------------------------------------------------


class Incident(Base):
    __tablename__ = "incident"
    __table_args__ = (
        UniqueConstraint("organization_id", "identifier"),
        # One unclosed incident for a dedup key: the same alert sent twice cannot open two.
        Index(
            "uq_incident_open_dedup_key",
            "organization_id",
            "dedup_key",
            unique=True,
            postgresql_where=text("dedup_key IS NOT NULL AND status <> 2"),
        ),
        # The newest of an organization, for who sees all of its projects.
        Index(
            "ix_incident_open",
            "organization_id",
            text("date_started DESC"),
            text("id DESC"),
            postgresql_where=text("status <> 2"),
        ),
        Index(
            "ix_incident_open_of_team",
            "organization_id",
            text("coalesce(team_id, 0)"),
            text("date_started DESC"),
            text("id DESC"),
            postgresql_where=text("status <> 2"),
        ),
        Index("ix_incident_status", "organization_id", "status", text("date_started DESC"), text("id DESC")),
        Index("ix_incident_all", "organization_id", text("date_started DESC"), text("id DESC")),
        Index(
            "ix_incident_title_trigram",
            "title",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops"},
        ),
        Index("ix_incident_organization_id_dedup_key", "organization_id", "dedup_key", "id"),
        CheckConstraint("status IN (1, 2, 10, 20)", name="status_known"),
        CheckConstraint("(status = 2) = (date_closed IS NOT NULL)", name="closed_has_date"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"))
    identifier: Mapped[int]  # counts from 1 in each organization
    title: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    status_method: Mapped[int] = mapped_column(SmallInteger)
    status_before_closing: Mapped[int | None] = mapped_column(SmallInteger)  # what `reopen` restores
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id", ondelete="SET NULL"), index=True)
    environment: Mapped[str | None]
    url: Mapped[str | None]  # http(s), where the alert comes from
    dedup_key: Mapped[str | None]
    source: Mapped[str | None]  # which alerting system, as the intake token says
    # What else the alert said: {"links": [[name, URL], …], "facts": [[name, text], …]}, in the order to show.
    details: Mapped[dict[str, Any] | None]
    date_started: Mapped[datetime]
    date_detected: Mapped[datetime]
    date_added: Mapped[datetime]
    date_closed: Mapped[datetime | None]


class IncidentProject(Base):
    """Which projects an incident concerns; carries what lists are ordered and cut by.

    `started`, `status` and `team_id` repeat the incident's, so that the newest incidents of one project are one
    short index scan however many others there are; they are written in the same transaction as the incident.
    """

    __tablename__ = "incident_project"
    __table_args__ = (
        Index(
            "ix_incident_project_open",
            "project_id",
            text("started DESC"),
            text("incident_id DESC"),
            postgresql_where=text("status <> 2"),
        ),
        Index(
            "ix_incident_project_open_of_team",
            "project_id",
            "team_id",
            text("started DESC"),
            text("incident_id DESC"),
            postgresql_where=text("status <> 2"),
        ),
        Index(
            "ix_incident_project_status",
            "project_id",
            "status",
            text("started DESC"),
            text("incident_id DESC"),
        ),
        Index("ix_incident_project_all", "project_id", text("started DESC"), text("incident_id DESC")),
    )

    incident_id: Mapped[int] = mapped_column(_cascade("incident.id"), primary_key=True)
    project_id: Mapped[int] = mapped_column(_cascade("project.id"), primary_key=True)
    started: Mapped[datetime]
    status: Mapped[int] = mapped_column(SmallInteger)
    team_id: Mapped[int] = mapped_column(server_default=text("0"))  # NO_TEAM for none


class IncidentSeen(Base):
    """Who has acknowledged an incident, and when last."""

    __tablename__ = "incident_seen"

    incident_id: Mapped[int] = mapped_column(_cascade("incident.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(_cascade("member.id"), primary_key=True, index=True)
    last_seen: Mapped[datetime]


class IncidentSubscription(Base):
    __tablename__ = "incident_subscription"

    incident_id: Mapped[int] = mapped_column(_cascade("incident.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(_cascade("member.id"), primary_key=True, index=True)
    date_added: Mapped[datetime]


class IncidentActivity(Base):
    """The log of an incident. Only comments ever change, and only by their author or a superuser.

    A comment's text is Slack's mrkdwn with `&`, `<` and `>` escaped, and `<person:ID>` and `<team:ID>` (ids of
    this database) where somebody is mentioned. A deleted comment keeps its row, emptied, so that what was
    posted of it elsewhere can be found and taken back; no reader is shown it.
    """

    __tablename__ = "incident_activity"
    __table_args__ = (
        Index(
            "ix_incident_activity_log",
            "incident_id",
            text("date_added DESC"),
            text("id DESC"),
            postgresql_where=text("date_deleted IS NULL"),
        ),
        CheckConstraint("type IN (1, 2, 3, 4)", name="type_known"),
        CheckConstraint("(comment IS NULL) OR (date_deleted IS NULL)", name="deleted_is_empty"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    incident_id: Mapped[int] = mapped_column(_cascade("incident.id"))
    member_id: Mapped[int | None] = mapped_column(ForeignKey("member.id", ondelete="SET NULL"), index=True)
    type: Mapped[int] = mapped_column(SmallInteger)
    value: Mapped[int | None] = mapped_column(SmallInteger)
    previous_value: Mapped[int | None] = mapped_column(SmallInteger)
    comment: Mapped[str | None]
    # What the author typed in a rich text field, with ids of this database in place of Slack's, to edit again.
    rich_text: Mapped[dict[str, Any] | None]
    date_added: Mapped[datetime]
    date_edited: Mapped[datetime | None]
    date_deleted: Mapped[datetime | None]


class CommentMention(Base):
    """Whom a comment mentions: one person or one team a row."""

    __tablename__ = "comment_mention"
    __table_args__ = (
        CheckConstraint("num_nonnulls(member_id, team_id) = 1", name="person_or_team"),
        UniqueConstraint("activity_id", "member_id", "team_id", postgresql_nulls_not_distinct=True),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    activity_id: Mapped[int] = mapped_column(_cascade("incident_activity.id"))
    member_id: Mapped[int | None] = mapped_column(_cascade("member.id"), index=True)
    team_id: Mapped[int | None] = mapped_column(_cascade("team.id"), index=True)


# --- what others must learn --------------------------------------------------------------------------------


class Outbox(Base):
    """One row for each activity that others must learn of, written in the transaction that made the activity.

    Delivery expands it to its recipients afterwards: a thousand subscribers cost the commenter nothing.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_waiting", "id", postgresql_where=text("date_expanded IS NULL")),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    activity_id: Mapped[int] = mapped_column(_cascade("incident_activity.id"), unique=True)
    date_added: Mapped[datetime]
    date_expanded: Mapped[datetime | None]


# --- twice in, once done -----------------------------------------------------------------------------------


class HandledRequest(Base):
    """What Slack sent and was carried out: a form, a command or an event that arrives again does nothing."""

    __tablename__ = "handled_request"

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)  # "view:V…", "trigger:…", "event:Ev…"
    date_added: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


# --- intake ------------------------------------------------------------------------------------------------


class IntakeToken(Base):
    """Lets one alerting system post for one organization, or for one project of it."""

    __tablename__ = "intake_token"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"), index=True)
    project_id: Mapped[int | None] = mapped_column(_cascade("project.id"), index=True)
    source: Mapped[str]
    token_hash: Mapped[str | None] = mapped_column(unique=True)  # SHA-256, hex; the token itself is not kept
    secret_encrypted: Mapped[str | None]  # Sentry signs with a secret that must stay readable
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used: Mapped[datetime | None]
    date_revoked: Mapped[datetime | None]


class AlertMemory(Base):
    """What an alert has said of itself, one row for each dedup key.

    With it, deliveries that come twice, late or in another order end in the same state; and whoever handles an
    alert holds its row, so that two replicas never handle the same one at once.
    """

    __tablename__ = "alert_memory"

    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"), primary_key=True)
    dedup_key: Mapped[str] = mapped_column(primary_key=True)
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incident.id", ondelete="SET NULL"), index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)  # the severity that it last fired with
    fired: Mapped[datetime | None]  # when the latest firing began, if the alert said so
    resolved: Mapped[datetime | None]  # when the latest one ended
    resolved_received: Mapped[datetime | None]  # when that was told
