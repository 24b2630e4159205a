"""Who has opened Home, and whose Home is to be published anew.

An older version sets neither: what it changes about members shows when they open Home, as before.
"""

from __future__ import annotations

from alembic import op

revision = "homes01"
down_revision = "batches01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute(
        "ALTER TABLE slack_person ADD COLUMN IF NOT EXISTS home_opened boolean NOT NULL DEFAULT false,"
        " ADD COLUMN IF NOT EXISTS home_due_at timestamptz"
    )
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_slack_person_home_due_at")  # one that was cut off is not valid
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_slack_person_home_due_at ON slack_person (home_due_at)"
            " WHERE home_due_at IS NOT NULL"
        )


def downgrade() -> None:
    op.execute("DROP INDEX ix_slack_person_home_due_at")
    op.execute("ALTER TABLE slack_person DROP COLUMN home_opened, DROP COLUMN home_due_at")
