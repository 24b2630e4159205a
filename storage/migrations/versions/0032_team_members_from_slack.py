"""The members of a team may be the people of its user group in Slack."""

from __future__ import annotations

from alembic import op

revision = "calls02"
down_revision = "storms02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE team ADD COLUMN IF NOT EXISTS sync_members boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.drop_column("team", "sync_members")
