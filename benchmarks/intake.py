"""What taking an alert in costs, and what it costs responders: `/incident list` while alerts come in.

`python -m benchmarks.intake [--incidents N] [--seconds S]`. Every alert opens an incident, which is the dearest
thing that an alert can do. The floor writes the same rows from the process that measures, and groups them as the
intake does: what arrives during a transaction is the next one, with one statement for each table. The command is timed
by the sandbox, from sending its envelope to its acknowledgement, before and while another process posts alerts.
`--folder` keeps the incidents that there are beforehand for the next run, which works on a copy of them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import execute_values
from sqlalchemy import make_url, select

from benchmarks import environment, seed, table
from benchmarks.commands import fill
from benchmarks.table import Row
from bot.intake.http import WORKERS, create_http_app
from bot.intake.rate_limit import RateLimiter
from bot.intake.server import HttpServer
from bot.intake.tokens import Source, new_token, token_hash
from sandbox import Person, Sandbox
from sandbox.records import Channel
from storage.embedded import ROLE, EmbeddedPostgres, as_superuser
from storage.engine import Store, create_pool
from storage.migrate import migrate
from storage.models import Organization, Project
from storage.queries.tokens import insert_token

BATCHES = (1, 50)
SENDERS = WORKERS
PROJECT = "project-7"
ALERTS_A_SECOND = 500
POSTED_AT_ONCE = (1, 10, 50)
COMMAND_EVERY_S = 0.04
TURNS = 3  # of floor and intake
TITLE = "A queue is not drained"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=1_000_000, help="how many there are beforehand")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="where the incidents are kept for another run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, EmbeddedPostgres(chosen.folder or Path(scratch) / "db") as server:
        _measure(_copied(server, fill(server, chosen.incidents)), chosen.incidents, chosen.seconds)


def _copied(server: str, kept: str) -> str:
    """A copy of a database, in place of the last run's; gives its URL."""
    name = f"{make_url(kept).database}_intake"
    template = make_url(kept).database
    engine = create_pool(as_superuser(server), statement_timeout_ms=0, autocommit=True)
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}"')
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}" STRATEGY FILE_COPY')
    engine.dispose()
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    migrate(url)
    return url


def _measure(url: str, incidents: int, seconds: float) -> None:
    token = _token(url)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(url, theirs), daemon=True)
    process.start()
    port = ours.recv()
    out = sys.stdout
    out.write(f"{incidents:,} incidents present, {SENDERS} senders\n")
    out.write("batch   alerts/s   floor/s   ratio\n")
    for batch in BATCHES:
        writer = _Writer(url)
        turns = [
            (
                _rate(partial(writer.start, batch), seconds, turn) * batch,
                _rate(partial(_post, port, token, batch), seconds, turn) * batch,
            )
            for turn in range(TURNS)
        ]
        writer.close()
        floor, intake = (statistics.median(one) for one in zip(*turns, strict=True))
        varied = table.measure_variation([one for one, _ in turns])
        out.write(f"{batch:5}  {intake:9.0f} {floor:9.0f}   {intake / floor:5.2f}\n")
        table.record(Row(f"alerts, in batches of {batch}", "/s", intake, floor, varied, more_is_better=True))
    process.terminate()
    process.join()
    _slowed(url, token, seconds, out.write)


def _slowed(url: str, token: str, seconds: float, write: Callable[[str], object]) -> None:
    """What `/incident list` takes while alerts come in, and while none do."""
    _written_out(url)
    with Sandbox() as slack:
        channel = slack.channel("C0001", "bench")
        manager = slack.person(seed.MANAGER, seed.MANAGER, f"{seed.MANAGER.lower()}@bench.test")
        with _bot(slack, url) as port:
            _listed(manager, channel, seconds)
            write("alerts/s   in batches of   list p50 ms   p99 ms   without p50 ms   p99 ms   ratio of p50\n")
            # The first writes to a database that was just copied take each page to the disk whole: they do not count.
            _beside(manager, channel, seconds, port, token, 1, senders_from=2000)
            for batch in POSTED_AT_ONCE:
                before = _listed(manager, channel, seconds)
                during, rate = _beside(manager, channel, seconds, port, token, batch)
                write(
                    f"{rate:8.0f} {batch:15} {statistics.median(during):13.2f} {_p99(during):8.2f}"
                    f" {statistics.median(before):16.2f} {_p99(before):8.2f}"
                    f" {statistics.median(during) / statistics.median(before):14.2f}\n"
                )
                name = f"list beside {ALERTS_A_SECOND} alerts/s in batches of {batch}"
                table.record(Row(name, "ms", statistics.median(during), statistics.median(before)))
        slack.problems.clear()


