"""A team may have the owners of its incidents asked who have not been heard of for a while."""

from __future__ import annotations

from alembic import op

revision = "reminders01"
down_revision = "owners01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever wants to read this table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE team ADD COLUMN IF NOT EXISTS remind_owner_s bigint")


def downgrade() -> None:
    op.drop_column("team", "remind_owner_s")
