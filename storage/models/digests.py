"""Digests and their fires."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within, filled_organization


class Digest(Base):
    """A scheduled report of open incidents in a channel. It shows what its owner may see at that time."""

    __tablename__ = "digest"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        UniqueConstraint("organization_id", "id"),
        cascade_within("owner_id", "member"),
        cascade_within("workspace_id", "workspace"),
        UniqueConstraint("organization_id", "name"),
        Index("ix_digest_next_fire_at", "next_fire_at", postgresql_where=text("next_fire_at IS NOT NULL")),
        Index("ix_digest_channel", "workspace_id", "channel_id"),
        CheckConstraint("(next_fire_at IS NULL) = (date_paused IS NOT NULL)", name="fires_or_paused"),
        CheckConstraint("grace_minutes BETWEEN 0 AND 1440", name="grace_sensible"),
    )

    id: Mapped[int] = mapped_column(Identity())
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    workspace_id: Mapped[str]
    channel_id: Mapped[str]  # Slack's "C…" or "G…"
    owner_id: Mapped[int] = mapped_column(index=True)
    owner_user_id: Mapped[str | None]  # the Slack id of the owner; None: from the organization file
    name: Mapped[str | None]  # the name in the organization file, if it comes from there
    cron: Mapped[str]  # five fields
    zone: Mapped[str]  # IANA name
    filters: Mapped[str]  # filters in the syntax of `list`
    skip_empty: Mapped[bool] = mapped_column(server_default=text("false"))
    picture: Mapped[bool] = mapped_column(server_default=text("true"))
    # How late it may still be sent, in minutes. With `default_grace`, `bot.digests.grace` decides instead, and only the
    # version before "digests02" reads the number.
    grace_minutes: Mapped[int] = mapped_column(server_default=text("10"))
    default_grace: Mapped[bool] = mapped_column(server_default=text("false"))
    next_fire_at: Mapped[datetime | None]  # None while it is paused
    last_fire_at: Mapped[datetime | None]  # the latest scheduled fire, for the version before "digests02"
    date_paused: Mapped[datetime | None]
    pause_reason: Mapped[str | None]  # a sentence; None where a person paused it
    date_added: Mapped[datetime]


class DigestFire(Base):
    """One publication of a digest. The transaction that advances the digest's next time inserts it.

    `state` is `due` until the fire is rendered, then `posted` (its message is enqueued), then `sent` or `failed`. Other
    final states are `silent` (nothing open), `missed` (too late to be sent, or no replica ran) and `stopped` (the
    digest was paused).
    """

    __tablename__ = "digest_fire"
    __table_args__ = (
        PrimaryKeyConstraint("id", "organization_id"),
        cascade_within("digest_id", "digest"),
        UniqueConstraint("digest_id", "fire_at"),
        Index("ix_digest_fire_unfinished", "id", postgresql_where=text("state IN ('due', 'posted')")),
        CheckConstraint(
            "state IN ('due', 'posted', 'sent', 'failed', 'silent', 'missed', 'stopped')", name="state_known"
        ),
    )

    organization_id: Mapped[int] = filled_organization()
    id: Mapped[int] = mapped_column(Identity())
    digest_id: Mapped[int]
    fire_at: Mapped[datetime]
    since: Mapped[datetime]  # start of the period that its news covers
    by_hand: Mapped[bool] = mapped_column(server_default=text("false"))  # a person requested it, outside the schedule
    state: Mapped[str] = mapped_column(server_default=text("'due'"))
    leased_until: Mapped[datetime | None]  # while a replica renders it
    post_id: Mapped[int | None]  # no foreign key: the post is deleted when it is done
    file_id: Mapped[str | None]  # Slack's file id of the picture
    picture_says: Mapped[str | None]  # the picture's contents as text
    reason: Mapped[str | None]  # why it was missed, failed or stopped: a sentence, or an error of Slack's
    date_added: Mapped[datetime] = mapped_column(server_default=func.now())
