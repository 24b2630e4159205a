"""How soon `serve` is ready: `python -m benchmarks.startup [--rounds N]`.

On a data folder that was used before, with the embedded PostgreSQL, from starting the process until `/readyz` says
ok: the database started and migrated, Slack connected. Python has kept the bytecode of a start before, also where
PYTHONDONTWRITEBYTECODE says that it should not. The floor starts a Python that only loads the libraries.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import table
from benchmarks.table import Row
from sandbox import Sandbox
from storage.embedded.scratch import scratch_folder

RUN_BOT = Path(__file__).parents[1] / "run_bot.py"
LIBRARIES = "import fastapi, psycopg2, slack_bolt, sqlalchemy.orm, uvicorn"
LOOK_EVERY_S = 0.005
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
COMMANDS = {"--help": 0.25, "manifest": 0.25}  # and the seconds of CPU that are wanted


class Start(NamedTuple):
    """What a start took until the bot was ready."""

    seconds: float
    cpu: float  # seconds of the bot's process


def main() -> None:
    """Prints a table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="starts measured")
    rounds: int = parser.parse_args().rounds
    print("| what | s p50 | s worst |\n|---|---:|---:|")
    loading = [_timed(_load) for _ in range(rounds)]
    _row("loading the libraries (floor)", loading)
    for command, wanted in COMMANDS.items():
        cpu = [_measure_cpu(command) for _ in range(rounds)]
        _row(f"{command}, CPU", cpu)
        table.record(Row(f"run_bot.py {command}: CPU", "s", statistics.median(cpu), wanted=wanted))
    with Sandbox() as slack, scratch_folder() as folder:
        _start(slack, folder)  # makes the database
        starts = [_start(slack, folder) for _ in range(rounds)]
    seconds, used = [one.seconds for one in starts], [one.cpu for one in starts]
    _row("start to ready, warm folder", seconds)
    _row("start to ready, CPU of the bot", used)
    base, varied = statistics.median(loading), table.measure_variation(loading)
    cpu_ms = 1000 * statistics.median(used)
    table.record(Row("serve, start to ready", "s", statistics.median(seconds), base, varied, cpu_ms, wanted=1.0))


def _row(what: str, seconds: list[float]) -> None:
    print(f"| {what} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |", flush=True)


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _measure_cpu(command: str) -> float:
    """Seconds of CPU that a command of run_bot.py takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, str(RUN_BOT), command], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _load() -> None:
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True, env=ENVIRONMENT)


def _start(slack: Sandbox, folder: Path) -> Start:
    """Starts `serve`, and ends it once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **ENVIRONMENT,
        "DATABASE_URL": "",
        "TOCSIN_DATA_DIR": str(folder / "data"),
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "HTTP_PORT": str(port),
        "LOG_LEVEL": "error",
    }
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, str(RUN_BOT), "serve"], env=environment)
    try:
        while not _is_ready(port):
            if process.poll() is not None:
                raise RuntimeError(f"serve ended with {process.returncode}")
            time.sleep(LOOK_EVERY_S)
        return Start(time.perf_counter() - began, _read_cpu(process.pid))
    finally:
        process.terminate()
        process.wait()


def _read_cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, with its threads that have ended: most is loaded on one of those."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


if __name__ == "__main__":
    main()
