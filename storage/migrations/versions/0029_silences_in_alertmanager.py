"""Silences that stand in Alertmanager too, and a lease for what one process does at a time.

Each step may be run again. The version before does not hold what was silenced in Alertmanager.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "silences02"
down_revision = "reminders02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever wants to read this table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    for column in ("workspace_id", "member_id"):
        op.alter_column("silence", column, nullable=True)
    op.add_column("silence", sa.Column("made_by", sa.Text))
    op.add_column("silence", sa.Column("alertmanager_id", sa.Text))
    op.add_column("silence", sa.Column("alertmanager_keys", sa.ARRAY(sa.Text), server_default="{}", nullable=False))
    op.add_column("silence", sa.Column("alertmanager_done", sa.Boolean, server_default=sa.false(), nullable=False))
    op.create_index(
        "uq_silence_alertmanager",
        "silence",
        ["organization_id", "alertmanager_id"],
        unique=True,
        postgresql_where=sa.text("alertmanager_id IS NOT NULL"),
    )
    op.create_check_constraint("somebody_made_it", "silence", "member_id IS NOT NULL OR made_by IS NOT NULL")
    op.create_table(
        "process_lease",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("leased_until", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_process_lease"),
    )


def downgrade() -> None:
    op.drop_table("process_lease")
    op.execute("DELETE FROM silence WHERE member_id IS NULL")
    op.drop_constraint("ck_silence_somebody_made_it", "silence")
    op.drop_index("uq_silence_alertmanager", "silence")
    for column in ("alertmanager_done", "alertmanager_keys", "alertmanager_id", "made_by"):
        op.drop_column("silence", column)
    for column in ("workspace_id", "member_id"):
        op.alter_column("silence", column, nullable=False)
