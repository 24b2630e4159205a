"""How far tables grow beyond their rows: `python -m benchmarks.bloat [--changes 100000] [--naptime 5]`.

Two threads change 2,000 open incidents of 20,000 as people do, by the statements of the product, many in one message:
they acknowledge, comment, resolve and reopen. Each change is expanded and sent as delivery does it, without Slack;
digests fire and replicas report. Autovacuum runs by its defaults and the settings of the tables, but looks every few
seconds: what happens here in minutes takes weeks elsewhere. In the end each table is written anew without slack, which
is its live size, and compared with what it had grown to, by half of the changes and by all.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from benchmarks.commands import fill
from storage.embedded import as_superuser, scratch_postgres
from storage.engine import Store, create_pool
from storage.errors import Contended
from storage.queries import (
    acknowledging,
    activity,
    commenting,
    destinations,
    digest_fires,
    direct_messages,
    expansion,
    handled_requests,
    incidents,
    leases,
    posts,
    replicas,
)
from storage.queries.destinations import Release
from storage.queries.digest_fires import FirePlan, PreparedFire
from storage.queries.leases import AllBut, Lease
from storage.queries.log_entries import ENTRY_TYPES
from storage.queries.post_kinds import Post, UnknownPost
from storage.queries.posts import Attempt, Delivered
from storage.queries.replicas import ReplicaRow
from storage.rows import IncidentHead
from storage.values import ActivityType, PostKind, Status, StatusMethod

INCIDENTS = 20_000  # every tenth is open, and changes
THREADS = 2
PARTS = 10  # of all changes, after each of which the sizes are read
BATCH = 25  # incidents changed in one transaction
CHANNELS = 40
DIGESTS = 500
MEMBERS = 20  # who respond
SENT = 16  # messages sent in one transaction
SEND_ROUNDS = 2  # after each batch
SETTLES_S = 2.0  # what backends have counted is in the statistics by then
TRIES = 20
LATER = timedelta(seconds=1)  # what waits for a moment is sent at once
KINDS = ("acknowledge",) * 8 + ("comment",) * 4 + ("status",) * 8

out = sys.stdout
T = TypeVar("T")

_PREPARE = """
UPDATE organization SET last_identifier = last_identifier;
INSERT INTO destination (workspace_id, channel_id) SELECT 'T0001', 'C' || n FROM generate_series(1, {channels}) n;
INSERT INTO destination (workspace_id, member_id) SELECT 'T0001', id FROM member ORDER BY id LIMIT {members};
INSERT INTO post (destination_id, kind, incident_id, ts, drawn_version)
  SELECT d.id, 'card', i.id, '1700000000.' || i.id, 1 FROM incident i
  JOIN destination d ON d.channel_id = 'C' || 1 + i.id %% {channels} WHERE i.status <> 2;
INSERT INTO post (destination_id, kind, incident_id, ts, drawn_version)
  SELECT d.id, 'newest', i.id, '1700000001.' || i.id, 1 FROM incident i
  JOIN destination d ON d.member_id IS NOT NULL AND d.id %% 10 = i.id %% 10 WHERE i.status <> 2;
INSERT INTO digest (organization_id, workspace_id, channel_id, owner_id, cron, zone, filters, next_fire_at, date_added)
  SELECT m.organization_id, 'T0001', 'C' || 1 + n %% {channels}, m.id, '0 9 * * *', 'UTC', '', now(), now()
  FROM generate_series(1, {digests}) n, (SELECT * FROM member ORDER BY id LIMIT 1) m
"""
_TAKE = "DELETE FROM outbox WHERE id = ANY(ARRAY(SELECT id FROM outbox ORDER BY of_alert, id LIMIT %(most)s FOR UPDATE"
_TAKE += " SKIP LOCKED)) RETURNING incident_id, activity_id"
# What a comment adds: an entry in the thread of the card.
_MIRROR = (
    "INSERT INTO post (destination_id, kind, urgency, incident_id, activity_id, card_id)"  # noqa: S608 - composed of constants
    f" SELECT c.destination_id, '{PostKind.MIRROR}', 1, a.incident_id, a.id, c.id FROM incident_activity a"
    f" JOIN post c ON c.incident_id = a.incident_id AND c.kind = '{PostKind.CARD}'"
    " WHERE a.id = ANY(%(ids)s) AND a.type = 3 ON CONFLICT DO NOTHING"
)
_SIZES = """
SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), s.n_tup_upd, s.n_tup_hot_upd, s.autovacuum_count
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relkind = 'r' ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Size:
    """What a table takes in bytes, and its updates since it was made."""

    table: int
    indexes: int
    updates: int
    hot: int
    vacuums: int


