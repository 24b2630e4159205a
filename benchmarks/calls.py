"""What calls cost: ten thousand incidents whose first step is due in the same minute: `python -m benchmarks.calls`.

The incidents are of a hundred teams, each with two people on call. Opening them is measured with and without calls. Two
replicas, processes of their own, make the calls until the last message is queued for delivery, against inserting as
many rows of recipients in transactions of their own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter

import psycopg2
from sqlalchemy import event, make_url

from benchmarks import table
from benchmarks.table import Row
from bot.calls.firing import BATCH, fire_batch, fire_due
from bot.incidents import lifecycle
from bot.log import configure
from bot.settings import LogFormat, LogLevel
from storage.embedded import EmbeddedPostgres
from storage.engine import Store
from storage.migrate import migrate
from storage.rows import NewIncident
from storage.values import Status, StatusMethod
from tests.clock import FixedClock

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TEAMS = 100
REPLICAS = 2
OPENED_AT_ONCE = 100  # as a batch of alerts

_SEED = """
INSERT INTO organization (slug, name) VALUES ('bench', 'Bench');
INSERT INTO workspace (id, organization_id) SELECT 'T0001', id FROM organization;
INSERT INTO team (organization_id, slug, name, oncall_usergroup)
  SELECT id, 'team-' || n, 'Team ' || n, 'S' || n FROM organization, generate_series(1, %(teams)s) n;
INSERT INTO project (organization_id, slug, name)
  SELECT organization_id, slug, name FROM team;
INSERT INTO project_team (project_id, team_id) SELECT p.id, t.id FROM project p JOIN team t USING (slug);
INSERT INTO project_channel (project_id, channel_id) SELECT id, 'C' || id FROM project;
INSERT INTO member (organization_id, email, name, slack_user_id)
  SELECT id, n || '@bench.test', 'Member ' || n, 'U' || n FROM organization, generate_series(1, 2 * %(teams)s) n;
INSERT INTO member_team (member_id, team_id)
  SELECT m.id, t.id FROM member m JOIN team t ON t.slug = 'team-' || (substr(m.slack_user_id, 2)::int + 1) / 2;
INSERT INTO usergroup (workspace_id, id, date_checked, date_read)
  SELECT 'T0001', oncall_usergroup, %(now)s, %(now)s FROM team;
INSERT INTO usergroup_user (workspace_id, usergroup_id, user_id)
  SELECT 'T0001', 'S' || (substr(slack_user_id, 2)::int + 1) / 2, slack_user_id FROM member
"""
_RULES = """
UPDATE team SET calls = '[{"severity": 20, "who": "oncall", "after_s": 0, "repeat_s": null, "quiet": null,
                           "until": "owned"},
                          {"severity": 20, "who": "team", "after_s": 300, "repeat_s": null, "quiet": null,
                           "until": "owned"}]'
"""


def main() -> None:
    """Runs everything and prints the table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=10_000)
    count = parser.parse_args().incidents
    configure(LogLevel.WARNING, LogFormat.JSON)
    with tempfile.TemporaryDirectory() as scratch, EmbeddedPostgres(Path(scratch) / "db") as url:
        migrate(url)
        store = Store.open(url, clock=FixedClock(NOW))
        with store.write() as tx:
            for statement in _SEED.split(";"):
                tx.exec_driver_sql(statement, {"teams": TEAMS, "now": NOW})
        without = _open(store, count)
        with store.write() as tx:
            tx.exec_driver_sql(_RULES)
        opened = _open(store, count)
        statements = _count_statements(store)
        made = _make(url)
        floor = _measure_floor(url, 2 * count)
        with store.read() as connection:
            steps, recipients, posts = connection.exec_driver_sql(
                "SELECT (SELECT count(*) FROM call_step WHERE outcome = 'called'),"
                " (SELECT count(*) FROM call_recipient), (SELECT count(*) FROM post WHERE kind = 'call')"
            ).one()
        store.close()
    print(f"\n{count:,} incidents of {TEAMS} teams, the first step of each due at once, {REPLICAS} replicas:\n")
    print("| | s | ratio to the floor |\n|---|---:|---:|")
    print(f"| until the last call is queued for delivery | {made:.1f} | {made / floor:.2f} |")
    print(f"| floor: as many rows of recipients, a transaction each | {floor:.1f} | |")
    table.record(Row(f"{count:,} calls due at once, {REPLICAS} replicas", "s", made, floor))
    print(f"\n{statements} statements for {BATCH} steps.")
    print(f"Steps: {steps:,}; recipients: {recipients:,}; messages: {posts:,}.")
    print(f"Opening the incidents: {opened:.1f} s with calls, {without:.1f} s without.")


def _open(store: Store, count: int) -> float:
    with store.read() as connection:
        (organization_id,) = connection.exec_driver_sql("SELECT id FROM organization").one()
        projects = connection.exec_driver_sql("SELECT id FROM project ORDER BY id").scalars().all()
    new = [
        NewIncident([project_id], "Disk is full", Status.CRITICAL, StatusMethod.RULE_TRIGGERED, NOW, NOW)
        for project_id in projects[:OPENED_AT_ONCE]
    ]
    start = perf_counter()
    for _ in range(count // len(new)):
        with store.write() as tx:
            lifecycle.open_incidents(tx, organization_id, new, NOW)
    return perf_counter() - start


def _count_statements(store: Store) -> int:
    """The statements for one batch of steps, which this makes."""
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    with store.write() as tx:
        event.listen(tx, "before_cursor_execute", note)
        fire_batch(tx, NOW)
    return len(statements)


def _make(url: str) -> float:
    """Seconds that the replicas take to make the calls that are due."""
    return _run_all(_replica, (url,))


def _replica(url: str, ready: Barrier) -> None:
    configure(LogLevel.WARNING, LogFormat.JSON)
    store = Store.open(url, clock=FixedClock(NOW))
    with store.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    ready.wait()
    fire_due(store, NOW)


def _measure_floor(url: str, count: int) -> float:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor (incident_id bigint, member_id bigint, step smallint)")
    return _run_all(_insert, (dsn, count // REPLICAS))


def _insert(dsn: str, count: int, ready: Barrier) -> None:
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        ready.wait()
        for number in range(count):
            cursor.execute("INSERT INTO floor VALUES (%s, 1, 1)", (number,))


def _run_all(work: Callable[..., None], arguments: tuple[object, ...]) -> float:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(REPLICAS + 1)
    processes = [context.Process(target=work, args=(*arguments, ready)) for _ in range(REPLICAS)]
    for process in processes:
        process.start()
    ready.wait()
    start = perf_counter()
    for process in processes:
        process.join()
    return perf_counter() - start


if __name__ == "__main__":
    main()