def _written_out(url: str) -> None:
    """Has the database write down what came before, which is not what is measured next."""
    engine = create_pool(as_superuser(url), statement_timeout_ms=0, autocommit=True)
    with engine.connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")
    engine.dispose()


def _beside(
    manager: Person,
    channel: Channel,
    seconds: float,
    port: int,
    token: str,
    batch: int,
    *,
    senders_from: int = 1000,
) -> tuple[list[float], float]:
    """What lists take while a process of its own posts alerts, and how many a second of those were taken.

    The same alerts are sent by senders of the same numbers.
    """
    ours, theirs = multiprocessing.Pipe()
    sender = multiprocessing.get_context("spawn").Process(
        target=_keep_posting, args=(port, token, batch, senders_from, theirs), daemon=True
    )
    sender.start()
    ours.recv()  # it has begun
    during = _listed(manager, channel, seconds)
    ours.send("enough")
    rate = ours.recv()
    sender.join()
    return during, rate


@contextmanager
def _bot(slack: Sandbox, url: str) -> Iterator[int]:
    """The bot as a process of its own, until the block ends; gives the port of its intake."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "bot.cli", "serve"], env=environment.of_bot(slack, url, port))
    try:
        slack.wait_until_connected(timeout=60)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _listed(person: Person, channel: Channel, seconds: float) -> list[float]:
    """Milliseconds of each `/incident list`, one now and then, in order of size."""
    times = []
    for _ in range(int(seconds / COMMAND_EVERY_S)):
        time.sleep(COMMAND_EVERY_S)
        times.append(person.command("/incident", "list", channel=channel).acknowledged.seconds * 1000)
    return sorted(times)


def _p99(times: list[float]) -> float:
    return times[int(len(times) * 0.99)]


def _keep_posting(port: int, token: str, batch: int, senders_from: int, pipe: Pipe) -> None:
    """Posts new alerts at an even pace until told that it is enough, then says how many a second were taken."""
    stop = threading.Event()
    counts = [0] * SENDERS
    began = time.perf_counter()

    def work(number: int) -> None:
        post = _post(port, token, batch, senders_from + number)
        every = batch * SENDERS / ALERTS_A_SECOND
        due = began + every * number / SENDERS
        while not stop.is_set():
            time.sleep(max(0.0, due - time.perf_counter()))
            post()
            counts[number] += batch
            due += every

    threads = [threading.Thread(target=work, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    pipe.send("begun")
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join()
    pipe.send(sum(counts) / (time.perf_counter() - began))


def _serve(url: str, pipe: Pipe) -> None:
    app = create_http_app(
        Store.open(url), slack_problem=lambda: None, rate_limiter=RateLimiter(burst=float("inf"), per_second=0.0)
    )
    server = HttpServer(app, "127.0.0.1", 0)
    server.start()
    pipe.send(server.port)
    threading.Event().wait()


def _token(url: str) -> str:
    token = new_token()
    store = Store.open(url)
    with store.write() as tx:
        insert_token(
            tx,
            organization_id=tx.scalars(select(Organization.id)).one(),
            project_id=tx.scalars(select(Project.id).where(Project.slug == PROJECT)).one(),
            source=Source.EVENTS.value,
            token_hash=token_hash(token),
            secret_encrypted=None,
            now=store.clock.now(),
        )
    store.close()
    return token


def _rate(start: Callable[[int], Callable[[], None]], seconds: float, turn: int) -> float:
    """Calls a second of what `start` gives for each sender, all of them at once. Each turn has other senders."""
    counts = [0] * SENDERS
    stop = threading.Event()

    def work(number: int) -> None:
        act = start(turn * SENDERS + number)
        while not stop.is_set():
            act()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(SENDERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def _post(port: int, token: str, batch: int, number: int) -> Callable[[], None]:
    line = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    count = 0

    def post() -> None:
        nonlocal count
        items = []
        for _ in range(batch):
            count += 1
            items.append({"dedup_key": f"{batch}-{number}-{count}", "title": f"Queue {count} is not drained"})
        line.request("POST", "/intake/events", json.dumps(items), headers)
        answer = line.getresponse()
        body = answer.read()
        if answer.status != 202:
            raise RuntimeError(body)

    return post


class _Entry:
    """What one sender has handed in."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.written = False


