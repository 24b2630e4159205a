"""How large a database becomes and what its statements read: `python -m benchmarks.scale --incidents 1000000`.

A hundred organizations share the incidents, and each incident has what one that a few people worked on has: its log,
its card, who has seen it and who follows it. The tables are filled without indexes, which are then built. What commands
and an alert ask is recorded while a bot answers them, and repeated with EXPLAIN (ANALYZE, BUFFERS), each statement
planned for its values. `--folder` keeps the databases for the next run. With `--move`, one organization is moved to
another database, and timed.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from sqlalchemy import Connection, make_url, text

from benchmarks.statements import explain, recorded
from bot.app import Bot
from bot.cells.identities import number_cell
from bot.intake.http import create_http_app
from bot.intake.server import HttpServer
from bot.intake.tokens import token_hash
from bot.slack.clients import Clients
from bot.transfer.moving import Move
from sandbox import Person, Sandbox
from storage.audit_rows import Actor, AuditOrigin
from storage.embedded import ROLE, EmbeddedPostgres, as_superuser
from storage.engine import Store, create_pool
from storage.migrate import migrate

ORGANIZATIONS = 100
PROJECTS = 10  # of each organization, each with a channel
MEMBERS = 50  # of each organization
OPEN_ONE_IN = 100
REPEATED = 5
COMMAND = "/incident"
TOKEN = "tocsin_" + "0" * 43
TABLES = (
    "incident",
    "incident_project",
    "incident_activity",
    "incident_seen",
    "incident_subscription",
    "alert_memory",
    "post",
)  # Of the tables that are filled, those to which "tenant01" gave `organization_id`.
_GOT_TENANT_COLUMN = {
    "project_team",
    "project_channel",
    "member_team",
    "incident_project",
    "incident_activity",
    "incident_seen",
    "incident_subscription",
    "post",
}

_ORGANIZATIONS = """
INSERT INTO organization (slug, name, last_identifier)
  SELECT 'org-' || n, 'Organization ' || n, :each FROM generate_series(1, :organizations) n;
INSERT INTO workspace (id, organization_id) SELECT 'T' || lpad(id::text, 4, '0'), id FROM organization;
INSERT INTO team (organization_id, slug, name) SELECT id, 'team', 'Team' FROM organization;
INSERT INTO project (organization_id, slug, name)
  SELECT o.id, 'project-' || n, 'Project ' || n FROM generate_series(1, :projects) n, organization o ORDER BY n, o.id;
INSERT INTO project_team (organization_id, project_id, team_id)
  SELECT p.organization_id, p.id, t.id FROM project p JOIN team t ON t.organization_id = p.organization_id;
INSERT INTO project_channel (organization_id, project_id, channel_id)
  SELECT organization_id, id, 'C' || lpad(id::text, 4, '0') FROM project;
INSERT INTO member (organization_id, email, name, slack_user_id, role)
  SELECT o.id, 'm' || n || '@bench.test', 'Member ' || n, 'U' || lpad(n::text, 4, '0'),
         CASE n WHEN 1 THEN 'owner' ELSE 'member' END
  FROM generate_series(1, :members) n, organization o ORDER BY n, o.id;
INSERT INTO member_team (organization_id, member_id, team_id)
  SELECT m.organization_id, m.id, t.id FROM member m JOIN team t ON t.organization_id = m.organization_id;
INSERT INTO destination (workspace_id, channel_id)
  SELECT 'T' || lpad(p.organization_id::text, 4, '0'), 'C' || lpad(p.id::text, 4, '0') FROM project p ORDER BY p.id;
