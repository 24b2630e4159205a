"""Alerts are known by project, source and key, and tokens say whether their last delivery was refused.

Until now a key was unique in an organization (`dedup_key`), so that one project could take another's. The version
before goes on writing and reading `dedup_key` alone while a deploy is under way: triggers give what it writes the new
columns, and this version fills in `dedup_key` as that one would. Each step may be run again, because a large
table's are not in one transaction.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "alerts01"
down_revision = "forms01"
branch_labels = None
depends_on = None

_AT_ONCE = 500  # rows that are held locked meanwhile
_PAUSE_S = 0.05  # where all that are left are held by others

# An alert of every source but events has the source and the project in front of its own key.
_KEY = """
CREATE OR REPLACE FUNCTION alert_key_of(source text, project_id bigint, dedup_key text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN source = 'events' THEN dedup_key
    WHEN starts_with(dedup_key, source || ':' || project_id || ':')
    THEN substr(dedup_key, length(source || ':' || project_id || ':') + 1)
  END
$$
"""
_TRIGGER = """
CREATE OR REPLACE FUNCTION alert_memory_key() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  of_incident record;
BEGIN
  SELECT i.source, i.alert_key, coalesce(i.alert_project_id, min(ip.project_id)) AS project_id INTO of_incident
  FROM incident i JOIN incident_project ip ON ip.incident_id = i.id WHERE i.id = NEW.incident_id
  GROUP BY i.id, i.source, i.alert_key, i.alert_project_id;
  NEW.source := of_incident.source;
  NEW.project_id := of_incident.project_id;
  NEW.alert_key := coalesce(
    of_incident.alert_key, alert_key_of(of_incident.source, of_incident.project_id, NEW.dedup_key));
  IF NEW.alert_key IS NULL OR EXISTS (
    SELECT FROM alert_memory m
    WHERE m.organization_id = NEW.organization_id AND m.source = NEW.source AND m.alert_key = NEW.alert_key
      AND m.project_id = NEW.project_id AND m.dedup_key <> NEW.dedup_key
  ) THEN
    NEW.source := NULL;
    NEW.project_id := NULL;
    NEW.alert_key := NULL;
  ELSE
    UPDATE incident i SET alert_project_id = NEW.project_id, alert_key = NEW.alert_key
    WHERE i.id = NEW.incident_id AND i.alert_key IS NULL AND NOT EXISTS (
      SELECT FROM incident o
      WHERE o.organization_id = i.organization_id AND o.source = i.source AND o.alert_key = NEW.alert_key
        AND o.alert_project_id = NEW.project_id AND o.status <> 2);
  END IF;
  RETURN NEW;
END $$
"""

# The version before gives up `dedup_key` alone where an incident opens again whose alert has opened another meanwhile.
_REOPENED = """
CREATE OR REPLACE FUNCTION incident_alert_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM incident o
    WHERE o.organization_id = NEW.organization_id AND o.source = NEW.source AND o.alert_key = NEW.alert_key
      AND o.alert_project_id = NEW.alert_project_id AND o.status <> 2 AND o.id <> NEW.id
  ) THEN
    NEW.alert_project_id := NULL;
    NEW.alert_key := NULL;
    NEW.dedup_key := NULL;
  END IF;
  RETURN NEW;
END $$
"""

# Those that are open or whose alert is known. What other closed incidents came from does not matter any more.
_INCIDENTS = """
FROM incident i JOIN incident_project ip ON ip.incident_id = i.id
WHERE i.alert_key IS NULL AND alert_key_of(i.source, ip.project_id, i.dedup_key) IS NOT NULL
  AND (i.status <> 2 OR EXISTS (SELECT FROM alert_memory m WHERE m.incident_id = i.id))
"""
_FILL_INCIDENTS = f"""
UPDATE incident i SET alert_project_id = k.project_id, alert_key = k.key
FROM (SELECT i.id, ip.project_id, alert_key_of(i.source, ip.project_id, i.dedup_key) AS key {_INCIDENTS}
      LIMIT :at_once FOR NO KEY UPDATE OF i SKIP LOCKED) k
WHERE i.id = k.id
"""  # noqa: S608
# What was told of an alert that has no incident does not say of which project it is.
_MEMORIES = """
FROM alert_memory m JOIN incident i ON i.id = m.incident_id
WHERE m.alert_key IS NULL AND i.alert_key IS NOT NULL AND i.dedup_key = m.dedup_key
"""
_FILL_MEMORIES = f"""
UPDATE alert_memory m SET source = k.source, project_id = k.alert_project_id, alert_key = k.alert_key
FROM (SELECT m.organization_id, m.dedup_key, i.source, i.alert_project_id, i.alert_key {_MEMORIES}
      LIMIT :at_once FOR NO KEY UPDATE OF m SKIP LOCKED) k
