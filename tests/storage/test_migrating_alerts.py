"""Alerts under their new keys, beside the version before, which knows `dedup_key` alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import URL, Connection

from bot.incidents import alerts
from bot.incidents.alerts import Action, Alert, Outcome
from storage.engine import Store
from storage.migrate import migrate
from storage.rows import AlertKey
from storage.values import Status
from tests.storage.test_migrating import empty, to

__all__ = ["empty"]

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)

# As every version before "alerts01" does it; what does not matter here is left out.
HOLD = """
INSERT INTO alert_memory AS m (organization_id, dedup_key, heard)
SELECT %(organization_id)s, key, now() FROM unnest(%(keys)s) AS k(key) ORDER BY key
ON CONFLICT (organization_id, dedup_key) DO UPDATE SET heard = EXCLUDED.heard
RETURNING m.dedup_key, m.incident_id
"""
KEEP = """
INSERT INTO alert_memory AS m (organization_id, dedup_key, incident_id, status, fired, resolved, resolved_received)
SELECT %(organization_id)s, %(key)s, %(incident_id)s, 1, NULL, %(resolved)s, %(resolved)s
ON CONFLICT (organization_id, dedup_key) DO UPDATE
SET incident_id = EXCLUDED.incident_id, status = EXCLUDED.status, fired = EXCLUDED.fired,
    resolved = EXCLUDED.resolved, resolved_received = EXCLUDED.resolved_received
"""
UNCLOSED = """
SELECT i.id, ARRAY(SELECT ip.project_id FROM incident_project ip WHERE ip.incident_id = i.id)
FROM incident i
WHERE i.organization_id = %(organization_id)s AND i.dedup_key = %(key)s AND i.status <> 2 FOR NO KEY UPDATE OF i
"""
OPEN = """
WITH counter AS (
  UPDATE organization SET last_identifier = last_identifier + 1 WHERE id = %(organization_id)s
  RETURNING last_identifier AS identifier
), opened AS (
  INSERT INTO incident (organization_id, identifier, title, status, status_method, dedup_key, source, date_started,
                        date_detected, date_added)
  SELECT %(organization_id)s, identifier, 'x', 1, 3, %(key)s, %(source)s, now(), now(), now() FROM counter
  RETURNING id, title, status, date_started
), concerned AS (
  INSERT INTO incident_project (incident_id, project_id, started, status, title)
  SELECT id, %(project_id)s, date_started, status, title FROM opened
)
SELECT id FROM opened
"""
CLOSE = """
WITH closed AS (UPDATE incident SET status = 2, status_before_closing = 1, date_closed = now() WHERE id = %(id)s)
UPDATE incident_project SET status = 2 WHERE incident_id = %(id)s
"""


REOPEN = """
WITH reopened AS (UPDATE incident SET status = 1, status_before_closing = NULL, date_closed = NULL WHERE id = %(id)s)
UPDATE incident_project SET status = 1 WHERE incident_id = %(id)s
"""
GIVE_UP = """
UPDATE incident i SET dedup_key = NULL WHERE i.id = %(id)s AND EXISTS
  (SELECT FROM incident o WHERE o.organization_id = i.organization_id AND o.dedup_key = i.dedup_key
   AND o.status <> 2 AND o.id <> i.id)
