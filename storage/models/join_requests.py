"""People who are no members and ask to be let in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Identity, Index, PrimaryKeyConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade, cascade_within


class JoinRequest(Base):
    """A Slack user who asks to become a member. At most one request of each is open; a manager decides it."""

    __tablename__ = "join_request"
    __table_args__ = (
        cascade_within("workspace_id", "workspace"),
        PrimaryKeyConstraint("organization_id", "id"),
        ForeignKeyConstraint(
            ["organization_id", "former_member_id"],
            ["member.organization_id", "member.id"],
            ondelete="SET NULL (former_member_id)",
        ),
        ForeignKeyConstraint(
            ["organization_id", "decided_by_id"],
            ["member.organization_id", "member.id"],
            ondelete="SET NULL (decided_by_id)",
        ),
        Index("ix_join_request_user", "organization_id", "workspace_id", "user_id"),
        Index("ix_join_request_former_member", "organization_id", "former_member_id"),
        Index("ix_join_request_decided_by", "organization_id", "decided_by_id"),
        Index(
            "uq_join_request_open",
            "organization_id",
            "workspace_id",
            "user_id",
            unique=True,
            postgresql_where=text("date_decided IS NULL"),
        ),
        CheckConstraint("(admitted IS NULL) = (date_decided IS NULL)", name="decided_has_date"),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    id: Mapped[int] = mapped_column(Identity())
    workspace_id: Mapped[str] = mapped_column(index=True)  # of the Slack user
    user_id: Mapped[str]  # Slack's "U…"
    name: Mapped[str]  # as Slack showed it
    former_member_id: Mapped[int | None]  # who they were before they were removed
    # The messages to the managers; no foreign key: they are forgotten when they are done.
    post_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'"))
    date_added: Mapped[datetime]
    date_decided: Mapped[datetime | None]
    decided_by_id: Mapped[int | None]
    admitted: Mapped[bool | None]  # whether they became a member; NULL while it is open
