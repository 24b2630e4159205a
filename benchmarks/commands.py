"""What a command costs, over Socket Mode on loopback, against the floor: `python -m benchmarks.commands`.

Floor and bot run as processes of their own on the same database, each in a workspace of its own, and are asked in
turn, so that whatever else the machine does slows both. The sandbox times each command from sending its envelope to
receiving its acknowledgement. `--incidents` may be given several times; `--folder` keeps the databases for the next
run.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import make_url

from benchmarks import environment, seed
from sandbox import Person, Sandbox
from sandbox.records import Channel
from storage.embedded import EmbeddedPostgres
from storage.engine import create_pool
from storage.migrate import migrate

PAGE_500 = 500 * 10  # incidents before it
IN_FLIGHT = 10


@dataclass(frozen=True)
class Case:
    """One thing that is measured."""

    name: str
    words: str  # behind the slash command
    rows: str  # which of the floor's rows it is compared with
    page: int | None = None  # not the first page, but the one behind this many open incidents


READS = (
    Case("list", "list", "list"),
    Case("list, Next to page 2", "list", "list", page=0),
    Case("list, Next to page 500", "list", "list", page=PAGE_500),
    Case("list team:team-3", "list team:team-3", "list"),
    Case("list gateway", "list gateway", "list"),
    Case("list host-77", "list host-77", "list"),
    Case("view", "view 10", "view"),
)
WRITES = (Case("ack", "ack 10", "view"), Case("comment", "comment 10 looking at it", "view"))


def main() -> None:
    """Runs everything and prints the tables, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, action="append", help="size of the table (10000)")
    parser.add_argument("--rounds", type=int, default=300, help="commands measured for each figure")
    parser.add_argument("--folder", type=Path, help="where the databases are kept for another run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch) / "database"
        with EmbeddedPostgres(folder) as url:
            for incidents in chosen.incidents or [10_000]:
                _measure(url, incidents, chosen.rounds)


def _measure(server: str, incidents: int, rounds: int) -> None:
    url = fill(server, incidents)
    print(f"\n### {incidents:,} incidents\n")
    with Sandbox() as below, Sandbox() as slack:
        floor = _Place(below, below.person(seed.MANAGER, "floor", "floor@bench.test"), below.channel("C0001", "bench"))
        channel = slack.channel("C0001", "bench")
        people = {who: _Place(slack, slack.person(who, who, f"{who.lower()}@bench.test"), channel) for who in _PEOPLE}
        manager = people[seed.MANAGER]
        with _process(below, "benchmarks.floor", url), _process(slack, "bot.cli", url, "serve"):
            print("| command | who | p50 ms | p99 ms | floor p50 ms | ratio |\n|---|---|---:|---:|---:|---:|")
            for case in READS:
                for who, label in _PEOPLE.items():
                    press = _press(people[who], case.page) if case.page is not None else None
                    # Who sees few incidents, or a small table, has no such page.
                    if case.page is None or (press and case.page < incidents // seed.OPEN_ONE_IN):
                        _row(case, label, *_times(floor, people[who], case, rounds, press))
            for case in WRITES:
                _row(case, _PEOPLE[seed.MANAGER], *_times(floor, manager, case, rounds))
            floor_rate = _throughput(floor, "list", rounds)
            rate = _throughput(manager, "list", rounds)
        print(
            f"\n`list`, {IN_FLIGHT} in flight: {rate:,.0f}/s; floor {floor_rate:,.0f}/s; ratio {floor_rate / rate:.2f}"
        )
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
    engine = create_pool(server, statement_timeout_ms=0, autocommit=True)
    with engine.connect() as connection:
        there = connection.exec_driver_sql("SELECT 1 FROM pg_database WHERE datname = %(n)s", {"n": name}).first()
        if there is None:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    migrate(url)  # one that was kept may be an earlier version's
    if there is None:
        engine = create_pool(url, statement_timeout_ms=0)
        with engine.connect() as connection:
            seed.fill(connection, incidents)
        engine.dispose()
    return url


@contextmanager
def _process(slack: Sandbox, module: str, url: str, *arguments: str) -> Iterator[None]:
    """The floor or the bot, connected to the workspace, until the block ends."""
    parsed = make_url(url)
    settings = {
        **environment.of_bot(slack, url),
        "FLOOR_DSN": f"host={parsed.query['host']} user={parsed.username} dbname={parsed.database}",
        "FLOOR_ROWS": json.dumps({"list": list(range(10, 110, 10)), "view": 10}),
    }
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=settings)
    try:
        slack.wait_until_connected(timeout=60)
        yield
    finally:
        process.terminate()
        process.wait(20)
        slack.wait_until(lambda: slack.connections == 0, timeout=20)


def _times(
    floor: _Place, place: _Place, case: Case, rounds: int, press: dict[str, Any] | None = None
) -> tuple[list[float], list[float]]:
    """Milliseconds of the case and of its floor, in turn; a tenth more rounds are not counted."""
    ours, floors = [], []
    for _ in range(rounds * 11 // 10):
        floors.append(floor.command(f"{case.rows} 10"))
        ours.append(place.command(case.words) if press is None else place.replay(press))
    return ours[rounds // 10 :], floors[rounds // 10 :]


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


def _row(case: Case, who: str, times: list[float], floor: list[float]) -> None:
    p50, base = statistics.median(times), statistics.median(floor)
    p99 = sorted(times)[int(len(times) * 0.99)]
    print(f"| {case.name} | {who} | {p50:.2f} | {p99:.2f} | {base:.2f} | {p50 / base:.2f} |", flush=True)


def _throughput(place: _Place, words: str, rounds: int) -> float:
    """Commands a second with IN_FLIGHT of them under way."""
    work: Callable[[int], float] = lambda _: place.command(words)  # noqa: E731
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(work, range(rounds // 2)))
        started = perf_counter()
        list(pool.map(work, range(rounds * 3)))
        return rounds * 3 / (perf_counter() - started)


if __name__ == "__main__":
    main()
