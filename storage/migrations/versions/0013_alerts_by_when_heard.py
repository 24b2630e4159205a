"""Which alerts nobody hears of any more is looked up, instead of looked for in the whole table."""

from __future__ import annotations

from alembic import op

revision = "cleaning01"
down_revision = "delivery02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # One that was interrupted leaves an index that is not valid.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_alert_memory_heard")
        op.execute("CREATE INDEX CONCURRENTLY ix_alert_memory_heard ON alert_memory (heard)")


def downgrade() -> None:
    op.drop_index("ix_alert_memory_heard", table_name="alert_memory")
