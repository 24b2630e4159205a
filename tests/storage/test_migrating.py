"""Migrations: run once however many start, complete, and such that the version before goes on working."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.engine import make_url

import storage.migrate
from storage.embedded import ROLE, as_superuser
from storage.engine import Store, create_pool
from storage.errors import Contended, DatabaseAway
from storage.migrate import HEAD, is_schema_current, migrate
from storage.session_settings import Pooling
from tests.patience import PATIENCE_S
from tests.storage.test_at_once import at_once

# As every version before "listing01" writes it.
OPEN_AS_BEFORE = """
WITH opened AS (
  INSERT INTO incident (organization_id, identifier, title, status, status_method, date_started, date_detected,
                        date_added, date_closed)
  SELECT o.id, n, 'Outage ' || n, CASE WHEN mod(n, 3) = 0 THEN 2 ELSE 1 END, 1, now(), now(), now(),
         CASE WHEN mod(n, 3) = 0 THEN now() END
  FROM organization o, generate_series(%(first)s, %(last)s) n
  RETURNING id, status, date_started
)
INSERT INTO incident_project (incident_id, project_id, started, status)
SELECT o.id, p.id, o.date_started, o.status FROM opened o, project p
"""
TITLES = """
SELECT i.title, ip.title FROM incident_project ip JOIN incident i ON i.id = ip.incident_id
WHERE ip.status <> 2 ORDER BY i.id
"""


@pytest.fixture
def empty(database_url: str) -> Iterator[URL]:
    """A database without a schema."""
    url = make_url(database_url)
    admin = create_engine(as_superuser(url), isolation_level="AUTOCOMMIT")
    name = f"{url.database}_several"
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} OWNER {ROLE}"))
    yield url.set(database=name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def to(url: URL, revision: str) -> None:
    """Brings an older database to a revision."""
    engine = create_pool(url, statement_timeout_ms=0)
    try:
        with engine.connect() as connection:
            command.upgrade(storage.migrate._config(connection), revision)
            connection.commit()
    finally:
        engine.dispose()


def test_the_revision_that_is_written_down_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(storage.migrate.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_files_of_migrations_sort_in_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(storage.migrate.__file__).parent / "migrations"))
    scripts = reversed(list(ScriptDirectory.from_config(config).walk_revisions()))
    in_order = [Path(script.path).name for script in scripts]
    assert in_order == sorted(in_order)
    assert [name[:5] for name in in_order] == [f"{number:04d}_" for number in range(1, len(in_order) + 1)]


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [(["check"], 0, "No new upgrade operations detected."), (["chekc"], 1, "usage: python -m storage.migrate")],
)
def test_models_and_migrations_are_held_together_by_a_command(words: list[str], code: int, answer: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "storage.migrate", *words],
        cwd=Path(storage.migrate.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, answer in done.stdout + done.stderr) == (code, True), done.stderr


def test_the_number_of_the_next_migration_follows_the_last() -> None:
    files = sorted((Path(storage.migrate.__file__).parent / "migrations/versions").glob("[0-9]*.py"))
    assert int(storage.migrate._next_number()) == int(files[-1].name[:4]) + 1


def test_replicas_that_start_together_migrate_once(empty: URL) -> None:
    results = at_once(lambda _: migrate(empty), 4)
    assert Counter(results) == {(None, HEAD): 1, (HEAD, HEAD): 3}
    with closing(Store.open(empty)) as store:
        assert is_schema_current(store)


def test_titles_of_open_incidents_come_beside_their_projects(empty: URL) -> None:
    """Of those that were there, those that the version before opens meanwhile, and those that are opened again."""
    to(empty, "intake04")
    with closing(Store.open(empty)) as store:
        with store.write() as tx:
            tx.exec_driver_sql("INSERT INTO organization (slug, name) VALUES ('acme', 'Acme')")
            tx.exec_driver_sql(
                "INSERT INTO project (organization_id, slug, name) SELECT id, 'a', 'A' FROM organization"
            )
            tx.exec_driver_sql(
                "INSERT INTO project (organization_id, slug, name) SELECT id, 'b', 'B' FROM organization"
            )
            tx.exec_driver_sql(OPEN_AS_BEFORE, {"first": 1, "last": 30})
        to(empty, "listing01")
        with store.write() as tx:
            tx.exec_driver_sql(OPEN_AS_BEFORE, {"first": 31, "last": 40})
            tx.exec_driver_sql("UPDATE incident_project SET status = 10 WHERE status = 2 AND incident_id < 10")
        with store.read() as connection:
            titles = connection.exec_driver_sql(TITLES).all()
    assert len(titles) == 2 * (20 + 3 + 7)
    assert all(title == beside for title, beside in titles)


def with_incidents(url: URL, count: int) -> None:
    """An organization at "intake04" with so many incidents, as the version before wrote them."""
    to(url, "intake04")
    with closing(Store.open(url)) as store, store.write() as tx:
        tx.exec_driver_sql("INSERT INTO organization (slug, name) VALUES ('acme', 'Acme')")
        tx.exec_driver_sql("INSERT INTO project (organization_id, slug, name) SELECT id, 'a', 'A' FROM organization")
        tx.exec_driver_sql(OPEN_AS_BEFORE, {"first": 1, "last": count})


def test_a_migration_that_has_to_wait_holds_up_nobody(empty: URL) -> None:
    """Somebody's long transaction has read the table: who comes behind the migration is not made to wait for both."""
    with_incidents(empty, 30)
    waits = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%%'"
    )
    with closing(Store.open(empty)) as store, ThreadPoolExecutor(1) as one:
        with store.write() as long:
            long.exec_driver_sql("SELECT count(*) FROM incident_project")
            migrating = one.submit(migrate, empty)
            for _ in range(2):  # it comes back
                with store.read() as connection:
                    while not connection.exec_driver_sql(waits).scalar_one():
                        assert not migrating.done()
                with store.read() as connection:
                    assert connection.exec_driver_sql("SELECT count(*) FROM incident_project").scalar_one() == 30
        assert migrating.result(PATIENCE_S) == ("intake04", HEAD)