INSERT INTO intake_token (organization_id, source, token_hash, date_added) VALUES (1, 'events', :token, now())
"""
# n counts the incidents from 0; those of an organization are spread over the whole table, as they are in life.
_INCIDENTS = """
INSERT INTO incident (id, organization_id, identifier, title, status, status_method, team_id, environment, source,
                      alert_project_id, alert_key, dedup_key, details, date_started, date_detected, date_added,
                      date_closed)
  SELECT n + 1, n % :organizations + 1, n / :organizations + 1, 'Checkout latency above target on host-' || n % 1000,
         CASE WHEN n / :organizations % :open_one_in <> 0 THEN 2 ELSE 20 END, 3, n % :organizations + 1,
         (ARRAY['production', 'staging'])[n / :organizations / :open_one_in % 2 + 1],
         'alertmanager', n % :organizations + 1 + n / :organizations % :projects * :organizations, 'key-' || n,
         'key-' || n, jsonb_build_object('description', repeat('Latency is above its target. ', 4),
                                         'labels', jsonb_build_object('host', n % 1000, 'job', 'checkout')),
         at, at, at, CASE WHEN n / :organizations % :open_one_in <> 0 THEN at + interval '1 hour' END
  FROM generate_series(0, :incidents - 1) n,
       LATERAL (SELECT now() - (:incidents - n) * interval '20 seconds' AS at) t;
INSERT INTO incident_project (organization_id, incident_id, project_id, started, status, team_id, title)
  SELECT organization_id, id, alert_project_id, date_started, status, team_id,
         CASE WHEN status <> 2 THEN title END FROM incident;
INSERT INTO incident_activity (organization_id, incident_id, member_id, type, value, previous_value, comment,
                               date_added)
  SELECT i.organization_id, i.id, CASE a WHEN 2 THEN i.organization_id END, (ARRAY[4, 1, 3, 2])[a + 1],
         CASE a WHEN 0 THEN 20 WHEN 1 THEN 20 WHEN 3 THEN 2 END, CASE a WHEN 3 THEN 20 END,
         CASE a WHEN 2 THEN 'Looking at it. The gateway was restarted.' END, i.date_added + a * interval '3 minutes'
  FROM incident i, generate_series(0, :last_entry) a WHERE a < 3 OR i.status = 2;
INSERT INTO incident_seen (organization_id, incident_id, member_id, first_seen, last_seen)
  SELECT organization_id, id, organization_id + s * :organizations, date_added, date_added
  FROM incident, generate_series(0, :last_reader) s;
INSERT INTO incident_subscription (organization_id, incident_id, member_id, date_added)
  SELECT organization_id, id, organization_id, date_added FROM incident, generate_series(1, :followers);
INSERT INTO alert_memory (organization_id, dedup_key, source, project_id, alert_key, incident_id, status, fired,
                          resolved, heard)
  SELECT organization_id, 'events/' || alert_project_id || '/' || dedup_key, source, alert_project_id, alert_key, id,
         status, date_started, date_closed, date_started FROM incident;
INSERT INTO post (organization_id, destination_id, kind, incident_id, wanted_version, drawn_version, ts, drawn_hash,
                  date_added)
  SELECT organization_id, alert_project_id, 'card', id, 2, 2, extract(epoch FROM date_added)::text,
         md5(id::text), date_added FROM incident
