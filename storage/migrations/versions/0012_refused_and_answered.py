"""Since when Slack refuses a post for a reason that may pass, and from when on its outcome can be searched for.

The version before this one leaves both columns alone: it gives such a post up, or searches for it later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "delivery02"
down_revision = "alerts01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever wants to read the table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.add_column("post", sa.Column("refused_at", sa.DateTime(timezone=True)))
    op.add_column("post", sa.Column("searchable_at", sa.DateTime(timezone=True)))
