"""When the owners of incidents are asked whether they are still on them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, PrimaryKeyConstraint, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within


class OwnerReminder(Base):
    """An incident with an owner, and when to look whether anything was heard from them.

    What the owner does meanwhile does not change the row: it is taken into account when the row is due.
    """

    __tablename__ = "owner_reminder"
    __table_args__ = (
        cascade_within("incident_id", "incident"),
        PrimaryKeyConstraint("organization_id", "incident_id"),
        CheckConstraint("step IN (0, 1, 2)", name="step_known"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    incident_id: Mapped[int] = mapped_column(index=True)
    due_at: Mapped[datetime] = mapped_column(index=True)
    step: Mapped[int] = mapped_column(SmallInteger)  # 0: nobody was told; 1: the owner was; 2: the team was
    heard_at: Mapped[datetime | None]  # when the owner had been heard of last, at that step
    post_key: Mapped[str | None] = mapped_column(index=True)  # of the message to the owner
