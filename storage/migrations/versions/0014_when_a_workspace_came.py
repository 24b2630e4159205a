"""When a workspace came to its organization: what was drawn there before is another organization's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "people02"
down_revision = "cleaning01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In two steps: of the workspaces that are there it is not known.
    op.add_column("workspace", sa.Column("date_added", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("workspace", "date_added", server_default=sa.text("now()"))


def downgrade() -> None:
    op.drop_column("workspace", "date_added")
