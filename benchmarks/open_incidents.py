"""What 100,000 open incidents cost: `python -m benchmarks.open_incidents --folder FOLDER`.

One organization has a million incidents, of which 100,000 are open, in 200 projects. Half of the open ones are in one
storm, a tenth is owned by somebody, half is in production. Each thing is done as the product does it, in transactions
that are rolled back, with the time-out of statements turned off. The CPU of the backend is the scheduler's account, of
the longest statement and of all. `--plans` explains those that took more than 200 ms. `--folder` keeps the database
for the next run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psycopg2
from sqlalchemy import Connection, make_url, text

from benchmarks.scale import fill
from benchmarks.statements import Recorded, recorded
from bot.digests import content
from bot.digests.shared_results import SharedResults
from bot.incidents import alerts, filters, handoff, maintenance, reminders, search, silences, storm_actions
from bot.incidents.access import Access
from bot.incidents.alerts import Alert
from bot.incidents.filters import ListQuery
from bot.incidents.maintenance import Maintenance
from bot.incidents.storms import Taken
from bot.messages.handoff import ALSO_OPEN_SHOWN
from bot.people import overview
from storage.embedded import ROLE, EmbeddedPostgres, as_superuser
from storage.engine import Store, create_pool
from storage.migrate import migrate
from storage.queries import (
    backlog,
    erasing,
    handoffs,
    personal_digests,
    retention,
    storm_contents,
    summaries,
)
from storage.queries.destinations import Target
from storage.queries.post_kinds import StormPost, SummaryPost
from storage.rows import AlertKey
from storage.values import Role, Status

INCIDENTS = 1_000_000
PROJECTS = 200
OPEN_ONE_IN = 10
SLOW_MS = 200
OWNER = 7  # a member who owns a thousand open incidents, and follows all
NAME = "open_incidents"

out = sys.stdout


class Undone(Exception):
    """What was done is rolled back."""


_CROWD = """
UPDATE incident SET owner_id = 2 + id / 100 % 10, owned_since = date_started WHERE status <> 2 AND id / 10 % 10 = 0;
INSERT INTO owner_reminder (organization_id, incident_id, due_at, step)
  SELECT organization_id, id, now() - interval '1 minute', 0 FROM incident WHERE owner_id IS NOT NULL;
UPDATE team SET remind_owner_s = 3600;
DELETE FROM incident_subscription WHERE member_id = 1;
INSERT INTO project_channel (organization_id, project_id, channel_id) SELECT 1, id, 'CALL' FROM project;
INSERT INTO destination (workspace_id, channel_id) SELECT 'T0001', 'CALL';
INSERT INTO post (organization_id, destination_id, kind, wanted_version, drawn_version, date_added)
  SELECT 1, id, 'storm', 2, 1, now() FROM destination WHERE channel_id = 'CALL';
INSERT INTO storm (organization_id, destination_id, post_id, cards, within_s, date_started, date_last, calm_at)
  SELECT 1, destination_id, id, 5, 60, now(), now(), now() + interval '1 hour' FROM post WHERE kind = 'storm';
INSERT INTO storm_incident (organization_id, storm_id, incident_id, destination_id, folded)
  SELECT 1, s.id, i.id, s.destination_id, true FROM storm s, incident i WHERE i.status <> 2 AND i.id / 10 % 2 = 0;
INSERT INTO incident_subscription (organization_id, incident_id, member_id, date_added)
  SELECT 1, id, 7, now() FROM incident WHERE status <> 2 ON CONFLICT DO NOTHING