"""


@dataclass
class Before:
    """A replica of the version before."""

    store: Store
    organization_id: int

    def deliver(self, project_id: int, key: str, *, firing: bool, source: str = "events") -> str:
        """What becomes of an alert; `key` as that version puts it together."""
        with self.store.write() as tx:
            own = {"organization_id": self.organization_id, "keys": [key], "key": key, "source": source}
            ((_, incident_id),) = tx.exec_driver_sql(HOLD, own).all()
            unclosed = tx.exec_driver_sql(UNCLOSED, own).first()
            if unclosed and project_id not in unclosed[1]:
                return "key of another project"
            did = "unchanged"
            if unclosed and not firing:
                tx.exec_driver_sql(CLOSE, {"id": unclosed[0]})
                did = "closed"
            elif not unclosed and firing:
                incident_id = tx.exec_driver_sql(OPEN, {**own, "project_id": project_id}).scalar_one()
                did = "opened"
            tx.exec_driver_sql(KEEP, {**own, "incident_id": incident_id, "resolved": None if firing else NOW})
            return did


@dataclass
class Both:
    """A replica of this version, and one of the version before, on one database."""

    store: Store
    before: Before
    a: int  # ids of projects
    b: int

    def deliver(self, project_id: int, key: str, *, firing: bool, source: str = "events") -> Action:
        alert = Alert(AlertKey(source, project_id, key), "x", firing, Status.OPEN)
        with self.store.write() as tx:
            (outcome,) = alerts.take(
                tx, self.before.organization_id, [alert], {project_id: timedelta()}, NOW + timedelta(hours=1)
            )
        assert isinstance(outcome, Outcome)
        return outcome.action

    def open_keys(self) -> list[tuple[int | None, str | None]]:
        """Project and key of what is open, the oldest first."""
        with self.store.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT alert_project_id, alert_key FROM incident WHERE status <> 2 ORDER BY id"
            )
            return [(row[0], row[1]) for row in rows]


def _project(tx: Connection, slug: str) -> int:
    found: int = tx.exec_driver_sql(
        "INSERT INTO project (organization_id, slug, name) SELECT id, %(slug)s, 'x' FROM organization RETURNING id",
        {"slug": slug},
    ).scalar_one()
    return found


@pytest.fixture
def both(empty: URL) -> Iterator[Both]:
    """On the schema before; the test migrates."""
    to(empty, "listing01")
    with closing(Store.open(empty)) as store:
        with store.write() as tx:
            organization_id = tx.exec_driver_sql(
                "INSERT INTO organization (slug, name) VALUES ('acme', 'Acme') RETURNING id"
            ).scalar_one()
            a, b = _project(tx, "a"), _project(tx, "b")
        yield Both(store, Before(store, organization_id), a, b)


def test_what_was_open_is_found_under_its_new_key(both: Both) -> None:
    before = both.before
    forged = f"alertmanager:{both.a}:f2"
    for project_id, key, source in (
        (both.a, "disk-7", "events"),
        (both.a, f"alertmanager:{both.a}:f1", "alertmanager"),
        (both.b, forged, "events"),
        (both.b, "closed", "events"),
    ):
        assert before.deliver(project_id, key, firing=True, source=source) == "opened"
    assert before.deliver(both.b, "closed", firing=False) == "closed"
    before.deliver(both.a, "never began", firing=False)
    migrate(both.store.url)
    assert both.open_keys() == [(both.a, "disk-7"), (both.a, "f1"), (both.b, forged)]
    for project_id, key, source in ((both.a, "disk-7", "events"), (both.a, "f1", "alertmanager")):
        assert both.deliver(project_id, key, firing=True, source=source) is Action.NOTHING
        assert both.deliver(project_id, key, firing=False, source=source) is Action.CLOSE
    assert both.deliver(both.a, "f2", firing=True, source="alertmanager") is Action.OPEN
    assert both.deliver(both.b, forged, firing=False) is Action.CLOSE
    assert both.deliver(both.b, "closed", firing=False) is Action.NOTHING
    assert both.deliver(both.a, "never began", firing=True) is Action.OPEN


def test_an_alert_that_begins_at_one_version_ends_at_the_other(both: Both) -> None:
    migrate(both.store.url)
    for source in ("events", "alertmanager"):
        then = "disk-7" if source == "events" else f"alertmanager:{both.a}:disk-7"
        for _ in range(2):
            assert both.before.deliver(both.a, then, firing=True, source=source) == "opened"
            assert both.open_keys() == [(both.a, "disk-7")]
            assert both.deliver(both.a, "disk-7", firing=True, source=source) is Action.NOTHING
            assert both.deliver(both.a, "disk-7", firing=False, source=source) is Action.CLOSE
            assert both.deliver(both.a, "disk-7", firing=True, source=source) in (Action.OPEN, Action.REOPEN)
            assert both.before.deliver(both.a, then, firing=True, source=source) == "unchanged"
            assert both.before.deliver(both.a, then, firing=False, source=source) == "closed"
    assert both.open_keys() == []


def test_a_key_that_another_project_has_at_the_version_before_is_free_here(both: Both) -> None:
    migrate(both.store.url)
    assert both.before.deliver(both.a, "disk-7", firing=True) == "opened"
    assert both.deliver(both.b, "disk-7", firing=True) is Action.OPEN
    assert both.open_keys() == [(both.a, "disk-7"), (both.b, "disk-7")]
    assert both.before.deliver(both.b, "disk-7", firing=False) == "key of another project", "as it always was there"
    assert both.before.deliver(both.a, "disk-7", firing=False) == "closed"
    assert both.before.deliver(both.b, "disk-7", firing=True) == "opened", "it takes the key over, and does not fail"
    assert both.deliver(both.a, "disk-7", firing=True) is Action.OPEN
    assert both.deliver(both.b, "disk-7", firing=False) is Action.CLOSE
    assert both.deliver(both.a, "disk-7", firing=False) is Action.CLOSE


def test_at_the_version_before_a_person_reopens_what_has_another_incident_by_now(both: Both) -> None:
    migrate(both.store.url)
    both.deliver(both.a, "disk-7", firing=True)
    both.deliver(both.a, "disk-7", firing=False)
    with both.store.read() as connection:
        first = connection.exec_driver_sql("SELECT id FROM incident").scalar_one()
    with both.store.write() as tx:  # so that the next firing opens another
        tx.exec_driver_sql("UPDATE incident SET status_method = 1")
    assert both.deliver(both.a, "disk-7", firing=True) is Action.OPEN
    with both.store.write() as tx:
        tx.exec_driver_sql(GIVE_UP, {"id": first})
        tx.exec_driver_sql(REOPEN, {"id": first})
    assert both.open_keys() == [(None, None), (both.a, "disk-7")]


def test_the_migration_of_alerts_may_be_cut_off_and_run_again(both: Both) -> None:
    both.before.deliver(both.a, "disk-7", firing=True)
    to(both.store.url, "alerts01")
    with both.store.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = 'forms01'")
    to(both.store.url, "alerts01")
    assert both.open_keys() == [(both.a, "disk-7")]
