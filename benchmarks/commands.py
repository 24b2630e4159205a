"""What a command costs, over Socket Mode on loopback, against the floor: `python -m benchmarks.commands`.

Floor and bot run as processes of their own on the same database and the same sandbox, one after the other; the
sandbox times each command from sending its envelope to receiving its acknowledgement. `--incidents` may be given
several times; `--folder` keeps the databases for the next run.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import make_url

from benchmarks import seed
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
    Case("list, page 500", "list", "list", page=PAGE_500),
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
    with Sandbox() as slack:
        channel = slack.channel("C0001", "bench")
        people = {who: slack.person(who, who, f"{who.lower()}@bench.test") for who in _PEOPLE}
        manager = people[seed.MANAGER]
        with _process(slack, "benchmarks.floor", url):
            floor = {rows: _timed(manager, f"{rows} 10", channel, rounds) for rows in ("list", "view")}
            floor_rate = _throughput(manager, "list", channel, rounds)
        print("| command | who | p50 ms | p99 ms | floor p50 ms | ratio |\n|---|---|---:|---:|---:|---:|")
        with _process(slack, "bot.cli", url, "serve"):
            for case in READS:
                for who, label in _PEOPLE.items():
                    _row(case, label, _times(slack, people[who], case, channel, rounds), floor)
            for case in WRITES:
                _row(case, _PEOPLE[seed.MANAGER], _times(slack, manager, case, channel, rounds), floor)
            rate = _throughput(manager, "list", channel, rounds)
        print(
            f"\n`list`, {IN_FLIGHT} in flight: {rate:,.0f}/s; floor {floor_rate:,.0f}/s; ratio {floor_rate / rate:.2f}"
        )
        slack.problems.clear()


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
    if there is None:
        migrate(url)
        engine = create_pool(url, statement_timeout_ms=0)
        with engine.connect() as connection:
            seed.fill(connection, incidents)
        engine.dispose()
    return url


@contextmanager
def _process(slack: Sandbox, module: str, url: str, *arguments: str) -> Iterator[None]:
    """The floor or the bot, connected to the workspace, until the block ends."""
    parsed = make_url(url)
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "HTTP_PORT": "0",
        "LOG_LEVEL": "error",
        "FLOOR_DSN": f"host={parsed.query['host']} user={parsed.username} dbname={parsed.database}",
        "FLOOR_ROWS": json.dumps({"list": list(range(10, 110, 10)), "view": 10}),
    }
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment)
    try:
        slack.wait_until_connected(timeout=60)
        yield
    finally:
        process.terminate()
        process.wait(20)
        slack.wait_until(lambda: slack.connections == 0, timeout=20)


def _timed(person: Person, words: str, channel: Channel, rounds: int) -> list[float]:
    """Milliseconds from each command to its acknowledgement, in order of size; a tenth more are not counted."""
    times = [person.command("/incident", words, channel=channel).acknowledged.seconds for _ in range(rounds * 11 // 10)]
    return sorted(seconds * 1000 for seconds in times[rounds // 10 :])


def _times(slack: Sandbox, person: Person, case: Case, channel: Channel, rounds: int) -> list[float]:
    if case.page is None:
        return _timed(person, case.words, channel, rounds)
    answer = person.command("/incident", case.words, channel=channel)
    if answer.message is None or "Next" not in answer.buttons:
        return _timed(person, case.words, channel, rounds)
    person.press(answer.message, "Next")
    press = _latest_press(slack)
    value = json.loads(press["actions"][0]["value"])
    # Every tenth incident is open, and they are a minute apart.
    far = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(minutes=case.page * seed.OPEN_ONE_IN)
    press["actions"][0]["value"] = json.dumps({**value, "t": far.isoformat(), "i": 2**62})
    return _replayed(person, press, rounds)


def _latest_press(slack: Sandbox) -> dict[str, Any]:
    found = next(one for one in reversed(slack.sent) if one.sent.get("type") == "block_actions")
    payload: dict[str, Any] = copy.deepcopy(found.sent)
    return payload


def _replayed(person: Person, payload: dict[str, Any], rounds: int) -> list[float]:
    times = []
    for _ in range(rounds * 11 // 10):
        started = perf_counter()
        person.replay(payload)
        times.append((perf_counter() - started) * 1000)
    return sorted(times[rounds // 10 :])


def _row(case: Case, who: str, times: list[float], floor: dict[str, list[float]]) -> None:
    p50, base = statistics.median(times), statistics.median(floor[case.rows])
    p99 = times[int(len(times) * 0.99)]
    print(f"| {case.name} | {who} | {p50:.2f} | {p99:.2f} | {base:.2f} | {p50 / base:.2f} |", flush=True)


def _throughput(person: Person, words: str, channel: Channel, rounds: int) -> float:
    """Commands a second with IN_FLIGHT of them under way."""
    work: Callable[[int], object] = lambda _: person.command("/incident", words, channel=channel)  # noqa: E731
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(work, range(rounds // 2)))
        started = perf_counter()
        list(pool.map(work, range(rounds * 3)))
        return rounds * 3 / (perf_counter() - started)


if __name__ == "__main__":
    main()
