"""Digests for one member alone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within


class PersonalDigest(Base):
    """What is a member's own and what changed, by direct message on a schedule. A member has at most one."""

    __tablename__ = "personal_digest"
    __table_args__ = (
        cascade_within("workspace_id", "workspace"),
        PrimaryKeyConstraint("organization_id", "member_id"),
        ForeignKeyConstraint(
            ["organization_id", "member_id"], ["member.organization_id", "member.id"], ondelete="CASCADE"
        ),
        Index("ix_personal_digest_next_fire_at", "next_fire_at", postgresql_where=text("next_fire_at IS NOT NULL")),
        CheckConstraint("(next_fire_at IS NULL) = (date_paused IS NOT NULL)", name="fires_or_paused"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    member_id: Mapped[int]
    workspace_id: Mapped[str] = mapped_column(index=True)
    cron: Mapped[str]  # five fields
    zone: Mapped[str]  # IANA name
    next_fire_at: Mapped[datetime | None]  # None while it is paused
    since: Mapped[datetime]  # what changed after this is news
    date_paused: Mapped[datetime | None]
    date_added: Mapped[datetime]
