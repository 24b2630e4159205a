"""The titles of open incidents beside their projects, so that looking for a word reads an index alone.

Closed incidents get theirs when they are opened again. A trigger gives rows their title that a program writes which
does not know of it yet: the version before this one, while a deploy is under way. Each step may be run again, because
a large table's are not in one transaction.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "listing01"
down_revision = "intake04"
branch_labels = None
depends_on = None

_AT_ONCE = 500  # rows that are held locked meanwhile
_PAUSE_S = 0.05  # where all that are left are held by others


def upgrade() -> None:
    # Whoever wants to read the table waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE incident_project ADD COLUMN IF NOT EXISTS title text")
    op.execute("""
        CREATE OR REPLACE FUNCTION incident_project_title() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          NEW.title := (SELECT title FROM incident WHERE id = NEW.incident_id);
          RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE OR REPLACE TRIGGER incident_project_title BEFORE INSERT OR UPDATE OF status ON incident_project
        FOR EACH ROW WHEN (NEW.title IS NULL AND NEW.status <> 2) EXECUTE FUNCTION incident_project_title()
    """)
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        while connection.scalar(
            sa.text("SELECT EXISTS (SELECT FROM incident_project WHERE status <> 2 AND title IS NULL)")
        ):
            # Never waits for a row: whoever holds it may wait for one that is held here.
            given = connection.execute(
                sa.text("""
                    UPDATE incident_project ip SET title = i.title FROM incident i
                    WHERE i.id = ip.incident_id AND (ip.incident_id, ip.project_id) IN (
                      SELECT incident_id, project_id FROM incident_project
                      WHERE status <> 2 AND title IS NULL LIMIT :at_once FOR NO KEY UPDATE SKIP LOCKED)
                """),
                {"at_once": _AT_ONCE},
            ).rowcount
            if not given:
                time.sleep(_PAUSE_S)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_project_open_titles")
        op.execute("""
            CREATE INDEX CONCURRENTLY ix_incident_project_open_titles
            ON incident_project (project_id, started DESC, incident_id DESC) INCLUDE (title) WHERE status <> 2
        """)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_incident_project_open")


def downgrade() -> None:
    op.execute("""
        CREATE INDEX ix_incident_project_open
        ON incident_project (project_id, started DESC, incident_id DESC) WHERE status <> 2
    """)
    op.drop_index("ix_incident_project_open_titles", table_name="incident_project")
    op.execute("DROP TRIGGER incident_project_title ON incident_project")
    op.execute("DROP FUNCTION incident_project_title")
    op.drop_column("incident_project", "title")
