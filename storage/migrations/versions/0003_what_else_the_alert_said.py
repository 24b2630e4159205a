"""What else the alert said: links and facts of an incident."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "intake02"
down_revision = "intake01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incident", sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column("incident", "details")
