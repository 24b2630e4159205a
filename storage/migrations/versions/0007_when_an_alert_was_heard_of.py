"""When an alert was last heard of, so that those of which nobody hears any more can be forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "intake04"
down_revision = "intake03"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "alert_memory",
        sa.Column("heard", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("alert_memory", "heard")
