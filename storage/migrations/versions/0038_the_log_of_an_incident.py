"""An index with all entries of an incident's log, so that deleting an incident does not read the whole table.

The other indexes leave some entries out, so PostgreSQL cannot use them to find what it deletes with an incident.
"""

from __future__ import annotations

from alembic import op

revision = "retention02"
down_revision = "retention01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_activity_incident_id")
        op.execute("CREATE INDEX CONCURRENTLY ix_incident_activity_incident_id ON incident_activity (incident_id)")


def downgrade() -> None:
    op.drop_index("ix_incident_activity_incident_id", table_name="incident_activity")
