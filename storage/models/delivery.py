"""What others must learn, and where it is sent: the outbox, destinations and their posts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade
from storage.values import PostKind


class Outbox(Base):
    """One row for each change to an incident that others must learn of, written in the transaction that makes it.

    Delivery expands it afterwards to the posts that it asks for, and deletes it: a thousand subscribers cost the
    commenter nothing.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_order", "of_alert", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    incident_id: Mapped[int] = mapped_column(cascade("incident.id"), index=True)
    # NULL: nothing was said, only its cards are to show the change (somebody has seen it).
    activity_id: Mapped[int | None] = mapped_column(cascade("incident_activity.id"), index=True)
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
    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"))
    channel_id: Mapped[str | None]  # a channel, "C…" or "G…"
    user_id: Mapped[str | None]  # or somebody who may be no member, "U…"
    member_id: Mapped[int | None] = mapped_column(cascade("member.id"), index=True)  # or a member
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
        Index("ix_post_ts", "ts", postgresql_where=text(f"ts IS NOT NULL AND kind = '{PostKind.CARD}'")),
        Index("ix_post_incident_id", "incident_id"),
        Index("ix_post_done", "date_done", postgresql_where=text("date_done IS NOT NULL")),
        CheckConstraint(f"kind IN ({', '.join(repr(str(kind)) for kind in PostKind)})", name="kind_known"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    destination_id: Mapped[int] = mapped_column(cascade("destination.id"))
    kind: Mapped[str]
    urgency: Mapped[int] = mapped_column(SmallInteger, server_default=text("2"))
    incident_id: Mapped[int | None] = mapped_column(cascade("incident.id"))
    activity_id: Mapped[int | None] = mapped_column(cascade("incident_activity.id"), index=True)
    card_id: Mapped[int | None] = mapped_column(cascade("post.id"))  # in whose thread it stands
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

    activity_id: Mapped[int] = mapped_column(cascade("incident_activity.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(cascade("member.id"), primary_key=True, index=True)
    # A person is told once that something happened, and once that it mentions them, when that came later.
    mention: Mapped[bool] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(cascade("post.id"), index=True)


class ThreadReply(Base):
    """A person's reply in a card's thread, and the comment that it became."""

    __tablename__ = "thread_reply"

    destination_id: Mapped[int] = mapped_column(cascade("destination.id"), primary_key=True)
    ts: Mapped[str] = mapped_column(primary_key=True)
    # NULL: it became no comment, or came to an end before it could.
    activity_id: Mapped[int | None] = mapped_column(cascade("incident_activity.id"), index=True)
    edited_ts: Mapped[str | None]  # of the latest edit that was followed
    gone: Mapped[bool] = mapped_column(server_default=text("false"))
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())


class MethodPace(Base):
    """When a method of Slack's may be called next in a workspace, where its limit is not a conversation's."""

    __tablename__ = "method_pace"

    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"), primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    # The moment up to which calls have been spoken for; a little ahead of now is a burst.
    spoken_for_until: Mapped[datetime]