"""


def fill(
    connection: Connection,
    incidents: int,
    *,
    light: bool = False,
    organizations: int = ORGANIZATIONS,
    projects: int = PROJECTS,
    open_one_in: int = OPEN_ONE_IN,
    before_tenant_columns: bool = False,
) -> None:
    """Fills an empty, migrated database; with `before_tenant_columns`, one at the revision before "tenant01"."""
    values = {
        "incidents": incidents,
        "each": incidents // organizations,
        "organizations": organizations,
        "projects": projects,
        "members": MEMBERS,
        "open_one_in": open_one_in,
        "token": token_hash(TOKEN),
        "last_entry": 1 if light else 3,
        "last_reader": 0 if light else 1,
        "followers": 0 if light else 1,
    }
    # Neither triggers nor foreign keys: the rows are right as they are.
    connection.execute(text("SET session_replication_role = replica; SET maintenance_work_mem = '2GB'"))
    for statement in _ORGANIZATIONS.split(";"):
        _execute(connection, _without_organization(statement) if before_tenant_columns else statement, values)
    constraints = _list_constraints(connection, "contype IN ('p', 'u') AND conrelid::regclass::text = ANY(:tables)")
    foreign_keys = _list_constraints(connection, "contype = 'f' AND confrelid::regclass::text = ANY(:tables)")
    for table, name, _ in (*foreign_keys, *constraints):
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
    for table in TABLES:  # without WAL, which is as much again
        connection.execute(text(f"ALTER TABLE {table} SET UNLOGGED"))
    indexes = connection.execute(
        text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(:tables)"), {"tables": list(TABLES)}
    ).all()
    for name, _ in indexes:
        connection.execute(text(f"DROP INDEX {name}"))
    for statement in _INCIDENTS.split(";"):
        began = monotonic()
        _execute(connection, _without_organization(statement) if before_tenant_columns else statement, values)
        print(f"  {' '.join(statement.split()[:3])}: {monotonic() - began:.0f} s", flush=True)
    began = monotonic()
    for _, definition in indexes:
        connection.exec_driver_sql(definition)
    for table, name, definition in constraints:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for table, name, definition in foreign_keys:
        if table in TABLES:  # others are logged, and may not refer to tables that are not
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID")
    connection.exec_driver_sql(
        "SELECT setval(pg_get_serial_sequence('incident', 'id'), (SELECT max(id) FROM incident)),"
        " setval(pg_get_serial_sequence('post', 'id'), (SELECT max(id) FROM post))"
    )
    print(f"  indexes: {monotonic() - began:.0f} s", flush=True)
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def _list_constraints(connection: Connection, condition: str) -> Sequence[Any]:
    """Table, name and definition of constraints."""
    return connection.execute(
        text(f"SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE {condition}"),  # noqa: S608
        {"tables": list(TABLES)},
    ).all()


def _without_organization(statement: str) -> str:
    """An INSERT as it was before "tenant01" gave the column to its table. It is the first one in all of them."""
    table = statement.split()[2]
    if table not in _GOT_TENANT_COLUMN:
        return statement
    statement = statement.replace("(organization_id, ", "(", 1)
    return re.sub(r"SELECT (\w\.)?organization_id, ", "SELECT ", statement, count=1)


def _execute(connection: Connection, statement: str, values: Mapping[str, Any]) -> None:
    connection.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})


# --- sizes -----------------------------------------------------------------------------------------------------


def show_sizes(connection: Connection, incidents: int) -> None:
    """Prints the size of each large table and of its indexes."""
    print("\n| table | rows | table MB | indexes MB | bytes for each incident |\n|---|---:|---:|---:|---:|")
    rows = connection.execute(
        text(
            "SELECT relname, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class"
            " WHERE relname = ANY(:tables) ORDER BY pg_total_relation_size(oid) DESC"
        ),
        {"tables": list(TABLES)},
    ).all()
    for name, count, table, indexes in rows:
        total = (table + indexes) / incidents
        print(f"| {name} | {count:,} | {table / 1e6:,.0f} | {indexes / 1e6:,.0f} | {total:,.0f} |")
    table, indexes = sum(row[2] for row in rows), sum(row[3] for row in rows)
    print(f"| all | | {table / 1e6:,.0f} | {indexes / 1e6:,.0f} | {(table + indexes) / incidents:,.0f} |\n", flush=True)


# --- what is asked ---------------------------------------------------------------------------------------------


def measure(url: str) -> None:
    """Prints what commands and an alert of the first organization read."""
    store = Store.open(url)
    with Sandbox() as slack:
        people = [
            slack.person("U0001", "Member 1", "m1@bench.test"),
            slack.person("U0002", "Member 2", "m2@bench.test"),
        ]
        for number in range(PROJECTS):
            slack.channel(f"C{1 + number * ORGANIZATIONS:04}", f"project-{number}")
        app = create_http_app(store, slack_problem=lambda: None)
        server = HttpServer(app, "127.0.0.1", 0)
        bot = Bot(
            store,
            Clients.connect(slack.bot_token, slack.api_url),
            api_url=slack.api_url,
            command=COMMAND,
            app_token=slack.app_token,
        )
        server.start()
        bot.start()
        try:
            assert bot.socket is not None and bot.socket.connections.wait_until_open(60)
            _measure_all(url, people, f"http://127.0.0.1:{server.port}/intake/events")
        finally:
            server.stop()
            bot.stop()
            store.close()


def _measure_all(url: str, people: list[Person], intake: str) -> None:
    owner, member = people

    def alert(number: int) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        body = {"dedup_key": f"new-{os.getpid()}-{number}", "title": "Checkout fails", "project": "project-1"}
        httpx.post(intake, json=body, headers=headers, timeout=60).raise_for_status()

    def ask(person: Person, words: str) -> Callable[[int], object]:
        return lambda number: person.command(COMMAND, words.format(1 + (number + 1) * OPEN_ONE_IN))

    cases: dict[str, Callable[[int], object]] = {
        "list, owner": ask(owner, "list"),
        "list, member": ask(member, "list"),
        "list all latency, owner": ask(owner, "list all latency"),
        "view": ask(member, "view {}"),
        "ack": ask(member, "ack {}"),
        "comment": ask(member, "comment {} Looking"),
        "setting up `digest me`": ask(owner, 'digest me "weekdays at 9"'),
        "an alert that opens an incident": alert,
    }
    print("| what | statements | pages | ms in the database |\n|---|---:|---:|---:|")
    for name, work in cases.items():
        work(-1)  # whoever is seen for the first time is looked up
        found = []
        for number in range(REPEATED):
            with recorded(url.replace("+psycopg2", "")) as statements:
                work(number)
            found.append(explain(url.replace("+psycopg2", ""), statements.statements))
        middle = [statistics.median(one[index] for one in found) for index in range(3)]
        print(f"| {name} | {middle[0]:.0f} | {middle[1]:,.0f} | {middle[2]:.2f} |", flush=True)


# --- a move ----------------------------------------------------------------------------------------------------


def measure_move(url: str, other_url: str, organization_id: int) -> None:
    """Moves an organization and prints how long each part takes."""
    migrate(other_url)
    source, target = Store.open(url, hung_after_s=None), Store.open(other_url, hung_after_s=None)
    try:
        number_cell("other", target, {"default": source, "other": target})
        slug = f"org-{organization_id}"
        move = Move(source, target, organization_id, slug, "other")
        began = monotonic()
        copied: list[float] = []
        move.run(
            Actor(AuditOrigin.COMMAND, name="benchmark"),
            from_cell="default",
            tick=lambda _: copied.append(monotonic() - began),
        )
        with target.read() as connection:
            moved = connection.scalar(text("SELECT count(*) FROM incident"))
        print(
            f"moved {moved:,} incidents: {copied[-1]:.0f} s until they were there (changes refused),"
            f" {monotonic() - began:.0f} s until the source was empty"
        )
    finally:
        source.close()
        target.close()


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, action="append", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--move", type=int, default=0, metavar="N", help="move organization N to another database")
    parser.add_argument("--light", action="store_true", help="two entries of the log, one reader and no follower each")
    arguments = parser.parse_args()
    with EmbeddedPostgres(arguments.folder, durable=False) as url:
        for incidents in arguments.incidents:
            name = f"incidents_{incidents}"
            engine = create_pool(as_superuser(url), autocommit=True, with_settings=False)
            with engine.connect() as connection:
                known = connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = :n"), {"n": name})
                if not known:
                    connection.execute(text(f"CREATE DATABASE {name} OWNER {ROLE}"))
            engine.dispose()
            database = make_url(url).set(database=name).render_as_string(hide_password=False)
            engine = create_pool(as_superuser(database), statement_timeout_ms=0)
            print(f"{incidents:,} incidents; load {os.getloadavg()[0]:.1f}", flush=True)
            migrate(database)
            if not known:
                with engine.connect() as connection:
                    fill(connection, incidents, light=arguments.light)
            with engine.connect() as connection:
                show_sizes(connection, incidents)
            engine.dispose()
            measure(database)
            if arguments.move:
                other = make_url(url).set(database=f"{name}_other").render_as_string(hide_password=False)
                engine = create_pool(as_superuser(url), autocommit=True, with_settings=False)
                with engine.connect() as connection:
                    connection.execute(text(f"CREATE DATABASE {name}_other OWNER {ROLE}"))
                engine.dispose()
                measure_move(database, other, arguments.move)
            print(f"load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