class Attempts:
    """Attempts to migrate, each refused a table after some seconds. It stands for the clock and for Alembic."""

    def __init__(self, seconds: float, *, number: int, advancing: bool) -> None:
        self.now, self.made = 0.0, 0
        self._seconds, self._number, self._advancing = seconds, number, advancing

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def upgrade(self, _config: Config, _revision: str) -> None:
        self.made += 1
        if self.made <= self._number:
            self.now += self._seconds
            raise Contended("a table is locked")

    def find_revision(self, _connection: Connection) -> str:
        return str(self.made) if self._advancing else "always the same"


@pytest.mark.parametrize(("seconds", "advancing", "gives_up"), [(60, False, False), (2, True, False), (2, False, True)])
def test_only_attempts_that_get_no_further_are_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, advancing: bool, gives_up: bool
) -> None:
    attempts = Attempts(seconds, number=200, advancing=advancing)
    monkeypatch.setattr(storage.migrate, "time", attempts)
    monkeypatch.setattr(storage.migrate, "_find_revision", attempts.find_revision)
    monkeypatch.setattr(command, "upgrade", attempts.upgrade)
    try:
        storage.migrate._upgrade(database_url, Pooling.NONE, None)
    except DatabaseAway:
        assert gives_up and 300 < attempts.now < 310
    else:
        assert not gives_up and attempts.made == 201


def test_titles_come_while_the_version_before_is_at_work(empty: URL) -> None:
    """It locks incidents in an order of its own."""
    with_incidents(empty, 3000)
    done = threading.Event()

    def work(number: int) -> None:
        chance = random.Random(number)
        with closing(Store.open(empty)) as store:
            while not done.is_set():
                chosen = chance.sample(range(1, 3001), 50)
                try:
                    with store.write() as tx:
                        for one in chosen:
                            tx.exec_driver_sql(
                                "UPDATE incident_project SET status = status WHERE incident_id = %(id)s", {"id": one}
                            )
                except Contended:  # by the other one
                    continue

    with ThreadPoolExecutor(2) as writers:
        working = [writers.submit(work, number) for number in range(2)]
        try:
            assert migrate(empty) == ("intake04", HEAD)
        finally:
            done.set()
        for one in working:
            one.result(PATIENCE_S)
    with closing(Store.open(empty)) as store, store.read() as connection:
        titles = connection.exec_driver_sql(TITLES).all()
    assert len(titles) == 2000 and all(title == beside for title, beside in titles)


def test_a_migration_that_was_cut_off_is_done_again(empty: URL) -> None:
    """Each that commits before its end, and so is begun again by the next start. All of them lead to the models."""
    for script in reversed(list(ScriptDirectory.from_config(storage.migrate._config()).walk_revisions())):
        if "autocommit_block" not in Path(script.path).read_text():
            continue
        to(empty, script.revision)
        with closing(Store.open(empty)) as store, store.write() as tx:
            tx.exec_driver_sql("UPDATE alembic_version SET version_num = %(before)s", {"before": script.down_revision})
        to(empty, script.revision)
    to(empty, HEAD)
    engine = create_pool(empty, statement_timeout_ms=0)
    with engine.connect() as connection:
        command.check(storage.migrate._config(connection))  # raises where the schema differs
    engine.dispose()


