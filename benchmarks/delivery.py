"""What messages to people cost: their latency, their throughput, and the CPU time of the bot.

`python -m benchmarks.delivery [--stored N]`. The workspace runs in a process of its own; the floor posts the same
messages with slack_sdk alone, from as many threads as delivery has.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

from slack_sdk import WebClient
from sqlalchemy import create_engine, insert, make_url, text

from benchmarks import processor_time, table
from benchmarks.table import Row
from bot.delivery.pace import Pace
from bot.delivery.service import SENDERS, DeliveryService, open_delivery_store
from bot.incidents import comments, lifecycle
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.lifecycle import Declaration
from bot.log import configure
from bot.messages.blocks import text_message
from bot.people.identity import Identity
from bot.settings import LogFormat, LogLevel
from bot.slack.background import Background
from bot.slack.clients import Clients
from sandbox import Sandbox
from sandbox.records import Message
from storage.embedded import scratch_postgres
from storage.engine import Store
from storage.migrate import migrate
from storage.models import Member, Organization, Project, Workspace
from storage.queries import outbox
from storage.values import PostKind, Role, Status

PEOPLE = 1200
MENTIONS = 200  # of each measurement of latency
MENTION_EVERY_S = 0.05
PATIENCE_S = 120.0  # on a busy machine
WAITING = 10_000
PACED_DESTINATIONS, PACED_EACH = 20, 15
THROUGHPUT_MESSAGES = 2000  # messages, to THROUGHPUT_DESTINATIONS people
THROUGHPUT_DESTINATIONS = 50
TURNS = 3  # of delivery and floor
APPLICATION = "tocsin"  # the connections of the bot
BATCH = 50  # messages asked for in one transaction
SUBSCRIBERS = (0, 1000)
COMMENTS = 200

out = sys.stdout


# --- the workspace -----------------------------------------------------------------------------------------


def no_digest(*_: object) -> None:
    """There are none here."""


def workspace(pipe: Pipe) -> None:
    """A sandbox that reports when messages arrived, until it gets the order to end. It sends nothing to the bot."""
    with Sandbox(subscriptions=[]) as slack:
        for number in range(PEOPLE):
            slack.person(f"U{number:05}", f"Person {number}", f"p{number}@acme.test")
        slack.channel("C0001", "checkout")
        arrived: list[tuple[str, str, float]] = []

        def watch(thing: object) -> None:
            if isinstance(thing, Message) and thing.by_app and not thing.edits:
                arrived.append((thing.channel_id, str(thing.body.get("text")), time.time()))

        slack.platform.workspace.watchers.append(watch)
        pipe.send((slack.api_url, slack.bot_token))
        while (asked := pipe.recv()) is not None:
            if asked == "forget":
                arrived.clear()
            else:
                pipe.send(list(arrived))


class Bench:
    """The database, the workspace and who is in them."""

    def __init__(self, url: str, pipe: Pipe) -> None:
        self.url = url
        self._pipe = pipe
        self.api_url, self.token = pipe.recv()
        self.store = Store.open(url)
        self.clients = Clients.connect(self.token, self.api_url)
        with self.store.write() as tx:
            organization_id = tx.execute(
                insert(Organization).values(slug="acme", name="Acme", open_membership=True).returning(Organization.id)
            ).scalar_one()
            tx.execute(insert(Workspace).values(id="T0001", organization_id=organization_id))
            project_id = tx.execute(
                insert(Project).values(organization_id=organization_id, slug="checkout", name="x").returning(Project.id)
            ).scalar_one()
            self.members = list(
                tx.scalars(
                    insert(Member).returning(Member.id, sort_by_parameter_order=True),
                    [
                        {
                            "organization_id": organization_id,
                            "email": f"p{number}@acme.test",
                            "name": f"Person {number}",
                            "slack_user_id": f"U{number:05}",
                        }
                        for number in range(PEOPLE)
                    ],
                )
            )
        self.access = Access(
            organization_id=organization_id,
            organization_name="Acme",
            workspace_id="T0001",
            member_id=self.members[-1],
            name="Author",
            email="",
            role=Role.OWNER,
            superuser=False,
            team_ids=frozenset(),
            loaded_project_ids=(project_id,),
            sees_all=True,
            shared_channels=False,
            timezone="UTC",
        )

    @contextmanager
    def delivering(self, pace: Pace) -> Iterator[None]:
        """Delivery at work."""
        identity = Identity(self.store, self.clients, Background(self.api_url))
        delivery = DeliveryService(
            open_delivery_store(self.store),
            self.clients,
            identity,
            api_url=self.api_url,
            render_digest=no_digest,
            pace=pace,
        )
        self.store.on_work = delivery.wake
        delivery.start()
        try:
            yield
        finally:
            self.store.on_work = lambda _work: None
            delivery.stop()

    def arrived(self) -> list[tuple[str, str, float]]:
        """Conversation, text and time of what the workspace took since it forgot."""
        self._pipe.send("arrived")
        found: list[tuple[str, str, float]] = self._pipe.recv()
        return found

    def measure_database(self) -> float:
        """Milliseconds that the backends have used which serve this process now."""
        with self.store.read() as connection:
            return processor_time.of_backends(connection, APPLICATION)

    def forget(self) -> None:
        """Nothing waits, and nothing has arrived."""
        with self.store.write() as tx:
            tx.execute(text("DELETE FROM outbox"))
            tx.execute(text("DELETE FROM post WHERE date_done IS NULL"))
            tx.execute(text("UPDATE destination SET due_at = NULL, leased_until = NULL, next_send_at = now()"))
        self._pipe.send("forget")

    def incident(self) -> int:
        """A new incident's number."""
        with self.store.write() as tx:
            declared = Declaration("Payments fail", Status.OPEN, self.access.project_ids)
            return lifecycle.declare(tx, self.access, declared, self.store.clock.now()).identifier

    def comment(self, incident: int, words: str, *member_ids: int) -> float:
        """A comment that mentions these; gives when it was committed."""
        mentions = "".join(f" <person:{id_}>" for id_ in member_ids)
        with self.store.write() as tx:
            written = CommentText(words + mentions, frozenset(member_ids))
            comments.add(tx, self.access, incident, written, self.store.clock.now())
        return time.time()

    def notes(self, count: int, destinations: int) -> None:
        """So many messages that wait, spread over so many people, the last ones of all."""
        for begin in range(0, count, BATCH):
            with self.store.write() as tx:
                for number in range(begin, min(begin + BATCH, count)):
                    outbox.enqueue(
                        tx,
                        workspace_id="T0001",
                        member_id=self.members[number % destinations],
                        now=self.store.clock.now(),
                        key=f"{time.time()}:{number}",
                        message=dict(text_message(f"note {number}")),
                        kind=PostKind.NOTE,
                    )

    def wait_for(self, count: int) -> list[tuple[str, str, float]]:
        """What arrived, once so much has. Raises SystemExit when it does not."""
        deadline = time.monotonic() + PATIENCE_S
        while len(found := self.arrived()) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(found)} of {count} messages arrived")
            time.sleep(0.2)
        return found


