"""Incidents with their log, acknowledgements and subscribers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, filled_organization, null_within
from storage.values import FIRST_OWN_TYPE, ActivityType


class Incident(Base):
    __tablename__ = "incident"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        UniqueConstraint("organization_id", "id"),
        null_within("team_id", "team"),
        UniqueConstraint("organization_id", "identifier"),
        ForeignKeyConstraint(
            ["organization_id", "owner_id"],
            ["member.organization_id", "member.id"],
            ondelete="SET NULL (owner_id)",
        ),
        # An alert has at most one open incident, so that the same alert sent twice cannot open two.
        Index(
            "uq_incident_open_alert_key",
            "organization_id",
            "source",
            "alert_key",
            "alert_project_id",
            unique=True,
            postgresql_where=text("alert_key IS NOT NULL AND status <> 2"),
        ),
        # The newest incidents of an organization, for members who see all of its projects.
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
        # What digests count of the open incidents, without reading their rows, which are scattered among all.
        Index(
            "ix_incident_open_counts",
            "organization_id",
            "id",
            postgresql_include=["status", "date_started", "owner_id", "silence_id"],
            postgresql_where=text("status <> 2"),
        ),
        Index("ix_incident_status", "organization_id", "status", text("date_started DESC"), text("id DESC")),
        Index("ix_incident_all", "organization_id", text("date_started DESC"), text("id DESC")),
        # Recently resolved incidents, for digests.
        Index("ix_incident_closed", "organization_id", "date_closed", postgresql_where=text("status = 2")),
        Index(
            "ix_incident_title_trigram",
            "title",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops"},
        ),
        # Lists mostly search open incidents, which are a small part of all.
        Index(
            "ix_incident_open_title_trigram",
            "title",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops"},
            postgresql_where=text("status <> 2"),
        ),
        Index(
            "ix_incident_owner",
            "owner_id",
            text("date_started DESC"),
            text("id DESC"),
            postgresql_where=text("owner_id IS NOT NULL"),
        ),
        Index("ix_incident_organization_id_dedup_key", "organization_id", "dedup_key", "id"),
        Index(
            "ix_incident_of_silence",
            "organization_id",
            "silence_id",
            "id",
            postgresql_where=text("silence_id IS NOT NULL"),
        ),
        # What is on legal hold, which is looked for with each batch of what is erased.
        Index("ix_incident_held", "organization_id", "identifier", postgresql_where=text("legal_hold")),
        CheckConstraint("status IN (1, 2, 10, 20)", name="status_known"),
        CheckConstraint("(status = 2) = (date_closed IS NOT NULL)", name="closed_has_date"),
    )

    id: Mapped[int] = mapped_column(Identity())
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    identifier: Mapped[int]  # counts from 1 in each organization
    title: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    status_method: Mapped[int] = mapped_column(SmallInteger)
    status_before_closing: Mapped[int | None] = mapped_column(SmallInteger)  # the status that `reopen` restores
    team_id: Mapped[int | None] = mapped_column(index=True)
    environment: Mapped[str | None]
    url: Mapped[str | None]  # http(s), where the alert comes from
    source: Mapped[str | None]  # the alerting system, from the intake token
    # The alert of that source: a key is unique within its project and source. No foreign key: ids are never reused.
    alert_project_id: Mapped[int | None]
    alert_key: Mapped[str | None]
    dedup_key: Mapped[str | None]  # the key in versions before "alerts01"
    # The alert's other contents: {"links": [[name, URL], …], "facts": [[name, text], …]}, in display order, and
    # {"labels": {name: value, …}} for silences to match.
    details: Mapped[dict[str, Any] | None]
    # The silence that matched it last, whether that has ended or not. No foreign key: ids are never reused.
    silence_id: Mapped[int | None]
    date_started: Mapped[datetime]
    date_detected: Mapped[datetime]
    date_added: Mapped[datetime]
    date_closed: Mapped[datetime | None]
    owner_id: Mapped[int | None]  # the member who works on it; stays when it is resolved
    owned_since: Mapped[datetime | None]
    legal_hold: Mapped[bool] = mapped_column(server_default=text("false"))  # retention keeps it


class IncidentProject(Base):
    """A project that an incident belongs to, with copies of the columns that lists sort and filter by.

    `started`, `status`, `team_id` and `title` are copied from the incident in the same transaction. With them, one
    short index scan finds the newest incidents of a project, however many other incidents there are. A closed incident
    may have no `title` here; a trigger sets it when the incident is reopened.
    """

    __tablename__ = "incident_project"
    __table_args__ = (
        PrimaryKeyConstraint("incident_id", "project_id", "organization_id"),
        cascade_within("incident_id", "incident"),
        cascade_within("project_id", "project"),
        Index(
            "ix_incident_project_open_titles",
            "project_id",
            text("started DESC"),
            text("incident_id DESC"),
            postgresql_include=["title"],
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

    organization_id: Mapped[int] = filled_organization()
    incident_id: Mapped[int]
    project_id: Mapped[int]
    started: Mapped[datetime]
    status: Mapped[int] = mapped_column(SmallInteger)
    team_id: Mapped[int] = mapped_column(server_default=text("0"))  # NO_TEAM for none
    title: Mapped[str | None]


class IncidentSeen(Base):
    """A member who acknowledged an incident, with the first and latest time."""

    __tablename__ = "incident_seen"
    __table_args__ = (
        cascade_within("incident_id", "incident"),
        cascade_within("member_id", "member"),
        # Who acknowledged lately, for digests.
        Index("ix_incident_seen_first", "organization_id", "first_seen", postgresql_include=["incident_id"]),
    )

    organization_id: Mapped[int]
    incident_id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(primary_key=True, index=True)
    first_seen: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen: Mapped[datetime]


class IncidentSubscription(Base):
    __tablename__ = "incident_subscription"
    __table_args__ = (
        PrimaryKeyConstraint("incident_id", "member_id", "organization_id"),
        cascade_within("incident_id", "incident"),
        cascade_within("member_id", "member"),
    )

    organization_id: Mapped[int] = filled_organization()
    incident_id: Mapped[int]
    member_id: Mapped[int] = mapped_column(index=True)
    date_added: Mapped[datetime]


class IncidentActivity(Base):
    """An entry of an incident's log. Only comments can change; only their author or a superuser may change them.

    The text of a comment is Slack's mrkdwn with `&`, `<` and `>` escaped. Mentions are stored as `<person:ID>` and
    `<team:ID>`, with ids of this database. The row of a deleted comment stays without its text, so that its copies in
    Slack can be found and removed. Readers do not see it.

    The version before "log01" takes types that it does not know for an error. So a trigger sets `date_deleted` of our
    own types, which hides such entries from that version. A later migration drops the trigger.
    """

    __tablename__ = "incident_activity"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        UniqueConstraint("organization_id", "id"),
        cascade_within("incident_id", "incident"),
        null_within("member_id", "member"),
        # All entries, for what is deleted with an incident.
        Index("ix_incident_activity_incident_id", "incident_id"),
        Index(
            "ix_incident_activity_log",  # of the version before "log01"
            "incident_id",
            text("date_added DESC"),
            text("id DESC"),
            postgresql_where=text("date_deleted IS NULL"),
        ),
        Index(
            "ix_incident_activity_readable",
            "incident_id",
            text("date_added DESC"),
            text("id DESC"),
            postgresql_where=text(f"date_deleted IS NULL OR type >= {FIRST_OWN_TYPE}"),
        ),
        # How incidents were opened and changed, for digests: what happened since a moment, whatever else there is.
        Index(
            "ix_incident_activity_changes_by_date",
            "organization_id",
            "date_added",
            postgresql_include=["incident_id", "type", "value", "previous_value"],
            postgresql_where=text("type IN (1, 2)"),
        ),
        Index(
            "ix_incident_activity_changes",  # of the version before "counts01"
            "incident_id",
            "date_added",
            postgresql_include=["type", "value", "previous_value"],
            postgresql_where=text("type IN (1, 2)"),
        ),
        CheckConstraint(f"type IN ({', '.join(str(int(kind)) for kind in ActivityType)})", name="type_known"),
        CheckConstraint(
            f"(comment IS NULL) OR (date_deleted IS NULL) OR (type >= {FIRST_OWN_TYPE})", name="deleted_is_empty"
        ),
    )

    organization_id: Mapped[int] = filled_organization()
    id: Mapped[int] = mapped_column(Identity())
    incident_id: Mapped[int]
    member_id: Mapped[int | None] = mapped_column(index=True)
    type: Mapped[int] = mapped_column(SmallInteger)
    value: Mapped[int | None] = mapped_column(SmallInteger)
    previous_value: Mapped[int | None] = mapped_column(SmallInteger)
    comment: Mapped[str | None]
    # The rich text that the author typed, for later edits. Its mentions use ids of this database, not of Slack.
    rich_text: Mapped[dict[str, Any] | None]
    date_added: Mapped[datetime]
    date_edited: Mapped[datetime | None]
    date_deleted: Mapped[datetime | None]
    # Who owned the incident after and before a change of its owner. No foreign keys: the rows of members stay.
    owner_id: Mapped[int | None]
    previous_owner_id: Mapped[int | None]
    call: Mapped[dict[str, Any] | None]  # who was called, as `storage.call_rows.CallRecord` serializes it


class CommentMention(Base):
    """A person or a team that a comment mentions."""

    __tablename__ = "comment_mention"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        cascade_within("activity_id", "incident_activity"),
        cascade_within("member_id", "member"),
        cascade_within("team_id", "team"),
        CheckConstraint("num_nonnulls(member_id, team_id) = 1", name="person_or_team"),
        UniqueConstraint("activity_id", "member_id", "team_id", postgresql_nulls_not_distinct=True),
    )

    organization_id: Mapped[int] = filled_organization()
    id: Mapped[int] = mapped_column(Identity())
    activity_id: Mapped[int]
    member_id: Mapped[int | None] = mapped_column(index=True)
    team_id: Mapped[int | None] = mapped_column(index=True)
