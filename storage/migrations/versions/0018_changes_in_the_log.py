"""How incidents were opened and changed is read without the rest of their logs."""

from __future__ import annotations

from alembic import op

revision = "digests03"
down_revision = "digests02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_activity_changes")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_incident_activity_changes ON incident_activity (incident_id, date_added)
            INCLUDE (type, value, previous_value) WHERE type IN (1, 2)
        """)


def downgrade() -> None:
    op.drop_index("ix_incident_activity_changes", table_name="incident_activity")