# --- what is measured --------------------------------------------------------------------------------------


def latency(bench: Bench, waiting: int) -> tuple[float, float]:
    """p50 and p99, in ms, from a comment's commit to the arrival of its mention."""
    # Each on an incident of its own, whom nobody else follows.
    incidents = [bench.incident() for _ in range(MENTIONS)]
    bench.forget()
    with bench.delivering(Pace()):
        if waiting:
            bench.notes(waiting, PEOPLE - MENTIONS - 1)
        committed = {}
        for number, incident in enumerate(incidents):
            who = bench.members[PEOPLE - MENTIONS - 1 + number]
            committed[f"word{number}."] = bench.comment(incident, f"word{number}.", who)
            time.sleep(MENTION_EVERY_S)
        deadline = time.monotonic() + PATIENCE_S
        took: list[float] = []
        while len(took) < MENTIONS:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(took)} of {MENTIONS} mentions arrived")
            time.sleep(0.5)
            took = [
                (at - committed[word]) * 1000
                for _, posted, at in bench.arrived()
                for word in posted.split()
                if word in committed
            ]
    took.sort()
    return statistics.median(took), took[int(len(took) * 0.99) - 1]


def measure_pacing(bench: Bench) -> float:
    """Messages a second in one conversation, as a ratio to the one that is allowed."""
    bench.forget()
    with bench.delivering(Pace()):
        bench.notes(PACED_DESTINATIONS * PACED_EACH, PACED_DESTINATIONS)
        found = bench.wait_for(PACED_DESTINATIONS * PACED_EACH)
    by_conversation: dict[str, list[float]] = {}
    for conversation, _, at in found:
        by_conversation.setdefault(conversation, []).append(at)
    return statistics.mean((len(times) - 1) / (max(times) - min(times)) for times in by_conversation.values())


def measure_throughput(bench: Bench) -> tuple[float, float, float]:
    """Messages a second without pacing, and the CPU of this process and of PostgreSQL for each, in ms."""
    bench.forget()
    bench.notes(THROUGHPUT_MESSAGES, THROUGHPUT_DESTINATIONS)
    begun, used, by_database = time.time(), time.process_time(), bench.measure_database()
    with bench.delivering(Pace(post_s=0.0)):
        found = bench.wait_for(THROUGHPUT_MESSAGES)
        database_ms = (bench.measure_database() - by_database) / THROUGHPUT_MESSAGES
    cpu_ms = (time.process_time() - used) * 1000 / THROUGHPUT_MESSAGES
    return THROUGHPUT_MESSAGES / (max(at for _, _, at in found) - begun), cpu_ms, database_ms


