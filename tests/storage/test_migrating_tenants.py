"""Every table of an organization names it, in rows of the version before too, which writes on beside the migrations."""

from __future__ import annotations

from contextlib import closing

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import OperationalError

from storage.engine import Store, create_pool
from storage.migrate import _config, migrate
from tests.storage.test_migrating import empty, to

__all__ = ["empty"]

ORGANIZATIONS = """
INSERT INTO organization (slug, name) VALUES ('acme', 'Acme'), ('bolt', 'Bolt');
INSERT INTO workspace (id, organization_id) SELECT 'T' || id, id FROM organization;
INSERT INTO destination (workspace_id, channel_id) SELECT id, 'C' || organization_id FROM workspace;
"""
# As the version before "tenant01" writes the thirteen tables: a row of each for each organization.
WRITE_AS_BEFORE = """
INSERT INTO team (organization_id, slug, name) SELECT id, %(nth)s, 'A' FROM organization;
INSERT INTO project (organization_id, slug, name) SELECT id, %(nth)s, 'A' FROM organization;
INSERT INTO member (organization_id, email, name) SELECT id, %(nth)s, 'Ada' FROM organization;
INSERT INTO digest (organization_id, workspace_id, channel_id, owner_id, cron, zone, filters, next_fire_at, date_added)
SELECT organization_id, 'T' || organization_id, 'C', id, '0 9 * * *', 'UTC', 'open', now(), now()
FROM member WHERE email = %(nth)s;
INSERT INTO digest_fire (digest_id, fire_at, since) SELECT id, now(), now() FROM digest
ON CONFLICT (digest_id, fire_at) DO NOTHING;
INSERT INTO project_team (project_id, team_id) SELECT p.id, t.id FROM project p JOIN team t USING (organization_id)
ON CONFLICT DO NOTHING;
INSERT INTO project_channel (project_id, channel_id) SELECT id, 'C' || %(nth)s FROM project;
INSERT INTO member_team (member_id, team_id) SELECT m.id, t.id FROM member m JOIN team t USING (organization_id)
ON CONFLICT DO NOTHING;
WITH opened AS (
  INSERT INTO incident (organization_id, identifier, title, status, status_method, date_started, date_detected,
                        date_added)
  SELECT id, %(nth)s::int, 'Outage', 1, 1, now(), now(), now() FROM organization RETURNING id, organization_id
), concerned AS (
  INSERT INTO incident_project (incident_id, project_id, started, status)
  SELECT o.id, p.id, now(), 1 FROM opened o JOIN project p USING (organization_id)
), logged AS (
  INSERT INTO incident_activity (incident_id, type, comment, date_added)
  SELECT id, 3, 'Looking', now() FROM opened RETURNING id, incident_id
), mentioned AS (
  INSERT INTO comment_mention (activity_id, member_id)
  SELECT l.id, m.id FROM logged l JOIN opened o ON o.id = l.incident_id JOIN member m USING (organization_id)
)
INSERT INTO outbox (incident_id, activity_id) SELECT incident_id, id FROM logged;
INSERT INTO incident_seen (incident_id, member_id, last_seen)
SELECT i.id, m.id, now() FROM incident i JOIN member m USING (organization_id)
ON CONFLICT (incident_id, member_id) DO UPDATE SET last_seen = EXCLUDED.last_seen;
INSERT INTO incident_subscription (incident_id, member_id, date_added)
SELECT i.id, m.id, now() FROM incident i JOIN member m USING (organization_id) ON CONFLICT DO NOTHING;
INSERT INTO post (destination_id, kind, incident_id)
SELECT d.id, 'card', i.id FROM incident i JOIN workspace w USING (organization_id)
JOIN destination d ON d.workspace_id = w.id
ON CONFLICT (incident_id, destination_id) WHERE kind = 'card' DO UPDATE SET wanted_version = 2;
INSERT INTO post (destination_id, kind, message) SELECT id, 'note', '{}' FROM destination;
INSERT INTO notification (activity_id, member_id, mention, post_id)
SELECT a.id, m.id, true, p.id FROM incident_activity a JOIN incident i ON i.id = a.incident_id
JOIN member m ON m.organization_id = i.organization_id JOIN post p ON p.incident_id = i.id
ON CONFLICT DO NOTHING;
INSERT INTO thread_reply (destination_id, ts) SELECT id, %(nth)s FROM destination
"""
# Where the organization of a row is, by what it belongs to.
TRUTH = {
    "project_team": "SELECT organization_id FROM project WHERE id = r.project_id",
    "project_channel": "SELECT organization_id FROM project WHERE id = r.project_id",
    "member_team": "SELECT organization_id FROM team WHERE id = r.team_id",
    "incident_project": "SELECT organization_id FROM project WHERE id = r.project_id",
    "incident_seen": "SELECT organization_id FROM member WHERE id = r.member_id",
    "incident_subscription": "SELECT organization_id FROM member WHERE id = r.member_id",
    "incident_activity": "SELECT organization_id FROM incident WHERE id = r.incident_id",
    "comment_mention": "SELECT organization_id FROM member WHERE id = r.member_id",
    "outbox": "SELECT organization_id FROM incident WHERE id = r.incident_id",
    "post": "SELECT substr(d.workspace_id, 2)::bigint FROM destination d WHERE d.id = r.destination_id",
    "notification": "SELECT organization_id FROM member WHERE id = r.member_id",
    "thread_reply": "SELECT substr(d.workspace_id, 2)::bigint FROM destination d WHERE d.id = r.destination_id",
    "digest_fire": "SELECT organization_id FROM digest WHERE id = r.digest_id",
}