"""


def list_cases(access: Access, now: datetime) -> dict[str, Callable[[Connection], object]]:
    """What is done, by name."""
    until = now + timedelta(hours=2)
    organization_id = access.organization_id

    def ask(words: str) -> Callable[[Connection], object]:
        return lambda tx: search.list_incidents(tx, access, filters.parse_query(words), now)

    def start(tx: Connection, environment: str | None = "production") -> int:
        return maintenance.start_maintenance(tx, access, Maintenance(until, environment=environment), now).id

    def hold(tx: Connection) -> int:
        silence_id = start(tx)
        while silences.go_on_holding(tx, now):
            pass
        return silence_id

    def end(tx: Connection) -> None:
        silences.end_silence(tx, access, hold(tx), now)
        while silences.go_on_releasing(tx, now):
            pass

    def overlap(tx: Connection) -> None:
        hold(tx)
        silences.end_silence(tx, access, hold(tx), now)

    def list_held(tx: Connection) -> None:
        silences.silence_alert(tx, access, 10, until, now)
        hold(tx)
        silences.list_silences(tx, access, 21)
        silences.count_ending_today(tx, access, now)
        backlog.find_backlog(tx, ["T0001"], now)
        ask("list silenced:yes")(tx)
        get_scope_counts(tx)

    def get_scope_counts(tx: Connection) -> None:
        scope = content.resolve_scope(tx, access, filters.parse_query("list"), now)
        content.count_open(tx, scope, SharedResults())

    def show_home(tx: Connection) -> None:
        for query in (ListQuery(), ListQuery(following=True), ListQuery(unseen=True), ListQuery(show="critical")):
            found = search.resolve_query(tx, access, query, now)
            search.find_page(tx, access, found, cursor=None)
            search.find_page(tx, access, search.of_own_teams(tx, access, found), cursor=None)
        overview.find_counts(tx, access)

    def hand_off(tx: Connection) -> None:
        made = handoff.offer(tx, replace(access, member_id=OWNER), None, 3, None, now)
        head = handoffs.find_handoff(tx, organization_id, made.handoff_id)
        assert head is not None
        handoff.get_content(tx, head, also_open=ALSO_OPEN_SHOWN)

    def erase(tx: Connection) -> None:
        (person,) = erasing.list_erasable(tx, organization_id, [OWNER])
        erasing.list_held_incidents(tx, organization_id, OWNER)
        ids = erasing.list_incident_ids(tx, organization_id, 500_000, 500)
        erasing.erase_from_incidents(tx, organization_id, person, ids)
        erasing.erase_member(tx, organization_id, person, now)

    def remove_old(tx: Connection) -> None:
        found = retention.lock_old_incidents(tx, organization_id, now - timedelta(days=30), 100, None)
        retention.delete_incidents(tx, organization_id, [id_ for _, id_ in found])

    def take_alerts(tx: Connection) -> None:
        hold(tx)
        tx.exec_driver_sql("UPDATE silence SET ends = ends + interval '1 hour'")
        firing = [
            Alert(AlertKey("events", 1 + n % PROJECTS, f"new-{n}"), f"new-{n}", firing=True, status=Status.CRITICAL)
            for n in range(100)
        ]
        alerts.take(tx, organization_id, firing, {}, now)

    def take_all(tx: Connection) -> None:
        taken = Taken(0, 0, 0, 0, after=0)
        while taken.after is not None:
            taken = storm_actions.take_some(tx, access, 1, now, after=taken.after)

    def split(tx: Connection) -> None:
        done = storm_actions.NOT_SPLIT
        while done.left:
            done = storm_actions.split_some(tx, access, 1, now, done)

    def show_storm(tx: Connection) -> None:
        (post_id,) = tx.exec_driver_sql("SELECT post_id FROM storm").one()
        storm_contents.find_storm_content(
            tx,
            cast(StormPost, SimpleNamespace(id=post_id)),
            cast(Target, SimpleNamespace(organization_id=1, channel_id="CALL")),
        )

    def fold_summary(tx: Connection) -> None:
        (post_id,) = tx.exec_driver_sql(
            "INSERT INTO post (organization_id, destination_id, kind, date_added) SELECT 1, id, 'summary', now()"
            " FROM destination LIMIT 1 RETURNING id"
        ).one()
        tx.exec_driver_sql(
            "INSERT INTO notification (organization_id, activity_id, member_id, mention, post_id)"
            " SELECT 1, max(id), 7, false, %(post_id)s FROM incident_activity a"
            " WHERE incident_id IN (SELECT id FROM incident WHERE status <> 2 LIMIT 10000) GROUP BY incident_id",
            {"post_id": post_id},
        )
        summaries.find_summary_content(tx, cast(SummaryPost, SimpleNamespace(id=post_id, organization_id=1)), OWNER)

    def silence_one(tx: Connection) -> None:
        silences.silence_alert(tx, access, 10, until, now)

    return {
        "list": ask("list"),
        "list storm:1": ask("list storm:1"),
        "list storm:1 of a word": ask("list storm:1 latency"),
        "list all storm:1": ask("list all storm:1"),
        "list owner:me": lambda tx: search.list_incidents(
            tx, replace(access, member_id=OWNER), filters.parse_query("list owner:me"), now
        ),
        "list owner:none": ask("list owner:none"),
        "list following:yes": ask("list following:yes"),
        "list seen:no": ask("list seen:no"),
        "the storm's message": show_storm,
        "Take all of the storm, all batches": take_all,
        "Split of the storm, all batches": split,
        "Silence of the storm": lambda tx: storm_actions.find_alert_to_silence(tx, access, 1),
        "Home, all tabs": show_home,
        "handoff of all, and its message": hand_off,
        "owners' reminders": lambda tx: reminders.remind_due(tx, now, 100),
        "a personal digest": lambda tx: personal_digests.get_content(
            tx, organization_id, OWNER, "T0001", now - timedelta(days=1), 10
        ),
        "a summary of 10,000 incidents": fold_summary,
        "silence of an alert": silence_one,
        "maintenance, first batch": start,
        "maintenance of all, all batches": hold,
        "what is silenced, in lists and counts": list_held,
        "end of a maintenance, all batches": end,
        "end of one that another overlaps": overlap,
        "100 alerts during maintenance": take_alerts,
        "retention, a batch": remove_old,
        "erasing somebody": erase,
        "metrics of what waits": lambda tx: backlog.find_backlog(tx, ["T0001"], now),
    }


def find_access(store: Store) -> Access:
    """The owner of the organization."""
    with store.read() as connection:
        projects = tuple(connection.exec_driver_sql("SELECT id FROM project ORDER BY id").scalars())
        teams = frozenset(connection.exec_driver_sql("SELECT id FROM team").scalars())
    return Access(
        1,
        "Organization 1",
        "T0001",
        1,
        "Member 1",
        "m1@bench.test",
        Role.OWNER,
        False,
        teams,
        projects,
        True,
        False,
        "UTC",
    )


def measure(url: str, only: str | None, *, plans: bool) -> None:
    """Does everything, and prints a line for each."""
    plain = url.replace("+psycopg2", "")
    store = Store.open(url, hung_after_s=None)
    now = store.clock.now()
    out.write("| what | statements | longest, CPU ms | all, CPU ms |\n|---|---:|---:|---:|\n")
    with closing(store):
        access = find_access(store)
        for name, do in list_cases(access, now).items():
            if only and only not in name:
                continue
            with suppress(Undone), store.write() as tx:
                tx.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
                with recorded(plain) as found:
                    do(tx)
                raise Undone
            slow = max(found.cpu_ms, default=0.0)
            out.write(f"| {name} | {len(found.cpu_ms)} | {slow:,.0f} | {sum(found.cpu_ms):,.0f} |\n")
            out.flush()
            if plans:
                explain_slow(plain, found)


def explain_slow(url: str, found: Recorded) -> None:
    """Prints each kind of slow statement once, with its plan where it can be repeated."""
    seen = set()
    with closing(psycopg2.connect(url)) as connection:
        for statement, cpu_ms in sorted(zip(found.statements, found.cpu_ms, strict=True), key=lambda one: -one[1]):
            if cpu_ms < SLOW_MS or statement[:200] in seen:
                continue
            seen.add(statement[:200])
            out.write(f"\n{cpu_ms:,.0f} ms of CPU: {' '.join(statement.split())[:1500]}\n")
            with connection.cursor() as cursor, suppress(psycopg2.Error):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}")
                out.write("\n".join(row[0] for row in cursor.fetchall()) + "\n\n")
            connection.rollback()


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", help="what has this in its name")
    parser.add_argument("--plans", action="store_true", help="explain what takes longer than 200 ms")
    chosen = parser.parse_args()
    with EmbeddedPostgres(chosen.folder, durable=False) as server:
        url = make_url(server).set(database=NAME).render_as_string(hide_password=False)
        admin = as_superuser(url)
        with closing(create_pool(as_superuser(server), autocommit=True, with_settings=False).connect()) as connection:
            known = connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": NAME})
            if not known:
                connection.execute(text(f"CREATE DATABASE {NAME} OWNER {ROLE}"))
        migrate(url)
        if not known:
            with closing(create_pool(admin, statement_timeout_ms=0).connect()) as connection:
                fill(connection, INCIDENTS, organizations=1, projects=PROJECTS, open_one_in=OPEN_ONE_IN)
            with closing(create_pool(admin, statement_timeout_ms=0, autocommit=True).connect()) as connection:
                for statement in (*_CROWD.split(";"), "VACUUM ANALYZE"):
                    connection.execute(text(statement))
        out.write(f"load {os.getloadavg()[0]:.1f}\n\n")
        measure(url, chosen.only, plans=chosen.plans)
        out.write(f"\nload {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main()