def record_throughput(stored: int, rate: float, cpu_ms: float, database_ms: float, floors: list[float]) -> None:
    """Records the rows of the table."""
    base, varied = statistics.median(floors), table.measure_variation(floors)
    name = f"messages, {stored:,} delivered ones stored"
    table.record(
        Row(name, "/s", rate, base, varied, cpu_ms, database_ms, more_is_better=True, wanted=1000.0),
        Row(f"{name}: CPU of the bot, each", "ms", cpu_ms, wanted=0.5),
    )


def floor(bench: Bench) -> float:
    """The same with slack_sdk alone."""
    bench.forget()
    client = WebClient(token=bench.token, base_url=bench.api_url)

    def post(share: range) -> None:
        for number in share:
            message: dict[str, Any] = dict(text_message(f"note {number}"))
            client.chat_postMessage(channel=f"U{number % THROUGHPUT_DESTINATIONS:05}", **message)

    threads = [
        threading.Thread(target=post, args=(range(one, THROUGHPUT_MESSAGES, SENDERS),)) for one in range(SENDERS)
    ]
    begun = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return THROUGHPUT_MESSAGES / (time.time() - begun)


def store_delivered(bench: Bench, count: int) -> None:
    """Inserts so many messages that were delivered."""
    engine = create_engine(make_url(bench.url).set(drivername="postgresql+psycopg2"))
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO post"
                " (destination_id, kind, urgency, message, wanted_version, drawn_version, ts, date_done)"
                " SELECT d.id, 'note', 3, '{}', 1, 1, '1.1', now() FROM generate_series(1, :count) n"
                " JOIN (SELECT id, row_number() OVER (ORDER BY id) AS position, count(*) OVER () AS total"
                "       FROM destination) d ON d.position = 1 + n % d.total"
            ),
            {"count": count},
        )
        connection.execute(text("ANALYZE"))
    engine.dispose()


def commits_ms(bench: Bench) -> list[float]:
    """The median time of a comment's transaction, in ms, with each of SUBSCRIBERS, nobody delivering."""
    incidents = []
    for subscribers in SUBSCRIBERS:
        incidents.append(bench.incident())
        with bench.store.write() as tx:
            tx.execute(
                text(
                    "INSERT INTO incident_subscription (incident_id, member_id, date_added)"
                    " SELECT i.id, m.id, now() FROM incident i, member m"
                    " WHERE i.identifier = :incident ORDER BY m.id LIMIT :count ON CONFLICT DO NOTHING"
                ),
                {"incident": incidents[-1], "count": subscribers},
            )
    took: list[list[float]] = [[] for _ in SUBSCRIBERS]
    for number in range(COMMENTS):
        for position, incident in enumerate(incidents):
            begun = time.perf_counter()
            bench.comment(incident, f"word {number}")
            took[position].append((time.perf_counter() - begun) * 1000)
    return [statistics.median(one) for one in took]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=1_000_000, help="delivered messages that are stored")
    stored = parser.parse_args().stored
    configure(LogLevel.WARNING, LogFormat.CONSOLE)
    ours, theirs = multiprocessing.Pipe()
    slack = multiprocessing.get_context("spawn").Process(target=workspace, args=(theirs,), daemon=True)
    slack.start()
    theirs.close()
    with scratch_postgres() as url:
        migrate(url)
        bench = Bench(url, ours)
        measure_throughput(bench)  # warm
        print_row("", "")
        print_row("---", "---")
        for delivered in (0, stored):
            if delivered:
                store_delivered(bench, delivered)
            turns = [(*measure_throughput(bench), floor(bench)) for _ in range(TURNS)]
            ours_s, cpu_ms, database_ms, bare_s = (statistics.median(one) for one in zip(*turns, strict=True))
            record_throughput(delivered, ours_s, cpu_ms, database_ms, [turn[-1] for turn in turns])
            print_row(
                f"messages a second without pacing, {delivered:,} delivered ones stored",
                f"{ours_s:.0f}, CPU of the bot {cpu_ms:.2f} ms each, of PostgreSQL {database_ms:.2f};"
                f" slack_sdk alone {bare_s:.0f}; ratio {ours_s / bare_s:.2f}",
            )
        print_row(
            "messages a second in one conversation, as a share of the allowed rate", f"{measure_pacing(bench):.1%}"
        )
        for name, waiting in (("idle", 0), (f"{WAITING:,} messages waiting for others", WAITING)):
            p50, p99 = latency(bench, waiting)
            table.record(Row(f"comment to mention, {name}", "ms", p50))
            print_row(f"from a comment's commit to its mention at Slack, {name}", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        bench.forget()
        for subscribers, ms in zip(SUBSCRIBERS, commits_ms(bench), strict=True):
            print_row(f"a comment's transaction, {subscribers:,} subscribers", f"{ms:.2f} ms")
        bench.store.close()
    ours.send(None)
    slack.join()


def print_row(what: str, figure: str) -> None:
    """Prints a row."""
    out.write(f"| {what} | {figure} |\n")
    out.flush()


if __name__ == "__main__":
    main()
