"""The audit log: what was done to the organization, its members and settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Identity, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base, cascade


class AuditEntry(Base):
    """An administrative act, written in its transaction.

    A trigger refuses to change entries. Deleting them takes an entry of a retention in the same transaction, and
    updating them an entry of an erasing; entries also go with their organization.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        PrimaryKeyConstraint("organization_id", "id"),
        ForeignKeyConstraint(
            ["organization_id", "member_id"],
            ["member.organization_id", "member.id"],
            ondelete="SET NULL (member_id)",
        ),
        ForeignKeyConstraint(
            ["organization_id", "subject_member_id"],
            ["member.organization_id", "member.id"],
            ondelete="SET NULL (subject_member_id)",
        ),
        Index("ix_audit_entry_date", "organization_id", text("date_added DESC"), text("id DESC")),
        Index("ix_audit_entry_member", "organization_id", "member_id"),
        Index("ix_audit_entry_subject_member", "organization_id", "subject_member_id"),
        # What the trigger looks up.
        Index(
            "ix_audit_entry_passes",
            "organization_id",
            "transaction_id",
            postgresql_where=text("action IN ('data.retention', 'member.erase')"),
        ),
    )

    organization_id: Mapped[int] = mapped_column(cascade("organization.id"))
    id: Mapped[int] = mapped_column(Identity())
    date_added: Mapped[datetime]
    origin: Mapped[str]  # an AuditOrigin
    workspace_id: Mapped[str | None]  # where it was done in Slack. No foreign key: a workspace may go
    member_id: Mapped[int | None]  # who did it
    actor: Mapped[str | None]  # who did it, if no member
    action: Mapped[str]  # an AuditAction
    subject: Mapped[str | None]  # what it was done to
    subject_member_id: Mapped[int | None]  # to whom it was done
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    transaction_id: Mapped[int] = mapped_column(server_default=text("txid_current()"))
