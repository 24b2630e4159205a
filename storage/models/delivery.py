"""The outbox of changes, the destinations of messages, and their posts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, filled_organization
from storage.values import PostKind

TRACEPARENT = text("nullif(current_setting('tocsin.traceparent', true), '')")


class Outbox(Base):
    """A change to an incident that others are notified of. The transaction that makes the change inserts the row.

    Delivery later expands the row to posts and deletes it, so that a commenter does not wait for a thousand
    subscribers.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        cascade_within("incident_id", "incident"),
        cascade_within("activity_id", "incident_activity"),
        Index("ix_outbox_order", "of_alert", "id"),
    )

    organization_id: Mapped[int] = filled_organization()
    id: Mapped[int] = mapped_column(Identity())
    incident_id: Mapped[int] = mapped_column(index=True)
    # NULL: there is no log entry; only the cards show the change (such as an acknowledgement).
    activity_id: Mapped[int | None] = mapped_column(index=True)
    # The entry was reported before, and its comment has changed since.
    again: Mapped[bool] = mapped_column(server_default=text("false"))
    # The members that a changed comment newly mentions. Only they are notified.
    member_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    # The channel in whose thread the comment was written. It is not posted there again.
    said_in: Mapped[str | None]
    # An alert made the change, or a person who changed many incidents at once. What people change singly does not wait
    # behind them.
    of_alert: Mapped[bool] = mapped_column(server_default=text("false"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    failures: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    retry_at: Mapped[datetime | None]
    # The span of what requested it (W3C's traceparent), which the transaction has named; NULL where nothing is traced.
    traceparent: Mapped[str | None] = mapped_column(server_default=TRACEPARENT)


class Destination(Base):
    """A conversation that the bot posts to. Pace, order and leases belong to it, not to single posts.

    A transaction that changes the waiting posts of a destination locks its row. No transaction holds the lock during
    a call to Slack.
    """

    __tablename__ = "destination"
    __table_args__ = (
        UniqueConstraint("workspace_id", "channel_id", "user_id", "member_id", postgresql_nulls_not_distinct=True),
        CheckConstraint("num_nonnulls(channel_id, user_id, member_id) = 1", name="one_target"),
        Index("ix_destination_due", "urgency", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        # The same in one workspace, for a process that serves few of many.
        Index(
            "ix_destination_workspace_due",
            "workspace_id",
            "urgency",
            "due_at",
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index("ix_destination_failed", "workspace_id", postgresql_where=text("failed_reason IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"))
    channel_id: Mapped[str | None]  # a channel, "C…" or "G…"
    user_id: Mapped[str | None]  # or a Slack user who may not be a member, "U…"
    member_id: Mapped[int | None] = mapped_column(cascade("member.id"), index=True)  # or a member
    conversation_id: Mapped[str | None]  # the direct message conversation of a person, "D…", once known
    # Pace: nothing is sent before this time.
    next_send_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # When the next post is due, and its urgency (0 is the most urgent); NULL: no post waits.
    due_at: Mapped[datetime | None]
    urgency: Mapped[int] = mapped_column(SmallInteger, server_default=text("3"))
    leased_until: Mapped[datetime | None]
    lease: Mapped[int] = mapped_column(server_default=text("0"))  # number of the latest lease; older ones are invalid
    failures: Mapped[int] = mapped_column(server_default=text("0"))  # consecutive temporary failures
    failed_reason: Mapped[str | None]  # Slack's code of an error that does not pass by itself
    failed_at: Mapped[datetime | None]
    last_ts: Mapped[str | None]  # ts of the latest known message there
    # Slack's data about a channel, and when it was read.
    name: Mapped[str | None]
    is_private: Mapped[bool | None]
    is_shared: Mapped[bool | None]  # with another company
    is_member: Mapped[bool | None]  # False: the bot receives no messages from it
    date_checked: Mapped[datetime | None]


class Post(Base):
    """A message that appears once in a conversation and shows the state of `wanted_version`.

    It waits for delivery while `wanted_version > drawn_version`, and is rendered from the database when it is sent. The
    metadata of the Slack message contains its id.
    """

    __tablename__ = "post"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        UniqueConstraint("organization_id", "id"),
        cascade_within("incident_id", "incident"),
        cascade_within("activity_id", "incident_activity"),
        cascade_within("card_id", "post"),
        Index(
            "ix_post_waiting",
            "destination_id",
            "urgency",
            "due_at",
            "id",
            postgresql_where=text("wanted_version > drawn_version"),
        ),
        Index(
            "uq_post_card",
            "incident_id",
            "destination_id",
            unique=True,
            postgresql_where=text(f"kind = '{PostKind.CARD}'"),
        ),
        Index(
            "uq_post_in_thread",
            "card_id",
            "activity_id",
            "kind",
            unique=True,
            postgresql_where=text("card_id IS NOT NULL"),
        ),
        # A person has at most one newest message about an incident.
        Index(
            "uq_post_newest",
            "incident_id",
            "destination_id",
            unique=True,
            postgresql_where=text(f"kind = '{PostKind.NEWEST}'"),
        ),
        Index(
            "ix_post_notification",
            "incident_id",
            "destination_id",
            postgresql_where=text(f"kind = '{PostKind.NOTIFICATION}'"),
        ),
        # How many cards of alerts a channel got lately.
        Index("ix_post_new_cards", "destination_id", "date_added", postgresql_where=text(f"kind = '{PostKind.CARD}'")),
        # How many messages a person got lately.
        Index(
            "ix_post_news",
            "destination_id",
            "date_added",
            postgresql_where=text("kind IN ('notification', 'newest', 'older', 'summary')"),
        ),
        Index("ix_post_ts", "ts", postgresql_where=text(f"ts IS NOT NULL AND kind = '{PostKind.CARD}'")),
        Index("ix_post_incident_id", "incident_id"),
        Index("ix_post_done", "date_done", postgresql_where=text("date_done IS NOT NULL")),
        CheckConstraint(f"kind IN ({', '.join(repr(str(kind)) for kind in PostKind)})", name="kind_known"),
    )

    organization_id: Mapped[int] = filled_organization()
    id: Mapped[int] = mapped_column(Identity())
    destination_id: Mapped[int] = mapped_column(cascade("destination.id"))
    kind: Mapped[str]
    urgency: Mapped[int] = mapped_column(SmallInteger, server_default=text("2"))
    incident_id: Mapped[int | None]
    activity_id: Mapped[int | None] = mapped_column(index=True)
    card_id: Mapped[int | None]  # the card in whose thread it is posted
    key: Mapped[str | None] = mapped_column(unique=True)  # a repeated request has the same key and adds no second post
    message: Mapped[dict[str, Any] | None]  # the message, if it is not rendered from the database
    wanted_version: Mapped[int] = mapped_column(server_default=text("1"))
    drawn_version: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    generation: Mapped[int] = mapped_column(server_default=text("1"))  # incremented when it is posted again
    # When, by Slack's clock, a posting with unknown outcome began. `after_ts` and `searched_to` limit its search.
    attempted_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    # From when, by Slack's clock, the search is reliable, if Slack answered with a server error. NULL: after every
    # timeout has passed.
    searchable_at: Mapped[datetime | None]
    after_ts: Mapped[str | None]
    searched_to: Mapped[str | None]
    slot_at: Mapped[datetime | None]  # its reserved time in the pace of the workspace, if it has one
    ts: Mapped[str | None]  # Slack's id of the message in the conversation
    drawn_hash: Mapped[str | None]  # of the shown contents; unchanged contents are not sent again
    failed_reason: Mapped[str | None]
    refused_at: Mapped[datetime | None]  # since when Slack has refused it with a temporary error; NULL: not refused
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
    # When a message was sent or failed that is not expected to change again. Its row is deleted later.
    date_done: Mapped[datetime | None]
    # Of what requested it, or its latest change; see `Outbox`.
    traceparent: Mapped[str | None] = mapped_column(server_default=TRACEPARENT)


class Notification(Base):
    """A notification of a person about a log entry. One message may contain several of the same incident."""

    __tablename__ = "notification"
    __table_args__ = (
        PrimaryKeyConstraint("activity_id", "member_id", "mention", "organization_id"),
        cascade_within("activity_id", "incident_activity"),
        cascade_within("member_id", "member"),
        cascade_within("post_id", "post"),
    )

    organization_id: Mapped[int] = filled_organization()
    activity_id: Mapped[int]
    member_id: Mapped[int] = mapped_column(index=True)
    # A person is notified once of the entry, and once more if an edit later mentions them.
    mention: Mapped[bool]
    post_id: Mapped[int] = mapped_column(index=True)


class ThreadReply(Base):
    """A person's reply in a card's thread, and the comment that was made from it."""

    __tablename__ = "thread_reply"
    __table_args__ = (
        PrimaryKeyConstraint("destination_id", "ts", "organization_id"),
        cascade_within("activity_id", "incident_activity"),
    )

    organization_id: Mapped[int] = filled_organization()
    destination_id: Mapped[int] = mapped_column(cascade("destination.id"))
    ts: Mapped[str]
    # NULL: no comment was made from it, or it was deleted before that.
    activity_id: Mapped[int | None] = mapped_column(index=True)
    edited_ts: Mapped[str | None]  # of the latest edit that was applied
    gone: Mapped[bool] = mapped_column(server_default=text("false"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())


class MethodPace(Base):
    """When a Slack method may next be called in a workspace, for limits that are not per conversation."""

    __tablename__ = "method_pace"

    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"), primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    # The time up to which calls are reserved. It may be a little ahead of now, which allows a burst.
    spoken_for_until: Mapped[datetime]