def write_as_before(tx: Connection, nth: int) -> None:
    tx.exec_driver_sql(WRITE_AS_BEFORE, {"nth": str(nth)})


def count_rows(store: Store, table: str) -> tuple[int, int]:
    """How many rows of a table name their organization rightly, and how many there are."""
    with store.read() as connection:
        rightly, rows = connection.exec_driver_sql(
            f"SELECT count(*) FILTER (WHERE r.organization_id = ({TRUTH[table]})), count(*) FROM {table} r"  # noqa: S608
        ).one()
    return rightly, rows


def test_the_version_before_writes_nothing_twice_beside_the_new_primary_keys(empty: URL) -> None:
    """What its ON CONFLICT, which may name no columns, relied on is unique still. A first attempt was cut off."""
    to(empty, "holds01")
    migration = ScriptDirectory.from_config(_config()).get_revision("tenant04").module
    with closing(Store.open(empty)) as store:
        with store.write() as tx:
            tx.exec_driver_sql(ORGANIZATIONS)
            write_as_before(tx, 1)
            tx.exec_driver_sql("CREATE INDEX pk_incident_new ON incident (id)")
        migrate(empty)
        with store.write() as tx:
            write_as_before(tx, 2)
        with store.read() as connection:
            for table, columns in migration.OLD_KEYS.items():
                twice, rows = connection.exec_driver_sql(
                    f"SELECT count(*) - count(DISTINCT ({columns})), count(*) FROM {table}"  # noqa: S608
                ).one()
                assert twice == 0 and (rows or table == "intake_token"), table


def test_the_index_of_a_key_is_built_once_however_often_its_table_is_in_use(empty: URL) -> None:
    """That of a large table takes minutes."""
    to(empty, "holds01")
    find = text("SELECT CAST(to_regclass(:name) AS oid)")
    engine = create_pool(empty, statement_timeout_ms=0)
    with engine.connect() as reading, engine.connect() as looking:
        built = []
        for _ in range(2):
            reading.execute(text("SELECT FROM incident_activity"))
            with pytest.raises(OperationalError, match="lock timeout"):
                to(empty, "tenant04")
            built.append(looking.scalar(find, {"name": "pk_incident_activity_new"}))
            looking.rollback()
        reading.rollback()
        migrate(empty)
        assert built == [looking.scalar(find, {"name": "pk_incident_activity"})] * 2
    engine.dispose()


def test_rows_of_the_version_before_get_their_organization(empty: URL) -> None:
    """Those that were there, and those that it writes later, whatever the migrations after "tenant01" require."""
    to(empty, "retention02")
    with closing(Store.open(empty)) as store:
        with store.write() as tx:
            tx.exec_driver_sql(ORGANIZATIONS)
            write_as_before(tx, 1)
        migrate(empty)
        with store.write() as tx:
            write_as_before(tx, 2)
        counts = {table: count_rows(store, table) for table in TRUTH}
    assert all(rightly == rows >= 4 for rightly, rows in counts.values()), counts
