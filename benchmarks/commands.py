"""What a command costs, over Socket Mode on loopback, against the floor: `python -m benchmarks.commands`.

Floor and bot run as processes of their own on the same database, each in a workspace of its own, and are asked in
turn, so that whatever else the machine does slows both. The sandbox times each command from sending its envelope to
receiving its acknowledgement. The CPU is that of the process and of the backends that serve it, everything that the
command sets off included. The floor of reads fetches the rows, and for one row of the table finds the caller too and
answers with a line for each; that of changes commits one UPDATE and one INSERT, in one round trip or in four.
`--incidents` may be given several times; `--folder` keeps the databases for the next run.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

from sqlalchemy import URL, Connection, make_url

from benchmarks import environment, plain_client, processor_time, seed, table
from benchmarks.plain_client import PlainClient
from benchmarks.table import Row
from sandbox import Person, Sandbox, payloads
from sandbox.records import Channel
from storage.embedded import ROLE, EmbeddedPostgres, as_superuser
from storage.engine import create_pool
from storage.migrate import migrate

PAGE_500 = 500 * 10  # incidents before it
IN_FLIGHT = 10
TURNS = 5  # of bots and floor
WORKERS = (1, 2)  # processes that answer
SETTLES_S = 0.2  # what the last commands set off is done by then


@dataclass(frozen=True)
class Case:
    """One thing that is measured."""

    name: str
    words: str  # behind the slash command
    floor: str  # which work of the floor it is compared with
    page: int | None = None  # not the first page, but the one behind this many open incidents
    wanted_ratio: float | None = None  # of its time to that of the floor
    wanted_cpu_ms: float | None = None
    wanted_cpu_ratio: float | None = None
    only_manager: bool = False


READS = (
    Case("list", "list", "list", wanted_cpu_ratio=1.3),
    Case("list; floor that finds the caller and answers", "list", "answered list", only_manager=True),
    Case("list, Next to page 2", "list", "list", page=0),
    Case("list, Next to page 500", "list", "list", page=PAGE_500),
    Case("list team:team-3", "list team:team-3", "list"),
    Case("list gateway", "list gateway", "list"),
    Case("list host-77", "list host-77", "list"),
    Case("view", "view 10", "view"),
)
WRITES = (
    Case("ack", "ack 10", "write", wanted_ratio=1.5, wanted_cpu_ms=2.0),
    Case("ack; floor in four round trips", "ack 10", "write in four"),
    Case("comment", "comment 10 looking at it", "write", wanted_ratio=1.5),
    Case("comment; floor in four round trips", "comment 10 looking at it", "write in four"),
)

_HEADING = """\
| command | who | p50 ms | p99 ms | floor p50 ms | ratio | CPU ms | of it PostgreSQL | floor CPU ms |
|---|---|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Runs everything and prints the tables, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, action="append", help="size of the table (10000)")
    parser.add_argument("--rounds", type=int, default=300, help="commands measured for each figure")
    parser.add_argument("--changes", action="store_true", help="measure what changes something, and nothing else")
    parser.add_argument("--concurrency", action="store_true", help="measure commands in flight, and nothing else")
    parser.add_argument("--folder", type=Path, help="where the databases are kept for another run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch) / "database"
        with EmbeddedPostgres(folder) as url:
            for incidents in chosen.incidents or [10_000]:
                reads = () if chosen.changes or chosen.concurrency else READS
                _measure(url, incidents, chosen.rounds, reads, () if chosen.concurrency else WRITES)


def _measure(server: str, incidents: int, rounds: int, reads: Sequence[Case], writes: Sequence[Case]) -> None:
    url = fill(server, incidents)
    apart = make_url(url).update_query_dict({"application_name": "accounts"})
    print(f"\n### {incidents:,} incidents\n")
    with Sandbox() as below, Sandbox() as slack:
        floor = _Place(below, below.person(seed.MANAGER, "floor", "floor@bench.test"), below.channel("C0001", "bench"))
        channel = slack.channel("C0001", "bench")
        people = {who: _Place(slack, slack.person(who, who, f"{who.lower()}@bench.test"), channel) for who in _PEOPLE}
        manager = people[seed.MANAGER]
        with (
            _process(below, "benchmarks.floor", url) as floor_pid,
            _process(slack, "bot.cli", url, "serve") as bot_pid,
            closing(create_pool(apart, autocommit=True, size=1).connect()) as connection,
        ):
            accounts = Accounts(connection, bot_pid, floor_pid)
            if reads or writes:
                print(_HEADING)
            for case in reads:
                for who, label in _PEOPLE.items():
                    if case.only_manager and who != seed.MANAGER:
                        continue
                    press = _press(people[who], case.page) if case.page is not None else None
                    # Who sees few incidents, or a small table, has no such page.
                    if case.page is None or (press and case.page < incidents // seed.OPEN_ONE_IN):
                        _row(case, label, *_times(accounts, floor, people[who], case, rounds, press))
            for case in writes:
                _row(case, _PEOPLE[seed.MANAGER], *_times(accounts, floor, manager, case, rounds))
        _throughput(url, apart, floor, manager, rounds * 3)
        print(f"\nLoad {os.getloadavg()[0]:.1f}.")
        slack.problems.clear()


@dataclass(frozen=True)
class _Place:
    """Somebody in a channel of a workspace."""

    slack: Sandbox
    person: Person
    channel: Channel

    def command(self, words: str) -> float:
        """Milliseconds from the command to its acknowledgement."""
        return self.person.command("/incident", words, channel=self.channel).acknowledged.seconds * 1000

    def build(self, words: str) -> dict[str, Any]:
        """The payload of a command, which is not sent."""
        platform = self.slack.platform
        with platform.workspace.changing():
            return payloads.command(platform, self.person.user, self.channel, "/incident", words)

    def replay(self, payload: dict[str, Any]) -> float:
        """The same for a press."""
        return self.person.replay(payload).seconds * 1000


_PEOPLE = {
    seed.MANAGER: "manager",
    seed.FIVE_TEAMS: "member of five teams",
    seed.QUIET: f"sees {seed.QUIET_INCIDENTS}",
}


def fill(server: str, incidents: int) -> str:
    """A database of the server with that many incidents, made unless it is there; gives its URL."""
    name = f"bench_{incidents}"
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    engine = create_pool(as_superuser(server), statement_timeout_ms=0, autocommit=True)
    with engine.connect() as connection:
        there = connection.exec_driver_sql("SELECT 1 FROM pg_database WHERE datname = %(n)s", {"n": name}).first()
        if there is None:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}" OWNER {ROLE}')
    engine.dispose()
    migrate(url)  # one that was kept may be an earlier version's
    if there is None:
        engine = create_pool(url, statement_timeout_ms=0)
        with engine.connect() as connection:
            seed.fill(connection, incidents)
        engine.dispose()
    return url


@contextmanager
def _process(
    slack: Sandbox, module: str, url: str, *arguments: str, client: PlainClient | None = None, sockets: int = 1
) -> Iterator[int]:
    """The floor or the bot, connected to the workspace or to a client before it, until the block ends.

    Gives its process id.
    """
    parsed = make_url(url)
    settings = {
        **environment.of_bot(slack, url),
        "FLOOR_DSN": f"host={parsed.query['host']} user={parsed.username} dbname={parsed.database}"
        " application_name=floor",
        "FLOOR_ROWS": json.dumps({"list": list(range(10, 110, 10)), "view": 10}),
    }
    if client is not None:
        settings["SLACK_API_URL"] = client.api_url
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=settings)
    try:
        if client is None:
            slack.wait_until_connected(timeout=60)
        else:
            client.wait_until_connected(sockets)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)
        slack.wait_until(lambda: slack.connections == 0, timeout=20)


