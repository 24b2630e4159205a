"""What waits for delivery names the trace of what requested it, where traces are recorded.

The transaction makes a setting, and the columns have it as their default, so no statement has to know of traces. The
version before leaves them empty. Rows that are there already are not written: the default is empty while this runs.

Each statement may be run again.
"""

from __future__ import annotations

from alembic import op

revision = "traces01"
down_revision = "homes01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table in ("outbox", "post"):
            op.execute(
                f"SET LOCAL lock_timeout = '500ms'; ALTER TABLE {table} ADD COLUMN IF NOT EXISTS traceparent text"
                " DEFAULT nullif(current_setting('tocsin.traceparent', true), '')"
            )


def downgrade() -> None:
    for table in ("outbox", "post"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN traceparent")
