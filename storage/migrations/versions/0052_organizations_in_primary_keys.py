"""Primary keys of the older tables of an organization have it in them.

It comes behind the columns that were the key, so the same index still finds a row by these alone, as the version before
and workers do, who serve all organizations: no table has an index more. What was unique stays so, because the rest of a
key belongs to one organization by its foreign keys, or is a number that PostgreSQL counts.

`incident_seen` keeps its key, which ON CONFLICT of the version before names. A second unique index of the same rows
could refuse two acknowledgements of one person at once: PostgreSQL looks for the conflict in the named one alone.
`team` keeps its key, because the version before groups by its id and selects its other columns.
`member`, `destination` and `workspace` keep theirs, because tables that have no organization refer to them.

Each index is built beside the old one before the key changes. A change of a table asks for its lock for half a second,
and `storage.migrate` tries again, with the index that is there already. Each step may be run again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "tenant04"
down_revision = "holds01"
branch_labels = None
depends_on = None

OLD_KEYS = {
    "project": "id",
    "project_team": "project_id, team_id",
    "project_channel": "project_id, channel_id",
    "member_team": "member_id, team_id",
    "intake_token": "id",
    "incident": "id",
    "incident_project": "incident_id, project_id",
    "incident_subscription": "incident_id, member_id",
    "incident_activity": "id",
    "comment_mention": "id",
    "outbox": "id",
    "post": "id",
    "notification": "activity_id, member_id, mention",
    "thread_reply": "destination_id, ts",
    "digest": "id",
    "digest_fire": "id",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table, columns in OLD_KEYS.items():
            _replace(table, f"{columns}, organization_id")


def _replace(table: str, columns: str) -> None:
    """Makes these columns the primary key of a table, unless they are already."""
    has = sa.text(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'p' AND conrelid = CAST(:table AS regclass)"
    )
    if op.get_bind().scalar(has, {"table": table}) == f"PRIMARY KEY ({columns})":
        return
    is_built = sa.text(
        "SELECT indisunique AND indisvalid AND pg_get_indexdef(indexrelid) LIKE :columns FROM pg_index"
        " WHERE indexrelid = to_regclass(:name)"
    )
    if not op.get_bind().scalar(is_built, {"columns": f"%({columns})", "name": f"pk_{table}_new"}):
        # One that was interrupted leaves an index that is not valid.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS pk_{table}_new")
        op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY pk_{table}_new ON {table} ({columns})")
    op.execute(f"""
        SET LOCAL lock_timeout = '500ms';
        ALTER TABLE {table} DROP CONSTRAINT pk_{table}, ADD CONSTRAINT pk_{table} PRIMARY KEY USING INDEX pk_{table}_new
    """)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for table, columns in OLD_KEYS.items():
            _replace(table, columns)
