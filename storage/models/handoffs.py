"""Offers to take over incidents."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Identity, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within


class Handoff(Base):
    """What one member offers another to take over: one message, with one or several incidents."""

    __tablename__ = "handoff"
    __table_args__ = (
        cascade_within("workspace_id", "workspace"),
        PrimaryKeyConstraint("organization_id", "id"),
        ForeignKeyConstraint(
            ["organization_id", "giver_id"], ["member.organization_id", "member.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["organization_id", "receiver_id"], ["member.organization_id", "member.id"], ondelete="CASCADE"
        ),
        Index("ix_handoff_giver", "organization_id", "giver_id"),
        Index("ix_handoff_receiver", "organization_id", "receiver_id"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    id: Mapped[int] = mapped_column(Identity())
    workspace_id: Mapped[str] = mapped_column(index=True)  # where both are told
    giver_id: Mapped[int]
    receiver_id: Mapped[int]
    note: Mapped[str | None]  # as the log stores comments
    shift: Mapped[bool]  # all that the giver owned: the message also shows what else is open
    post_id: Mapped[int | None]  # the message to the receiver; no foreign key: it is forgotten when it is done
    date_added: Mapped[datetime]
    expires_at: Mapped[datetime]


class HandoffItem(Base):
    """An incident of an offer. At most one offer of an incident is open."""

    __tablename__ = "handoff_item"
    __table_args__ = (
        cascade_within("incident_id", "incident"),
        PrimaryKeyConstraint("organization_id", "handoff_id", "incident_id"),
        ForeignKeyConstraint(
            ["organization_id", "handoff_id"], ["handoff.organization_id", "handoff.id"], ondelete="CASCADE"
        ),
        Index("uq_handoff_item_offered", "incident_id", unique=True, postgresql_where=text("state = 'offered'")),
        Index("ix_handoff_item_incident", "incident_id"),
        CheckConstraint(
            "state IN ('offered', 'accepted', 'declined', 'withdrawn', 'lapsed', 'void')", name="state_known"
        ),
        CheckConstraint("(state = 'offered') = (date_ended IS NULL)", name="ended_has_date"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    handoff_id: Mapped[int]
    incident_id: Mapped[int]
    state: Mapped[str]
    date_ended: Mapped[datetime | None]
