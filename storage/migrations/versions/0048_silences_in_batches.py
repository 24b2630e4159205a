"""A silence holds and releases incidents in batches, so that it may match a hundred thousand.

The version before ends a silence at once, and takes one whose end is under way for one that has ended: what is not
released yet gets its card earlier then. An index that orders what a silence holds takes the place of one that does not.
"""

from __future__ import annotations

from alembic import op

revision = "batches01"
down_revision = "bloat01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute(
        "ALTER TABLE silence ADD COLUMN IF NOT EXISTS hold_after bigint,"
        " ADD COLUMN IF NOT EXISTS release_after bigint,"
        " ADD COLUMN IF NOT EXISTS released bigint NOT NULL DEFAULT 0,"
        " ADD COLUMN IF NOT EXISTS released_open bigint NOT NULL DEFAULT 0"
    )
    with op.get_context().autocommit_block():
        for name, definition in {
            "ix_silence_unfinished": (
                "silence (organization_id, id) WHERE hold_after IS NOT NULL OR release_after IS NOT NULL"
            ),
            "ix_incident_of_silence": "incident (organization_id, silence_id, id) WHERE silence_id IS NOT NULL",
        }.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # one that was cut off is not valid
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_silence")


def downgrade() -> None:
    op.execute(
        "CREATE INDEX ix_incident_silence ON incident (organization_id, silence_id) WHERE silence_id IS NOT NULL"
    )
    op.execute("DROP INDEX ix_incident_of_silence")
    op.execute(
        "ALTER TABLE silence DROP COLUMN hold_after, DROP COLUMN release_after, DROP COLUMN released,"
        " DROP COLUMN released_open"
    )
