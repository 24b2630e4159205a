"""Silences of alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade

_IN_FORCE = text("date_ended IS NULL")


class Silence(Base):
    """Alerts that make no cards until a moment. `incident.silence_id` names the one that matched an incident.

    It is in force until `date_ended`, which the tick sets once `ends` has passed, or a person before that.
    """

    __tablename__ = "silence"
    __table_args__ = (
        PrimaryKeyConstraint("organization_id", "id"),
        Index("ix_silence_in_force", "organization_id", "ends", postgresql_where=_IN_FORCE),
        Index("ix_silence_due", "ends", postgresql_where=_IN_FORCE),
        CheckConstraint("starts < ends", name="ends_after_start"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    id: Mapped[int] = mapped_column(Identity())
    workspace_id: Mapped[str] = mapped_column(cascade("workspace.id"), index=True)  # where its maker is told of its end
    project_id: Mapped[int | None] = mapped_column(cascade("project.id"), index=True)  # None: all that its maker sees
    # The one that it was made from; None: it was made for maintenance.
    incident_id: Mapped[int | None] = mapped_column(cascade("incident.id"), index=True)
    member_id: Mapped[int] = mapped_column(cascade("member.id"), index=True)  # who made it
    # What an alert must have: its source, and its key or some of its labels. {"source": …, "labels": {name: value, …}}
    matchers: Mapped[dict[str, Any]]
    reason: Mapped[str | None]
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    date_ended: Mapped[datetime | None]
    ended_by: Mapped[int | None] = mapped_column(ForeignKey("member.id", ondelete="SET NULL"), index=True)
