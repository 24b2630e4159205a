"""Whoever is not let in is told why their Slack profile does not say which member they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "people01"
down_revision = "listing01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slack_person", sa.Column("unmatched", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("slack_person", "unmatched")
