"""Every table of an organization names it: thirteen tables got it from their parents until now.

The version before writes their rows without it: a trigger looks it up then. Rows that are there are filled in batches,
by the pages of the table, so that nobody waits for long; one that somebody holds is passed over until the next round.
A change of a table asks for its lock for half a second, and `storage.migrate` tries again. Each step may be run again.

A later migration drops the triggers, once no release without the columns may run.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "tenant01"
down_revision = "retention02"
branch_labels = None
depends_on = None

_PAGES = 100  # of a table in a transaction: some thousand rows
_PAUSE_S = 0.05  # where all that are left are held by others

_OF_INCIDENT = "(SELECT organization_id FROM incident WHERE id = {row}.incident_id)"
_OF_ACTIVITY = """
(SELECT i.organization_id FROM incident_activity a JOIN incident i ON i.id = a.incident_id
 WHERE a.id = {row}.activity_id)
"""
_OF_PROJECT = "(SELECT organization_id FROM project WHERE id = {row}.project_id)"
_OF_DESTINATION = """
(SELECT w.organization_id FROM destination d JOIN workspace w ON w.id = d.workspace_id
 WHERE d.id = {row}.destination_id)
"""
# How the organization of a row is found.
SOURCES = {
    "project_team": _OF_PROJECT,
    "project_channel": _OF_PROJECT,
    "member_team": "(SELECT organization_id FROM member WHERE id = {row}.member_id)",
    "incident_project": _OF_INCIDENT,
    "incident_seen": _OF_INCIDENT,
    "incident_subscription": _OF_INCIDENT,
    "incident_activity": _OF_INCIDENT,
    "comment_mention": _OF_ACTIVITY,
    "outbox": _OF_INCIDENT,
    "post": f"coalesce({_OF_INCIDENT}, {_OF_DESTINATION})",
    "notification": _OF_ACTIVITY,
    "thread_reply": _OF_DESTINATION,
    "digest_fire": "(SELECT organization_id FROM digest WHERE id = {row}.digest_id)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table, source in SOURCES.items():
            _expand(table, source.format(row="NEW"))
        for table, source in SOURCES.items():
            _fill(table, source.format(row="filled"))
            _require(table)


def _run_briefly(statements: str) -> None:
    """Runs statements in a transaction of their own. Whoever wants to use the table waits behind them."""
    op.execute(f"SET LOCAL lock_timeout = '500ms'; {statements}")


def _expand(table: str, source: str) -> None:
    name = f"{table}_organization"
    _run_briefly(f"""
        ALTER TABLE {table} ADD COLUMN IF NOT EXISTS organization_id bigint;
        CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          NEW.organization_id := {source};
          RETURN NEW;
        END $$;
        CREATE OR REPLACE TRIGGER {name} BEFORE INSERT ON {table}
        FOR EACH ROW WHEN (NEW.organization_id IS NULL) EXECUTE FUNCTION {name}()
    """)


def _fill(table: str, source: str) -> None:
    connection = op.get_bind()
    # Never waits for a row: whoever holds it may wait for one that is held here.
    update = sa.text(f"""
        UPDATE {table} filled SET organization_id = {source}
        WHERE filled.ctid = ANY (ARRAY(
          SELECT ctid FROM {table}
          WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid) AND organization_id IS NULL
          FOR NO KEY UPDATE SKIP LOCKED))
    """)  # noqa: S608 - composed of constants
    pages = sa.text(f"SELECT pg_relation_size('{table}') / current_setting('block_size')::int")
    left = sa.text(f"SELECT EXISTS (SELECT FROM {table} WHERE organization_id IS NULL)")  # noqa: S608 - a constant
    while connection.scalar(left):
        filled = 0
        for page in range(0, (connection.scalar(pages) or 0) + 1, _PAGES):
            bounds = {"first": f"({page},0)", "last": f"({page + _PAGES},0)"}
            filled += connection.execute(update, bounds).rowcount
        if not filled:
            time.sleep(_PAUSE_S)


def _require(table: str) -> None:
    """Makes the column NOT NULL. PostgreSQL does not read the table for it where a constraint has done so."""
    connection, name = op.get_bind(), f"ck_{table}_organization"
    found = sa.text("SELECT attnotnull FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attname = :name")
    if connection.scalar(found, {"table": table, "name": "organization_id"}):
        return
    _run_briefly(f"""
        ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name};
        ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (organization_id IS NOT NULL) NOT VALID
    """)
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    _run_briefly(f"""
        ALTER TABLE {table} ALTER COLUMN organization_id SET NOT NULL;
        ALTER TABLE {table} DROP CONSTRAINT {name}
    """)


def downgrade() -> None:
    for table in SOURCES:
        op.execute(f"DROP TRIGGER {table}_organization ON {table}")
        op.execute(f"DROP FUNCTION {table}_organization")
        op.drop_column(table, "organization_id")
