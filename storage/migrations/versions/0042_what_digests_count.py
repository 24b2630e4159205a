"""Indexes for what digests count, so that 100,000 open incidents cost no digest a second.

One has what is counted of the open incidents, whose rows are scattered among all. Two find what happened since a
moment: which incidents were opened or changed, and which were acknowledged.
"""

from __future__ import annotations

from alembic import op

revision = "counts01"
down_revision = "tenant02"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_incident_open_counts": (
        "incident (organization_id, id) INCLUDE (status, date_started, owner_id, silence_id) WHERE status <> 2"
    ),
    "ix_incident_activity_changes_by_date": (
        "incident_activity (organization_id, date_added) INCLUDE (incident_id, type, value, previous_value)"
        " WHERE type IN (1, 2)"
    ),
    "ix_incident_seen_first": "incident_seen (organization_id, first_seen) INCLUDE (incident_id)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # one that was cut off is not valid
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