class _Writer:
    """The floor: the same rows by psycopg2. What is handed in during a transaction is the next, as in the intake."""

    def __init__(self, url: str) -> None:
        self._connection: Any = psycopg2.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
        self._writing = threading.Lock()
        self._handing_in = threading.Lock()
        self._waiting: list[_Entry] = []
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("SELECT id, organization_id FROM project WHERE slug = %s", (PROJECT,))
            found: Any = cursor.fetchone()
            self._project_id, self._organization_id = found

    def start(self, batch: int, number: int) -> Callable[[], None]:
        """What a sender does again and again: hand in a batch, until it is committed."""
        count = 0

        def write() -> None:
            nonlocal count
            entry = _Entry([f"floor-{batch}-{number}-{count + item}" for item in range(batch)])
            count += batch
            with self._handing_in:
                self._waiting.append(entry)
            with self._writing:
                if not entry.written:
                    with self._handing_in:
                        entries, self._waiting = self._waiting, []
                    self._insert([key for one in entries for key in one.keys])
                    for one in entries:
                        one.written = True

        return write

    def close(self) -> None:
        """Closes its connection."""
        self._connection.close()

    def _insert(self, keys: list[str]) -> None:
        """One transaction, with one statement for each table."""
        organization_id, now = self._organization_id, datetime.now(UTC)
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE organization SET last_identifier = last_identifier + %s WHERE id = %s"
                " RETURNING last_identifier",
                (len(keys), organization_id),
            )
            (last,) = cursor.fetchone()

            def insert(table: str, columns: str, rows: list[tuple[object, ...]], *, fetch: bool = False) -> list[int]:
                statement = f"INSERT INTO {table} ({columns}) VALUES %s"  # noqa: S608  # constants of this module
                found = execute_values(
                    cursor, f"{statement} RETURNING id" if fetch else statement, rows, page_size=len(rows), fetch=fetch
                )
                return [row[0] for row in found or ()]

            incident_ids = insert(
                "incident",
                "organization_id, identifier, title, status, status_method, dedup_key, source, date_started,"
                " date_detected, date_added",
                [
                    (organization_id, last - number, TITLE, 1, 3, key, "events", now, now, now)
                    for number, key in enumerate(keys)
                ],
                fetch=True,
            )
            insert(
                "incident_project",
                "organization_id, incident_id, project_id, started, status, title",
                [(organization_id, id_, self._project_id, now, 1, TITLE) for id_ in incident_ids],
            )
            activity = "organization_id, incident_id, type, value, date_added"
            insert("incident_activity", activity, [(organization_id, id_, 4, 1, now) for id_ in incident_ids])
            entries = [(organization_id, id_, 1, 1, now) for id_ in incident_ids]
            activity_ids = insert("incident_activity", activity, list(entries), fetch=True)
            insert(
                "outbox",
                "organization_id, incident_id, activity_id",
                [(organization_id, *ids) for ids in zip(incident_ids, activity_ids, strict=True)],
            )
            insert(
                "alert_memory",
                "organization_id, dedup_key, incident_id, status",
                [(organization_id, key, id_, 1) for key, id_ in zip(keys, incident_ids, strict=True)],
            )


if __name__ == "__main__":
    main()
