"""What taking an alert in costs, and what it costs responders: `/incident list` while alerts come in.

`python -m benchmarks.intake [--incidents N] [--seconds S]`. Every alert opens an incident, which is the dearest
thing that an alert can do. The floor writes the same rows in the same transactions, one statement for each row,
from the process that measures, over as many connections as the intake has workers. The command is timed by the
sandbox, from sending its envelope to its acknowledgement, before and while another process posts alerts.
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
from sqlalchemy import make_url, select

from benchmarks import environment, seed
from benchmarks.commands import fill
from bot.intake.http import WORKERS, create_http_app
from bot.intake.rate_limit import RateLimiter
from bot.intake.server import HttpServer
from bot.intake.tokens import Source, new_token, token_hash
from sandbox import Person, Sandbox
from sandbox.records import Channel
from storage.embedded import EmbeddedPostgres
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
    engine = create_pool(server, statement_timeout_ms=0, autocommit=True)
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}"')
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{make_url(kept).database}" STRATEGY FILE_COPY')
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
        floor = _rate(partial(_insert, url, batch), seconds) * batch
        intake = _rate(partial(_post, port, token, batch), seconds) * batch
        out.write(f"{batch:5}  {intake:9.0f} {floor:9.0f}   {floor / intake:5.2f}\n")
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
        slack.problems.clear()


def _written_out(url: str) -> None:
    """Has the database write down what came before, which is not what is measured next."""
    engine = create_pool(url, statement_timeout_ms=0, autocommit=True)
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


def _rate(start: Callable[[int], Callable[[], None]], seconds: float) -> float:
    """Calls a second of what `start` gives for each sender, all of them at once."""
    counts = [0] * SENDERS
    stop = threading.Event()

    def work(number: int) -> None:
        act = start(number)
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


def _insert(url: str, batch: int, number: int) -> Callable[[], None]:
    connection: Any = psycopg2.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
    cursor = connection.cursor()
    cursor.execute("SELECT id, organization_id FROM project WHERE slug = %s", (PROJECT,))
    project_id, organization_id = cursor.fetchone()
    connection.commit()
    count = 0

    def insert() -> None:
        nonlocal count
        now = datetime.now(UTC)
        for _ in range(batch):
            count += 1
            key = f"floor-{batch}-{number}-{count}"
            cursor.execute(
                "UPDATE organization SET last_identifier = last_identifier + 1 WHERE id = %s RETURNING last_identifier",
                (organization_id,),
            )
            (identifier,) = cursor.fetchone()
            cursor.execute(
                "INSERT INTO incident (organization_id, identifier, title, status, status_method, dedup_key, source,"
                " date_started, date_detected, date_added)"
                " VALUES (%s, %s, %s, 1, 3, %s, 'events', %s, %s, %s) RETURNING id",
                (organization_id, identifier, f"Queue {count} is not drained", key, now, now, now),
            )
            (incident_id,) = cursor.fetchone()
            cursor.execute(
                "INSERT INTO incident_project (incident_id, project_id, started, status, title)"
                " VALUES (%s, %s, %s, 1, %s)",
                (incident_id, project_id, now, f"Queue {count} is not drained"),
            )
            cursor.execute(
                "INSERT INTO incident_activity (incident_id, type, value, date_added) VALUES (%s, 4, 1, %s)",
                (incident_id, now),
            )
            cursor.execute(
                "INSERT INTO incident_activity (incident_id, type, value, date_added) VALUES (%s, 1, 1, %s)"
                " RETURNING id",
                (incident_id, now),
            )
            (activity_id,) = cursor.fetchone()
            cursor.execute("INSERT INTO outbox (incident_id, activity_id) VALUES (%s, %s)", (incident_id, activity_id))
            cursor.execute(
                "INSERT INTO alert_memory (organization_id, dedup_key, incident_id, status) VALUES (%s, %s, %s, 1)",
                (organization_id, key, incident_id),
            )
        connection.commit()

    return insert


if __name__ == "__main__":
    main()
