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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
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
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"), index=True)
    # Why nothing can be sent there at the moment (a revoked token), and until when it is not tried again.
    paused_reason: Mapped[str | None]
    paused_until: Mapped[datetime | None]
    # When it came to its organization; NULL: before that was kept.
    date_added: Mapped[datetime | None] = mapped_column(server_default=func.now())


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
        CheckConstraint("notify IN ('all', 'mentions', 'none')", name="notify_known"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"))
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
    unmatched: Mapped[str | None]  # a value of `Unmatched`; NULL where the e-mail could be looked for


# --- incidents ---------------------------------------------------------------------------------------------


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
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"))
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

    incident_id: Mapped[int] = mapped_column(_cascade("incident.id"), primary_key=True)
    project_id: Mapped[int] = mapped_column(_cascade("project.id"), primary_key=True)
    started: Mapped[datetime]
    status: Mapped[int] = mapped_column(SmallInteger)
    team_id: Mapped[int] = mapped_column(server_default=text("0"))  # NO_TEAM for none
    title: Mapped[str | None]


class IncidentSeen(Base):
    """Who has acknowledged an incident, and when last."""

    __tablename__ = "incident_seen"

    incident_id: Mapped[int] = mapped_column(_cascade("incident.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(_cascade("member.id"), primary_key=True, index=True)
    first_seen: Mapped[datetime] = mapped_column(server_default=func.now())
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
    """One row for each change to an incident that others must learn of, written in the transaction that makes it.

    Delivery expands it afterwards to the posts that it asks for, and deletes it: a thousand subscribers cost the
    commenter nothing.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_order", "of_alert", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    incident_id: Mapped[int] = mapped_column(_cascade("incident.id"), index=True)
    # NULL: nothing was said, only its cards are to show the change (somebody has seen it).
    activity_id: Mapped[int | None] = mapped_column(_cascade("incident_activity.id"), index=True)
    again: Mapped[bool] = mapped_column(server_default=text("false"))  # told before; its comment was changed
    # Whom a changed comment newly mentions: only they are told.
    member_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    # The channel in whose thread it can be read already, because it was said there.
    said_in: Mapped[str | None]
    # An alert made it, and not a person: whoever waits for a person's word does not wait for a storm.
    of_alert: Mapped[bool] = mapped_column(server_default=text("false"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    failures: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    retry_at: Mapped[datetime | None]


class Destination(Base):
    """A conversation that is posted to: pace, order and leases belong to it, not to single posts.

    Whoever changes what waits for a destination holds its row locked meanwhile, and nobody holds it while a call
    to Slack is under way.
    """

    __tablename__ = "destination"
    __table_args__ = (
        UniqueConstraint("workspace_id", "channel_id", "user_id", "member_id", postgresql_nulls_not_distinct=True),
        CheckConstraint("num_nonnulls(channel_id, user_id, member_id) = 1", name="one_target"),
        Index("ix_destination_due", "urgency", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_destination_failed", "workspace_id", postgresql_where=text("failed_reason IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(_cascade("workspace.id"))
    channel_id: Mapped[str | None]  # a channel, "C…" or "G…"
    user_id: Mapped[str | None]  # or somebody who may be no member, "U…"
    member_id: Mapped[int | None] = mapped_column(_cascade("member.id"), index=True)  # or a member
    conversation_id: Mapped[str | None]  # where messages to a person end up, "D…", once that is known
    # Pace: nothing is sent before this moment.
    next_send_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # When there is something to do next, and how urgent it is (0 is the most urgent); NULL: nothing waits.
    due_at: Mapped[datetime | None]
    urgency: Mapped[int] = mapped_column(SmallInteger, server_default=text("3"))
    leased_until: Mapped[datetime | None]
    lease: Mapped[int] = mapped_column(server_default=text("0"))  # counts leases: an old one is recognised
    failures: Mapped[int] = mapped_column(server_default=text("0"))  # in a row, of the kind that may pass
    failed_reason: Mapped[str | None]  # Slack's name for what will not pass by itself
    failed_at: Mapped[datetime | None]
    last_ts: Mapped[str | None]  # the latest message known there, by Slack's clock
    # What Slack said of a channel, and when.
    name: Mapped[str | None]
    is_private: Mapped[bool | None]
    is_shared: Mapped[bool | None]  # with another company
    is_member: Mapped[bool | None]  # False: nothing that is said there is heard
    date_checked: Mapped[datetime | None]


class Post(Base):
    """A message that is to stand in a conversation, once, and to show what `wanted_version` stands for.

    It is due while `wanted_version > drawn_version`, and drawn from the database when it is sent. Its id travels
    in the metadata of the Slack message.
    """

    __tablename__ = "post"
    __table_args__ = (
        Index(
            "ix_post_waiting",
            "destination_id",
            "urgency",
            "due_at",
            "id",
            postgresql_where=text("wanted_version > drawn_version"),
        ),
        Index("uq_post_card", "incident_id", "destination_id", unique=True, postgresql_where=text("kind = 'card'")),
        Index(
            "uq_post_in_thread",
            "card_id",
            "activity_id",
            "kind",
            unique=True,
            postgresql_where=text("card_id IS NOT NULL"),
        ),
        Index("ix_post_ts", "ts", postgresql_where=text("ts IS NOT NULL AND kind = 'card'")),
        Index("ix_post_incident_id", "incident_id"),
        Index("ix_post_done", "date_done", postgresql_where=text("date_done IS NOT NULL")),
        CheckConstraint("kind IN ('card', 'mirror', 'amendment', 'notification', 'digest', 'note')", name="kind_known"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    destination_id: Mapped[int] = mapped_column(_cascade("destination.id"))
    kind: Mapped[str]
    urgency: Mapped[int] = mapped_column(SmallInteger, server_default=text("2"))
    incident_id: Mapped[int | None] = mapped_column(_cascade("incident.id"))
    activity_id: Mapped[int | None] = mapped_column(_cascade("incident_activity.id"), index=True)
    card_id: Mapped[int | None] = mapped_column(_cascade("post.id"))  # in whose thread it stands
    key: Mapped[str | None] = mapped_column(unique=True)  # what asked for it, where that may ask again
    message: Mapped[dict[str, Any] | None]  # what it says, where that is not drawn from the database
    wanted_version: Mapped[int] = mapped_column(server_default=text("1"))
    drawn_version: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    generation: Mapped[int] = mapped_column(server_default=text("1"))  # counts up when it is posted anew
    # When (by Slack's clock) a posting was begun whose outcome is not known yet, and where it can be looked for.
    attempted_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    # From when on (by Slack's clock) it can be looked for, where Slack has answered, with an error of its own; NULL:
    # once every time-out has passed.
    searchable_at: Mapped[datetime | None]
    after_ts: Mapped[str | None]
    searched_to: Mapped[str | None]
    slot_at: Mapped[datetime | None]  # its place in the pace of a whole workspace, once it has one
    ts: Mapped[str | None]  # by which Slack knows the message
    drawn_hash: Mapped[str | None]  # of what it shows: the same is not sent again
    failed_reason: Mapped[str | None]
    refused_at: Mapped[datetime | None]  # since when Slack refuses it for a reason that may pass; NULL: it does not
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    date_done: Mapped[datetime | None]  # when a message that never changes was sent, or given up


class Notification(Base):
    """That somebody is told of an entry of the log; several of one incident may be told in one message."""

    __tablename__ = "notification"

    activity_id: Mapped[int] = mapped_column(_cascade("incident_activity.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(_cascade("member.id"), primary_key=True, index=True)
    # A person is told once that something happened, and once that it mentions them, when that came later.
    mention: Mapped[bool] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(_cascade("post.id"), index=True)


class ThreadReply(Base):
    """A person's reply in a card's thread, and the comment that it became."""

    __tablename__ = "thread_reply"

    destination_id: Mapped[int] = mapped_column(_cascade("destination.id"), primary_key=True)
    ts: Mapped[str] = mapped_column(primary_key=True)
    # NULL: it became no comment, or came to an end before it could.
    activity_id: Mapped[int | None] = mapped_column(_cascade("incident_activity.id"), index=True)
    edited_ts: Mapped[str | None]  # of the latest edit that was followed
    gone: Mapped[bool] = mapped_column(server_default=text("false"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())


class MethodPace(Base):
    """When a method of Slack's may be called next in a workspace, where its limit is not a conversation's."""

    __tablename__ = "method_pace"

    workspace_id: Mapped[str] = mapped_column(_cascade("workspace.id"), primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    # The moment up to which calls have been spoken for; a little ahead of now is a burst.
    spoken_for_until: Mapped[datetime]


# --- digests -----------------------------------------------------------------------------------------------


class Digest(Base):
    """What is open, told to a channel when it is time. Shows what its owner may see at that moment."""

    __tablename__ = "digest"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        Index("ix_digest_next_fire_at", "next_fire_at", postgresql_where=text("next_fire_at IS NOT NULL")),
        Index("ix_digest_channel", "workspace_id", "channel_id"),
        CheckConstraint("(next_fire_at IS NULL) = (date_paused IS NOT NULL)", name="fires_or_paused"),
        CheckConstraint("grace_minutes BETWEEN 0 AND 1440", name="grace_sensible"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"))
    workspace_id: Mapped[str] = mapped_column(_cascade("workspace.id"))
    channel_id: Mapped[str]  # Slack's "C…" or "G…"
    owner_id: Mapped[int] = mapped_column(_cascade("member.id"), index=True)
    owner_user_id: Mapped[str | None]  # as whom the owner came; None: from the organization file
    name: Mapped[str | None]  # in the organization file
    cron: Mapped[str]  # five fields
    zone: Mapped[str]  # IANA name
    filters: Mapped[str]  # words of `list`
    skip_empty: Mapped[bool] = mapped_column(server_default=text("false"))
    picture: Mapped[bool] = mapped_column(server_default=text("true"))
    # How late it may still be sent, when nothing ran at its time.
    grace_minutes: Mapped[int] = mapped_column(server_default=text("10"))
    next_fire_at: Mapped[datetime | None]  # None while it is paused
    last_fire_at: Mapped[datetime | None]  # by the schedule
    date_paused: Mapped[datetime | None]
    pause_reason: Mapped[str | None]  # a sentence; None where a person paused it
    date_added: Mapped[datetime]


class DigestFire(Base):
    """One time that a digest is told: written by the transaction that moves the digest's next time on.

    `due` until it has been drawn, then `posted` (it is with delivery), then `sent` or `failed`; or `silent`
    (nothing open), `missed` (drawn too late) or `stopped` (the digest was paused instead).
    """

    __tablename__ = "digest_fire"
    __table_args__ = (
        UniqueConstraint("digest_id", "fire_at"),
        Index("ix_digest_fire_unfinished", "id", postgresql_where=text("state IN ('due', 'posted')")),
        CheckConstraint(
            "state IN ('due', 'posted', 'sent', 'failed', 'silent', 'missed', 'stopped')", name="state_known"
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    digest_id: Mapped[int] = mapped_column(_cascade("digest.id"))
    fire_at: Mapped[datetime]
    since: Mapped[datetime]  # what is told as news began here
    by_hand: Mapped[bool] = mapped_column(server_default=text("false"))  # asked for, beside the schedule
    state: Mapped[str] = mapped_column(server_default=text("'due'"))
    leased_until: Mapped[datetime | None]  # while a replica draws it
    post_id: Mapped[int | None]  # of the post at delivery; no reference: that row goes when it is done
    file_id: Mapped[str | None]  # the picture, as Slack knows it
    picture_says: Mapped[str | None]  # the same in words
    reason: Mapped[str | None]  # why it failed or stopped
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())


# --- twice in, once done -----------------------------------------------------------------------------------


class HandledRequest(Base):
    """What Slack sent and was carried out: a form, a command or an event that arrives again does nothing."""

    __tablename__ = "handled_request"

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)  # "view:V…", "trigger:…", "event:Ev…"
    date_added: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class FormText(Base):
    """A text that an open form needs when it is submitted, too long for the form's private metadata."""

    __tablename__ = "form_text"

    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"), primary_key=True)
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    member_id: Mapped[int] = mapped_column(_cascade("member.id"), index=True)  # who opened the form
    text: Mapped[str]
    date_added: Mapped[datetime] = mapped_column(index=True)


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
    # When the last delivery was refused, in whole or in part, and why; NULL when all of it was taken.
    last_refused: Mapped[datetime | None]
    last_refusal: Mapped[str | None]
    date_revoked: Mapped[datetime | None]


class AlertMemory(Base):
    """What an alert has said of itself, one row for each alert: source, project and key.

    With it, deliveries that come twice, late or in another order end in the same state; and whoever handles an
    alert holds its row, so that two replicas never handle the same one at once.
    """

    __tablename__ = "alert_memory"
    __table_args__ = (
        Index("uq_alert_memory_alert_key", "organization_id", "source", "alert_key", "project_id", unique=True),
    )

    organization_id: Mapped[int] = mapped_column(_cascade("organization.id"), primary_key=True)
    dedup_key: Mapped[str] = mapped_column(primary_key=True)  # what versions before "alerts01" know it by
    # NULL in rows that those versions wrote of alerts without an incident.
    source: Mapped[str | None]
    project_id: Mapped[int | None]
    alert_key: Mapped[str | None]
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incident.id", ondelete="SET NULL"), index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)  # the severity that it last fired with
    fired: Mapped[datetime | None]  # when the latest firing began, if the alert said so
    resolved: Mapped[datetime | None]  # when the latest one ended
    resolved_received: Mapped[datetime | None]  # when that was told
    resolved_started: Mapped[datetime | None]  # when that firing began, if its end said so
    heard: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)  # when a word of it last came, about
