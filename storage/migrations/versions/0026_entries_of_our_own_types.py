"""Entries of our own types are hidden from the previous release, which takes a type that it does not know for an error.

It leaves out entries with `date_deleted`, so a trigger sets that for the types from 100 on, whichever version writes
them. The version after this migration reads them all the same. Once no release without it may run, a later migration
drops the trigger and the index `ix_incident_activity_log`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "log01"
down_revision = "calls01"
branch_labels = None
depends_on = None

_AT_ONCE = 1000  # entries in a transaction
_HIDE = """
WITH batch AS (
  SELECT id FROM incident_activity WHERE id > :id AND type >= 100 AND date_deleted IS NULL ORDER BY id LIMIT :at_once
), hidden AS (
  UPDATE incident_activity a SET date_deleted = a.date_added FROM batch b WHERE a.id = b.id
)
SELECT max(id) FROM batch
"""


def upgrade() -> None:
    # Whoever wants to write into the table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE incident_activity DROP CONSTRAINT IF EXISTS ck_incident_activity_deleted_is_empty")
    op.execute("""
        ALTER TABLE incident_activity ADD CONSTRAINT ck_incident_activity_deleted_is_empty
        CHECK (comment IS NULL OR date_deleted IS NULL OR type >= 100) NOT VALID
    """)
    op.execute("""
        CREATE OR REPLACE FUNCTION hide_own_types() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          NEW.date_deleted := NEW.date_added;
          RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE OR REPLACE TRIGGER hide_own_types BEFORE INSERT ON incident_activity
        FOR EACH ROW WHEN (NEW.type >= 100) EXECUTE FUNCTION hide_own_types()
    """)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE incident_activity VALIDATE CONSTRAINT ck_incident_activity_deleted_is_empty")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_activity_readable")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_incident_activity_readable
            ON incident_activity (incident_id, date_added DESC, id DESC) WHERE date_deleted IS NULL OR type >= 100
        """)
        _hide()


def _hide() -> None:
    """Hides the entries that are there. It may be cut off and run again."""
    connection, last = op.get_bind(), 0
    while (found := connection.execute(sa.text(_HIDE), {"id": last, "at_once": _AT_ONCE}).scalar()) is not None:
        last = found


def downgrade() -> None:
    op.execute("DROP TRIGGER hide_own_types ON incident_activity")
    op.execute("DROP FUNCTION hide_own_types")
    op.execute("UPDATE incident_activity SET date_deleted = NULL WHERE type >= 100")
    op.drop_index("ix_incident_activity_readable", table_name="incident_activity")
    op.drop_constraint("deleted_is_empty", "incident_activity")
    op.create_check_constraint("deleted_is_empty", "incident_activity", "(comment IS NULL) OR (date_deleted IS NULL)")
