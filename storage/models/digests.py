"""Digests and the times that they were due."""

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
    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"))
    channel_id: Mapped[str]  # Slack's "C…" or "G…"
    owner_id: Mapped[int] = mapped_column(cascade("member.id"), index=True)
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
    digest_id: Mapped[int] = mapped_column(cascade("digest.id"))
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
