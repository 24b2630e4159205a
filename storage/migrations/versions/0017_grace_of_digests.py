"""A digest whose grace nobody chose has the default, which depends on its schedule.

In Slack nobody can choose a grace, so the digests that were made there get the default. Those of an organization file
keep their number until the file is applied again. What the version before inserts is no default: its ten minutes stay.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "digests02"
down_revision = "delivery03"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("digest", sa.Column("default_grace", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute("UPDATE digest SET default_grace = true WHERE name IS NULL")


def downgrade() -> None:
    op.drop_column("digest", "default_grace")
