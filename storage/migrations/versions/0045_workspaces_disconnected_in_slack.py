"""Owners may disconnect a workspace in Slack. The version before still answers there, but sends nothing."""

from __future__ import annotations

from alembic import op

revision = "disconnect01"
down_revision = "moves01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE workspace ADD COLUMN IF NOT EXISTS date_disconnected timestamptz")


def downgrade() -> None:
    op.drop_column("workspace", "date_disconnected")
