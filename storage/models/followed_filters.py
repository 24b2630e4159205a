"""What members follow before it exists: new incidents of a team, a project or a severity."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Identity,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within


class FollowedFilter(Base):
    """A member is told of each new incident that matches, and follows it then."""

    __tablename__ = "followed_filter"
    __table_args__ = (
        cascade_within("team_id", "team"),
        cascade_within("project_id", "project"),
        PrimaryKeyConstraint("organization_id", "id"),
        ForeignKeyConstraint(
            ["organization_id", "member_id"], ["member.organization_id", "member.id"], ondelete="CASCADE"
        ),
        UniqueConstraint(
            "organization_id",
            "member_id",
            "team_id",
            "project_id",
            "severity",
            name="uq_followed_filter",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("num_nonnulls(team_id, project_id, severity) > 0", name="has_condition"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    id: Mapped[int] = mapped_column(Identity())
    member_id: Mapped[int]
    team_id: Mapped[int | None] = mapped_column(index=True)
    project_id: Mapped[int | None] = mapped_column(index=True)
    severity: Mapped[int | None] = mapped_column(SmallInteger)  # a Status; None: any
    date_added: Mapped[datetime]