@dataclass(frozen=True)
class Used:
    """Milliseconds of CPU that bot and floor have used, each with the backends that serve it."""

    bot: float
    bot_backends: float
    floor: float
    floor_backends: float


@dataclass(frozen=True)
class Accounts:
    """Where the CPU of bot and floor is looked up."""

    connection: Connection
    bot_pid: int
    floor_pid: int

    def look_up(self) -> Used:
        """What they have used until now."""
        return Used(
            processor_time.of_process(self.bot_pid),
            processor_time.of_backends(self.connection, "tocsin"),
            processor_time.of_process(self.floor_pid),
            processor_time.of_backends(self.connection, "floor"),
        )


def _times(
    accounts: Accounts, floor: _Place, place: _Place, case: Case, rounds: int, press: dict[str, Any] | None = None
) -> tuple[list[float], list[float], Used]:
    """Milliseconds of the case and of its floor, in turn, and the CPU of each; a tenth more is not counted."""
    ours: list[float] = []
    floors: list[float] = []
    before = accounts.look_up()
    for number in range(rounds * 11 // 10):
        if number == rounds // 10:
            before = accounts.look_up()
        floors.append(floor.command(case.floor))
        ours.append(place.command(case.words) if press is None else place.replay(press))
    sleep(SETTLES_S)
    after = accounts.look_up()
    used = _divide(after, before, rounds)
    return ours[rounds // 10 :], floors[rounds // 10 :], used


def _divide(after: Used, before: Used, count: int) -> Used:
    """What each of so many commands has used."""
    return Used(*((now - then) / count for now, then in zip(astuple(after), astuple(before), strict=True)))


def _press(place: _Place, incidents: int) -> dict[str, Any] | None:
    """A press on Next that leads behind so many open incidents; None where a list has but one page."""
    answer = place.person.command("/incident", "list", channel=place.channel)
    if answer.message is None or "Next" not in answer.buttons:
        return None
    place.person.press(answer.message, "Next")
    found = next(one for one in reversed(place.slack.sent) if one.sent.get("type") == "block_actions")
    press: dict[str, Any] = copy.deepcopy(found.sent)
    value = json.loads(press["actions"][0]["value"])
    if incidents:
        # Every tenth incident is open, and they are a minute apart.
        far = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(minutes=incidents * seed.OPEN_ONE_IN)
        press["actions"][0]["value"] = json.dumps({**value, "t": far.isoformat(), "i": 2**62})
    return press


def _row(case: Case, who: str, times: list[float], floor: list[float], used: Used) -> None:
    p50, base = statistics.median(times), statistics.median(floor)
    p99 = sorted(times)[int(len(times) * 0.99)]
    cpu, floor_cpu = used.bot + used.bot_backends, used.floor + used.floor_backends
    print(
        f"| {case.name} | {who} | {p50:.2f} | {p99:.2f} | {base:.2f} | {p50 / base:.2f}"
        f" | {cpu:.2f} | {used.bot_backends:.2f} | {floor_cpu:.2f} |",
        flush=True,
    )
    of_manager = who == _PEOPLE[seed.MANAGER]
    if not of_manager and case.name != "list":
        return  # the table has what differs
    name, varied = case.name if of_manager else f"{case.name}, {who}", table.measure_variation(floor)
    table.record(Row(name, "ms", p50, base, varied, used.bot, used.bot_backends, wanted_ratio=case.wanted_ratio))
    if of_manager and (case.wanted_cpu_ms or case.wanted_cpu_ratio or case.only_manager):
        wanted, ratio = case.wanted_cpu_ms, case.wanted_cpu_ratio
        table.record(Row(f"{name}: CPU", "ms", cpu, floor_cpu, varied, wanted=wanted, wanted_ratio=ratio))


def _throughput(url: str, apart: URL, floor: _Place, manager: _Place, count: int) -> None:
    """Lists a second with IN_FLIGHT of them under way, from clients that check no answers; bots and floor in turn."""
    with ExitStack() as running:
        connection = running.enter_context(closing(create_pool(apart, autocommit=True, size=1).connect()))

        def start(place: _Place, module: str, *words: str, sockets: int = 1) -> Callable[[], tuple[float, Used]]:
            client = running.enter_context(plain_client.start(place.slack.api_url))
            pid = running.enter_context(_process(place.slack, module, url, *words, client=client, sockets=sockets))
            accounts, payload = Accounts(connection, pid, pid), place.build("list")

            def measure() -> tuple[float, Used]:
                before = accounts.look_up()
                rate = client.measure_rate(payload, count, IN_FLIGHT)
                return rate, _divide(accounts.look_up(), before, count)

            return measure

        measure_floor = start(floor, "benchmarks.floor")
        bots = {n: start(manager, "bot.cli", "serve", "--workers", str(n), sockets=n) for n in WORKERS}
        turns = [(measure_floor(), [measure() for measure in bots.values()]) for _ in range(TURNS + 1)][1:]  # warm
    floors = [rate for (rate, _), _ in turns]
    base, varied = statistics.median(floors), table.measure_variation(floors)
    print(f"\n`list`, {IN_FLIGHT} in flight: floor {base:,.0f}/s")
    for place, workers in enumerate(bots):
        rate = statistics.median(runs[place][0] for _, runs in turns)
        bot, backends = (
            statistics.median(getattr(runs[place][1], name) for _, runs in turns) for name in ("bot", "bot_backends")
        )
        name = f"list, {IN_FLIGHT} in flight" + ("" if workers == 1 else f", --workers {workers}")
        print(f"{name}: {rate:,.0f}/s; ratio {rate / base:.2f}; CPU {bot + backends:.2f} ms, of it the bot {bot:.2f}")
        table.record(Row(name, "/s", rate, base, varied=varied, more_is_better=True, wanted_ratio=0.6))


if __name__ == "__main__":
    main()
