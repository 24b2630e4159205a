"""An index of the incidents on legal hold, so that erasing somebody does not read all incidents with each batch."""

from __future__ import annotations

from alembic import op

revision = "holds01"
down_revision = "traces01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_held")  # one that was cut off is not valid
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_incident_held ON incident (organization_id, identifier) WHERE legal_hold"
        )


def downgrade() -> None:
    op.execute("DROP INDEX ix_incident_held")
