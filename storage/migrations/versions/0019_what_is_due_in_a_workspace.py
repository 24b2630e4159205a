"""What is due is found at the same cost however many workspaces there are."""

from __future__ import annotations

from alembic import op

revision = "delivery04"
down_revision = "digests03"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_destination_workspace_due")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_destination_workspace_due ON destination (workspace_id, urgency, due_at)
            WHERE due_at IS NOT NULL
        """)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_workspace_paused")
        op.execute("CREATE INDEX CONCURRENTLY ix_workspace_paused ON workspace (id) WHERE paused_reason IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_workspace_paused", table_name="workspace")
    op.drop_index("ix_destination_workspace_due", table_name="destination")
