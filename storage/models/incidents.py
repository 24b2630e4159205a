"""Incidents, with their log and who has seen and follows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade


class Incident(Base):
    __tablename__ = "incident"
    __table_args__ = (
        UniqueConstraint("organization_id", "identifier"),
        # One unclosed incident for an alert: the same alert sent twice cannot open two.
        Index(
            "uq_incident_open_alert_key",
            "organization_id",
            "source",
            "alert_key",
            "alert_project_id",
            unique=True,
            postgresql_where=text("alert_key IS NOT NULL AND status <> 2"),
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
        # What was resolved lately, for digests.
        Index("ix_incident_closed", "organization_id", "date_closed", postgresql_where=text("status = 2")),
        Index(
            "ix_incident_title_trigram",
            "title",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops"},
        ),
        # Lists mostly look among what is open, a small part of everything.
        Index(
            "ix_incident_open_title_trigram",
            "title",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops"},
            postgresql_where=text("status <> 2"),
        ),
        Index("ix_incident_organization_id_dedup_key", "organization_id", "dedup_key", "id"),
        CheckConstraint("status IN (1, 2, 10, 20)", name="status_known"),
        CheckConstraint("(status = 2) = (date_closed IS NOT NULL)", name="closed_has_date"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    identifier: Mapped[int]  # counts from 1 in each organization
    title: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    status_method: Mapped[int] = mapped_column(SmallInteger)
    status_before_closing: Mapped[int | None] = mapped_column(SmallInteger)  # what `reopen` restores
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id", ondelete="SET NULL"), index=True)
    environment: Mapped[str | None]
    url: Mapped[str | None]  # http(s), where the alert comes from
    source: Mapped[str | None]  # which alerting system, as the intake token says
    # Which of its alerts: keys are of one project and source. No reference, an id is never used again.
    alert_project_id: Mapped[int | None]
    alert_key: Mapped[str | None]
    dedup_key: Mapped[str | None]  # what versions before "alerts01" know it by
    # What else the alert said: {"links": [[name, URL], …], "facts": [[name, text], …]}, in the order to show.
    details: Mapped[dict[str, Any] | None]
    date_started: Mapped[datetime]
    date_detected: Mapped[datetime]
    date_added: Mapped[datetime]
    date_closed: Mapped[datetime | None]


class IncidentProject(Base):
    """Which projects an incident concerns; carries what lists are ordered and cut by.

    `started`, `status`, `team_id` and `title` repeat the incident's, so that the newest incidents of one project are
    one short index scan however many others there are; they are written in the same transaction as the incident. A
    closed one may have no `title` here: a trigger sees to it when it is opened again.
    """

    __tablename__ = "incident_project"
    __table_args__ = (
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

    incident_id: Mapped[int] = mapped_column(cascade("incident.id"), primary_key=True)
    project_id: Mapped[int] = mapped_column(cascade("project.id"), primary_key=True)
    started: Mapped[datetime]
    status: Mapped[int] = mapped_column(SmallInteger)
    team_id: Mapped[int] = mapped_column(server_default=text("0"))  # NO_TEAM for none
    title: Mapped[str | None]


class IncidentSeen(Base):
    """Who has acknowledged an incident, and when last."""

    __tablename__ = "incident_seen"

    incident_id: Mapped[int] = mapped_column(cascade("incident.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(cascade("member.id"), primary_key=True, index=True)
    first_seen: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen: Mapped[datetime]


class IncidentSubscription(Base):
    __tablename__ = "incident_subscription"

    incident_id: Mapped[int] = mapped_column(cascade("incident.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(cascade("member.id"), primary_key=True, index=True)
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
    incident_id: Mapped[int] = mapped_column(cascade("incident.id"))
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
    activity_id: Mapped[int] = mapped_column(cascade("incident_activity.id"))
    member_id: Mapped[int | None] = mapped_column(cascade("member.id"), index=True)
    team_id: Mapped[int | None] = mapped_column(cascade("team.id"), index=True)
