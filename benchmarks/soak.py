"""Whether the bot stays small, and how soon it is ready: `python -m benchmarks.soak [--commands 100000]`.

Starts `serve` on a warm data folder, then sends it a mix of commands over Socket Mode, and reads the resident
memory of its process on the way (Linux).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from benchmarks import environment, seed, table
from benchmarks.commands import IN_FLIGHT, fill
from benchmarks.table import Row
from sandbox import Person, Sandbox
from sandbox.records import Channel
from storage.embedded import EmbeddedPostgres

INCIDENTS = 1_000
MIX = ("list", "view 10", "list gateway", "activity 20", "ack 30", "help", "view 99999", "list team:mine seen:no")
STEPS = 5


def main() -> None:
    """Runs it and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=100_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "database") as server:
        url = fill(server, INCIDENTS)
        with Sandbox() as slack:
            channel = slack.channel("C0001", "bench")
            people = [slack.person(who, who, f"{who.lower()}@bench.test") for who in (seed.MANAGER, seed.FIVE_TEAMS)]
            started = perf_counter()
            process = subprocess.Popen([sys.executable, "-m", "bot.cli", "serve"], env=environment.of_bot(slack, url))
            try:
                slack.wait_until_connected(timeout=60)
                print(f"connected after {perf_counter() - started:.2f} s")
                _commands(slack, process.pid, people, channel, chosen.commands)
            finally:
                process.terminate()
                process.wait(20)


def _commands(slack: Sandbox, pid: int, people: list[Person], channel: Channel, commands: int) -> None:
    print("| commands | resident MB |\n|---:|---:|")
    print(f"| 0 | {_resident_mb(pid):.0f} |")
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for step in range(1, STEPS + 1):
            numbers = range(commands * (step - 1) // STEPS, commands * step // STEPS)
            list(pool.map(lambda n: _one(people[n % len(people)], channel, MIX[n % len(MIX)]), numbers))
            print(f"| {commands * step // STEPS:,} | {_resident_mb(pid):.0f} |", flush=True)
    table.record(Row(f"resident after {commands:,} commands", "MB", _resident_mb(pid), wanted=120.0))
    slack.problems.clear()


def _one(person: Person, channel: Channel, words: str) -> None:
    person.command("/incident", words, channel=channel)


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kilobytes) / 1024


if __name__ == "__main__":
    main()
