"""Alerts remember what they said, and projects how long an alert may be quiet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "intake01"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("project", sa.Column("quiet_minutes", sa.BigInteger(), server_default=sa.text("5"), nullable=False))
    op.create_table(
        "alert_memory",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("fired", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("resolved", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("resolved_received", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incident.id"],
            name=op.f("fk_alert_memory_incident_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_alert_memory_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "dedup_key", name=op.f("pk_alert_memory")),
    )
    op.create_index(op.f("ix_alert_memory_incident_id"), "alert_memory", ["incident_id"], unique=False)


def downgrade() -> None:
    op.drop_table("alert_memory")
    op.drop_column("project", "quiet_minutes")