WHERE m.organization_id = k.organization_id AND m.dedup_key = k.dedup_key
"""  # noqa: S608


def upgrade() -> None:
    # Whoever wants to read the tables waits behind this; `storage.migrate` tries again.
    op.execute("SET LOCAL lock_timeout = '500ms'")
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS alert_project_id bigint")
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS alert_key text")
    op.execute("""
        ALTER TABLE alert_memory ADD COLUMN IF NOT EXISTS source text, ADD COLUMN IF NOT EXISTS project_id bigint,
        ADD COLUMN IF NOT EXISTS alert_key text, ADD COLUMN IF NOT EXISTS resolved_started timestamptz
    """)
    op.execute("""
        ALTER TABLE intake_token ADD COLUMN IF NOT EXISTS last_refused timestamptz,
        ADD COLUMN IF NOT EXISTS last_refusal text
    """)
    op.execute(_KEY)
    op.execute(_TRIGGER)
    op.execute("""
        CREATE OR REPLACE TRIGGER alert_memory_key_inserted BEFORE INSERT ON alert_memory FOR EACH ROW
        WHEN (NEW.incident_id IS NOT NULL AND NEW.alert_key IS NULL) EXECUTE FUNCTION alert_memory_key()
    """)
    op.execute("""
        CREATE OR REPLACE TRIGGER alert_memory_key_updated BEFORE UPDATE OF incident_id ON alert_memory FOR EACH ROW
        WHEN (NEW.incident_id IS NOT NULL AND NEW.incident_id IS DISTINCT FROM OLD.incident_id
              AND NEW.alert_key IS NOT DISTINCT FROM OLD.alert_key
              AND (OLD.alert_key IS NULL OR OLD.incident_id IS NOT NULL))
        EXECUTE FUNCTION alert_memory_key()
    """)
    op.execute(_REOPENED)
    op.execute("""
        CREATE OR REPLACE TRIGGER incident_alert_key BEFORE UPDATE OF status ON incident FOR EACH ROW
        WHEN (OLD.status = 2 AND NEW.status <> 2 AND NEW.alert_key IS NOT NULL)
        EXECUTE FUNCTION incident_alert_key()
    """)
    with op.get_context().autocommit_block():
        _fill(_FILL_INCIDENTS, _INCIDENTS)
        _fill(_FILL_MEMORIES, _MEMORIES)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_incident_open_alert_key")
        op.execute("""
            CREATE UNIQUE INDEX CONCURRENTLY uq_incident_open_alert_key
            ON incident (organization_id, source, alert_key, alert_project_id)
            WHERE alert_key IS NOT NULL AND status <> 2
        """)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_alert_memory_alert_key")
        op.execute("""
            CREATE UNIQUE INDEX CONCURRENTLY uq_alert_memory_alert_key
            ON alert_memory (organization_id, source, alert_key, project_id)
        """)
        # Two projects may have the same key. What the version before writes is still unique by its alert's row.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_incident_open_dedup_key")


def _fill(update: str, left: str) -> None:
    connection = op.get_bind()
    while connection.scalar(sa.text(f"SELECT EXISTS (SELECT {left})")):
        # Never waits for a row: whoever holds it may wait for one that is held here.
        if not connection.execute(sa.text(update), {"at_once": _AT_ONCE}).rowcount:
            time.sleep(_PAUSE_S)


def downgrade() -> None:
    op.execute("""
        CREATE UNIQUE INDEX uq_incident_open_dedup_key ON incident (organization_id, dedup_key)
        WHERE dedup_key IS NOT NULL AND status <> 2
    """)
    op.drop_index("uq_alert_memory_alert_key", table_name="alert_memory")
    op.drop_index("uq_incident_open_alert_key", table_name="incident")
    op.execute("DROP TRIGGER incident_alert_key ON incident")
    op.execute("DROP FUNCTION incident_alert_key")
    op.execute("DROP TRIGGER alert_memory_key_updated ON alert_memory")
    op.execute("DROP TRIGGER alert_memory_key_inserted ON alert_memory")
    op.execute("DROP FUNCTION alert_memory_key")
    op.execute("DROP FUNCTION alert_key_of")
    op.drop_column("intake_token", "last_refusal")
    op.drop_column("intake_token", "last_refused")
    for column in ("resolved_started", "alert_key", "project_id", "source"):
        op.drop_column("alert_memory", column)
    op.drop_column("incident", "alert_key")
    op.drop_column("incident", "alert_project_id")
