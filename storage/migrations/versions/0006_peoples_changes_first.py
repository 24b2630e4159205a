"""What people change is told before what alerts change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "intake03"
down_revision = "digests01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("of_alert", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_outbox_order", "outbox", ["of_alert", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_outbox_order", table_name="outbox")
    op.drop_column("outbox", "of_alert")