def main() -> None:
    """Fills a database, changes it, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--naptime", type=int, default=5, help="seconds between looks of autovacuum; its default is 60")
    chosen = parser.parse_args()
    changes = chosen.changes
    with scratch_postgres() as server:
        url = fill(server, INCIDENTS)
        with closing(create_pool(as_superuser(url), statement_timeout_ms=0, autocommit=True).connect()) as connection:
            for statement in _PREPARE.format(channels=CHANNELS, members=MEMBERS, digests=DIGESTS).split(";"):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("VACUUM (FULL, ANALYZE)")
            connection.exec_driver_sql(f"ALTER SYSTEM SET autovacuum_naptime = {chosen.naptime}")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
            begun = time.monotonic()
            sizes = []
            for part in range(PARTS):
                change(url, changes // PARTS, part * THREADS)
                sizes.append(read_sizes(connection))
                out.write(f"{changes // PARTS * (part + 1):,} changes after {time.monotonic() - begun:.0f} s\n")
                out.flush()
            took = time.monotonic() - begun
            half, grown = sizes[PARTS // 2 - 1], sizes[-1]
            for (table,) in connection.exec_driver_sql("SELECT relname FROM pg_stat_user_tables").all():
                connection.exec_driver_sql(f'ALTER TABLE "{table}" SET (fillfactor = 100)')
            connection.exec_driver_sql("VACUUM FULL")
            report(half, grown, read_sizes(connection), changes, took)


def change(url: str, changes: int, first: int) -> None:
    """Makes so many changes, in threads numbered from `first`."""
    workers = [Worker(url, first + number, changes // THREADS) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


class Worker(threading.Thread):
    """Changes its share of the open incidents, and sends what that leaves to send."""

    def __init__(self, url: str, number: int, changes: int) -> None:
        super().__init__(name=f"changes-{number}")
        self._store = Store.open(url, hung_after_s=None)
        self._now = self._store.clock.now
        self._number = number
        self._changes = changes
        self._random = random.Random(number)
        with self._store.read() as connection:
            self._organization_id = connection.exec_driver_sql("SELECT id FROM organization").scalar_one()
            self._members = list(
                connection.exec_driver_sql("SELECT member_id FROM destination WHERE member_id IS NOT NULL").scalars()
            )
            self._projects = list(connection.exec_driver_sql("SELECT id FROM project").scalars())
            heads = [
                incidents.parse_head(self._organization_id, row)
                for row in connection.exec_driver_sql(
                    "SELECT id, identifier, title, status, status_before_closing, date_started, date_closed"
                    " FROM incident i WHERE EXISTS (SELECT FROM post WHERE incident_id = i.id)"
                    " AND id / 10 %% %(threads)s = %(number)s %% %(threads)s ORDER BY id",
                    {"threads": THREADS, "number": number},
                )
            ]
            self._incidents = {head.id: head for head in heads}

    def run(self) -> None:
        """Makes the changes."""
        with closing(self._store):
            for batch in range(self._changes // BATCH):
                self._incidents.update(_insist(self._change_some))
                _insist(self._expand)
                for _ in range(SEND_ROUNDS):
                    self._send()
                if batch % 20 == 0:
                    self._maintain()

    def _change_some(self) -> dict[int, IncidentHead]:
        chosen = sorted(self._random.sample(sorted(self._incidents), BATCH))
        with self._store.write() as tx:
            return {id_: self._change(tx, self._incidents[id_]) for id_ in chosen}

    def _change(self, tx: Connection, incident: IncidentHead) -> IncidentHead:
        now, member_id = self._now(), self._random.choice(self._members)
        given = {
            "organization_id": self._organization_id,
            "identifier": incident.identifier,
            "project_ids": self._projects,
        }
        incidents.lock_incident(tx, given)
        entry = {**dict.fromkeys(ENTRY_TYPES), "member_id": member_id, "date_added": now, "now": now}
        entry |= {"incident_id": incident.id, "mentioned_members": (), "mentioned_teams": (), "thread_channel": None}
        kind = self._random.choice(KINDS)
        if kind == "acknowledge":
            acknowledging.ACKNOWLEDGE.defer(tx, {**given, "shown": None, "member_id": member_id, "now": now})
            return incident
        if kind == "comment":
            handled_requests.record_once(tx, "T0001", f"{self._number}:{self._random.getrandbits(64)}", now)
            text = {"type": int(ActivityType.COMMENT), "comment": "Looking at it", "followers": (member_id,)}
            commenting.COMMENT.defer(tx, {**given, **entry, **text})
            return incident
        status = Status.OPEN if incident.status is Status.CLOSED else Status.CLOSED
        closed = now if status is Status.CLOSED else None
        incidents.set_status(tx, incident, status, StatusMethod.MANUAL, closed)
        values = {"type": int(ActivityType.STATUS_CHANGE), "value": int(status), "previous_value": int(incident.status)}
        activity.INSERT_AND_RECORD.defer(tx, {**entry, **values})
        direct_messages.HURRY.defer(tx, {"incident_id": incident.id, "member_id": member_id, "now": now})
        return replace(incident, status=status, date_closed=closed)

    def _expand(self) -> None:
        now = self._now()
        with self._store.write() as tx:
            taken = tx.exec_driver_sql(_TAKE, {"most": 2 * BATCH}).all()
            ids = {row[0]: None for row in taken}
            locked = destinations.lock_destinations(tx, ids, [], now, organization_ids=[self._organization_id])
            tx.exec_driver_sql(_MIRROR, {"ids": [row[1] for row in taken if row[1] is not None]})
            expansion.redraw_messages(tx, [self._organization_id], list(ids), locked, now)
            destinations.reschedule_destinations(tx, locked.ids, now)

    def _send(self) -> None:
        now = self._now() + LATER
        with self._store.read() as connection:
            leased = leases.lease_destinations(connection, AllBut(()), SENT, 30.0, now)
        _insist(lambda: self._settle(_insist(lambda: self._begin(leased, now)), leased, now))

    def _begin(self, leased: Sequence[Lease], now: datetime) -> Mapping[int, Post]:
        with self._store.write() as tx:
            targets = destinations.lock_free_targets(tx, leased, now)
            found = posts.find_next_posts(tx, [one.id for one in targets.values()], now, overdue=now, fair=())
            new = [post for post in found.values() if post.ts is None]
            posts.mark_sending(
                tx,
                [Attempt(post.organization_id, post.id, now.timestamp(), None) for post in new],
                now,
                settles_in_s=15.0,
            )
            empty = [Release(target) for target in targets.values() if target.id not in found]
            destinations.release_destinations(tx, empty, now)
            return found

    def _settle(self, found: Mapping[int, Post], leased: Sequence[Lease], now: datetime) -> None:
        with self._store.write() as tx:
            targets = destinations.lock_free_targets(tx, leased, now)
            sent, released = [], []
            for target in targets.values():
                post = found.get(target.id)
                if post is None or isinstance(post, UnknownPost):
                    continue
                ts = post.ts or f"{now.timestamp():.6f}"
                sent.append(Delivered(post, ts, drawn_hash=f"{self._random.getrandbits(64):x}"))
                released.append(Release(target, sent_ts=ts, reached=True))
            posts.mark_delivered(tx, sent, now)
            destinations.release_destinations(tx, released, now)

    def _maintain(self) -> None:
        _insist(self._fire)
        _insist(self._report)

    def _fire(self) -> None:
        now = self._now()
        with self._store.write() as tx:
            moves = [
                FirePlan(one.organization_id, one.id, now + timedelta(seconds=1), now, now)
                for one in digest_fires.lock_due_digests(tx, now, 50)
            ]
            digest_fires.record_fires(tx, moves, now)

    def _report(self) -> None:
        now = self._now()
        with self._store.read() as connection:
            fires = digest_fires.lease_fires(connection, ["T0001"], now, 30, pictures=True, most=50)
            row = ReplicaRow(f"replica-{self._number}", "all", "1", "here", 0.0, now)
            replicas.record_replica(connection, row)
            replicas.take_lease(connection, "registry", row.id, now, now + timedelta(seconds=30))
            handled_requests.delete_old_requests(connection, now - timedelta(seconds=20), 5_000)
        with self._store.write() as tx:
            digest_fires.finish_posted(tx, [PreparedFire(fire) for fire, _ in fires])
            digest_fires.settle_posted_fires(tx)


def _insist(work: Callable[[], T]) -> T:
    """Does it again where another transaction was in the way for too long, as the product does."""
    for attempt in Retrying(retry=retry_if_exception_type(Contended), stop=stop_after_attempt(TRIES), reraise=True):
        with attempt:
            return work()
    raise AssertionError


def read_sizes(connection: Connection) -> dict[str, Size]:
    """The size of each table."""
    time.sleep(SETTLES_S)
    return {row[0]: Size(*row[1:]) for row in connection.exec_driver_sql(_SIZES)}


def report(half: dict[str, Size], grown: dict[str, Size], live: dict[str, Size], changes: int, took: float) -> None:
    """Prints the tables that were updated, the largest first."""
    out.write(
        f"{changes:,} changes in {took:.0f} s, {THREADS} threads, load {os.getloadavg()[0]:.1f}\n\n"
        "| table | live MB | after half MB | after all MB | ratio | of its indexes | updates | HOT | autovacuums |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    total = [0, 0]
    for name, now in sorted(grown.items(), key=lambda item: -item[1].table - item[1].indexes):
        then = live[name]
        size, least = now.table + now.indexes, then.table + then.indexes
        total[0], total[1] = total[0] + least, total[1] + size
        if now.updates or size > least + (1 << 20):
            hot = f"{now.hot / now.updates:.0%}" if now.updates else ""
            indexes = f"{now.indexes / max(then.indexes, 1):.2f}"
            out.write(
                f"| {name} | {least / 1e6:.2f} | {(half[name].table + half[name].indexes) / 1e6:.2f}"
                f" | {size / 1e6:.2f} | {size / least:.2f} | {indexes} |"
                f" {now.updates:,} | {hot} | {now.vacuums} |\n"
            )
    out.write(f"| all | {total[0] / 1e6:.1f} | | {total[1] / 1e6:.1f} | {total[1] / total[0]:.2f} | | | | |\n")


if __name__ == "__main__":
    main()