def test_acknowledgements_from_before_come_into_the_log(empty: URL) -> None:
    """Each once, however often the migration is begun; not that of who opened the incident."""
    to(empty, "people02")
    with closing(Store.open(empty)) as store, store.write() as tx:
        tx.exec_driver_sql("INSERT INTO organization (slug, name) VALUES ('acme', 'Acme')")
        tx.exec_driver_sql("INSERT INTO project (organization_id, slug, name) SELECT id, 'a', 'A' FROM organization")
        tx.exec_driver_sql(OPEN_AS_BEFORE, {"first": 1, "last": 3})
        tx.exec_driver_sql(
            "INSERT INTO member (organization_id, email, name, role) SELECT o.id, n, n, 'member'"
            " FROM organization o, generate_series(1, 400) n"
        )
        tx.exec_driver_sql(
            "INSERT INTO incident_seen (incident_id, member_id, first_seen, last_seen)"
            " SELECT i.id, m.id, i.date_started + interval '1 min', now() FROM incident i, member m"
        )
        tx.exec_driver_sql(
            "INSERT INTO incident_activity (incident_id, member_id, type, date_added)"
            " SELECT i.id, m.id, 1, i.date_added FROM incident i, member m WHERE i.identifier = 1 AND m.name = '1'"
        )
    to(empty, "activity01")
    with closing(Store.open(empty)) as store:
        with store.write() as tx:
            tx.exec_driver_sql("UPDATE alembic_version SET version_num = 'people02'")
        to(empty, "activity01")
        with store.read() as connection:
            found = connection.exec_driver_sql(
                "SELECT i.identifier, count(*), count(DISTINCT a.member_id),"
                " bool_and(a.date_added = i.date_started + interval '1 min')"
                " FROM incident_activity a JOIN incident i ON i.id = a.incident_id WHERE a.type = 105"
                " GROUP BY 1 ORDER BY 1"
            ).all()
    assert [tuple(row) for row in found] == [(1, 399, 399, True), (2, 400, 400, True), (3, 400, 400, True)]


def test_digests_that_were_made_in_slack_get_the_default_grace(empty: URL) -> None:
    """Those of an organization file, and what the version before inserts beside this one, keep their number."""
    to(empty, "delivery03")
    with closing(Store.open(empty)) as store:
        insert = (
            "INSERT INTO digest (organization_id, workspace_id, channel_id, owner_id, name, cron, zone, filters,"
            " grace_minutes, next_fire_at, date_added)"
            " SELECT o.id, 'T1', 'C1', m.id, %(name)s, '0 9 * * *', 'UTC', 'open', %(grace)s, now(), now()"
            " FROM organization o JOIN member m ON m.organization_id = o.id"
        )
        with store.write() as tx:
            tx.exec_driver_sql("INSERT INTO organization (slug, name) VALUES ('acme', 'Acme')")
            tx.exec_driver_sql("INSERT INTO workspace (id, organization_id) SELECT 'T1', id FROM organization")
            tx.exec_driver_sql(
                "INSERT INTO member (organization_id, email, name, role)"
                " SELECT id, 'a', 'Ada', 'owner' FROM organization"
            )
            for name, grace in ((None, 10), ("ten", 10), ("twenty", 20)):
                tx.exec_driver_sql(insert, {"name": name, "grace": grace})
        to(empty, "digests02")
        with store.write() as tx:
            tx.exec_driver_sql(insert, {"name": "beside", "grace": 10})
            found = tx.exec_driver_sql(
                "SELECT coalesce(name, 'in Slack'), CASE WHEN NOT default_grace THEN grace_minutes END FROM digest"
            ).all()
    assert dict(tuple(row) for row in found) == {"in Slack": None, "ten": 10, "twenty": 20, "beside": 10}


def test_busy_tables_have_room_for_updates_and_are_vacuumed_early(database_url: str) -> None:
    """The columns that pace deliveries are in no other index, so their updates need no new entries."""
    with closing(Store.open(database_url)) as store, store.write() as tx:
        tx.exec_driver_sql("INSERT INTO organization (slug, name) VALUES ('acme', 'Acme')")
        tx.exec_driver_sql("INSERT INTO workspace (id, organization_id) SELECT 'T1', id FROM organization")
        tx.exec_driver_sql(
            "INSERT INTO destination (workspace_id, channel_id) SELECT 'T1', 'C' || n FROM generate_series(1, 200) n"
        )
        pages = "SELECT count(DISTINCT (ctid::text::point)[0]) FROM destination"
        before = tx.exec_driver_sql(pages).scalar_one()
        tx.exec_driver_sql("UPDATE destination SET lease = lease + 1")
        assert tx.exec_driver_sql(pages).scalar_one() == before > 1  # each new version stands beside the old one
        options = tx.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE reloptions::text LIKE '%%autovacuum_vacuum_scale_factor=0.05%%'"
        ).scalars()
        assert {"destination", "incident", "post", "outbox"} <= set(options)
