"""Processes of `serve` record that they run, in which role and version.

The version before neither writes nor reads the table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "replicas01"
down_revision = "reminders01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replica",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("clock_ahead_s", sa.Float(), nullable=False),
        sa.Column("date_started", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("date_seen", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_replica"),
    )


def downgrade() -> None:
    op.drop_table("replica")
