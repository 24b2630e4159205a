"""Members may be added and changed in Slack. The version before takes them for those of the organization file."""

from __future__ import annotations

from alembic import op

revision = "members01"
down_revision = "follow01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE member ADD COLUMN IF NOT EXISTS changed_in_slack boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.drop_column("member", "changed_in_slack")
