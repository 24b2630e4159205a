"""`serve` as a process of its own: told to stop in the middle of requests, and killed without a word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import NotAcknowledged, NotConnected, Sandbox
from storage.engine import Store
from tests.stories.conftest import ORGANIZATION, Cast, apply_file, populate

ROOT = Path(__file__).parents[2]
STOPS_WITHIN_S = 10  # the contract's
PATIENCE_S = 60  # of the tests, on a busy machine


class Serving:
    """A bot as a process of its own."""

    def __init__(self, slack: Sandbox, database_url: str, folder: Path, *, over_http: bool) -> None:
        self.lines: list[dict[str, object]] = []
        self._said = threading.Condition()
        line = {"SLACK_SIGNING_SECRET": slack.signing_secret} if over_http else {"SLACK_APP_TOKEN": slack.app_token}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "serve"],
            cwd=folder,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(folder),
                "PYTHONPATH": str(ROOT),
                "DATABASE_URL": database_url,
                "SLACK_API_URL": slack.api_url,
                "SLACK_BOT_TOKEN": slack.bot_token,
                "HTTP_PORT": "0",
                "LOG_FORMAT": "json",
                **line,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        port = self.wait_for("serving HTTP")["port"]
        self.wait_for("ready")
        if over_http:
            slack.use_http(f"http://127.0.0.1:{port}/slack/events")
        else:
            slack.wait_until_connected()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._said:
                self.lines.append(json.loads(line) if line.startswith("{") else {"event": line})
                self._said.notify_all()

    def wait_for(self, event: str) -> dict[str, object]:
        """The line of the log that says so."""
        with self._said:
            found = self._said.wait_for(
                lambda: next((line for line in self.lines if line["event"] == event), None), PATIENCE_S
            )
        assert found is not None, self.lines
        return found

    def end(self) -> int:
        """The exit code of a process that has been told to stop."""
        code = self.process.wait(STOPS_WITHIN_S)
        self._reader.join(PATIENCE_S)
        return code

    def close(self) -> None:
        """Leaves nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def cast(slack: Sandbox, store: Store, tmp_path: Path) -> Cast:
    found = populate(slack)
    apply_file(store, tmp_path, ORGANIZATION)
    return found


@pytest.fixture
def running() -> Iterator[list[Serving]]:
    processes: list[Serving] = []
    yield processes
    for process in processes:
        process.close()


@pytest.mark.parametrize("over_http", [False, True], ids=["socket", "http"])
def test_told_to_stop_it_answers_what_it_holds_and_ends_well(
    slack: Sandbox, cast: Cast, database_url: str, tmp_path: Path, running: list[Serving], over_http: bool
) -> None:
    bot = Serving(slack, database_url, tmp_path, over_http=over_http)
    running.append(bot)
    cast.ada.command("/incident", "declare project:checkout Payments fail", channel=cast.checkout)
    strangers = [slack.person(f"U10{n}", f"Stranger {n}", f"{n}@elsewhere.test") for n in range(6)]
    slack.faults.slow("users.info", 1.0, times=None)
    with ThreadPoolExecutor(8) as many:
        asked = [many.submit(one.command, "/incident", "list", channel=cast.random) for one in strangers]
        asked.append(many.submit(cast.ben.command, "/incident", "comment 1 Looking", channel=cast.random))
        slack.wait_until(lambda: len(slack.calls("users.info")) >= 8, what="requests under way", timeout=PATIENCE_S)
        bot.process.send_signal(signal.SIGTERM)
        answers = [one.result().text for one in asked]
    assert all("not a member" in text for text in answers[:-1])
    assert "Your comment is on #1" in answers[-1]
    assert bot.end() == 0
    assert bot.lines[-1]["event"] == "stopped"
    assert not any(line.get("level") in ("error", "critical") for line in bot.lines)


@pytest.mark.parametrize("over_http", [False, True], ids=["socket", "http"])
def test_killed_it_loses_nothing_that_it_had_acknowledged(
    slack: Sandbox,
    cast: Cast,
    store: Store,
    database_url: str,
    tmp_path: Path,
    running: list[Serving],
    over_http: bool,
) -> None:
    bot = Serving(slack, database_url, tmp_path, over_http=over_http)
    running.append(bot)
    acknowledged: list[str] = []
    enough = threading.Event()

    def declares(number: int) -> None:
        person = (cast.ada, cast.ben, cast.dan)[number % 3]
        for turn in range(1000):
            title = f"Fire {number}.{turn}."
            try:
                answer = person.command("/incident", f"declare project:checkout {title}", channel=cast.checkout)
            except (NotAcknowledged, NotConnected):
                return
            if title in answer.text:
                acknowledged.append(title)
            if len(acknowledged) >= 40:
                enough.set()

    with ThreadPoolExecutor(4) as many:
        everybody = [many.submit(declares, number) for number in range(4)]
        assert enough.wait(PATIENCE_S)
        bot.process.send_signal(signal.SIGKILL)
        for one in everybody:
            one.result()
    assert bot.process.wait() == -signal.SIGKILL
    slack.problems.clear()  # those who were not answered

    again = Serving(slack, database_url, tmp_path, over_http=over_http)
    running.append(again)
    with store.read() as connection:
        titles = list(connection.exec_driver_sql("SELECT title FROM incident ORDER BY identifier").scalars())
        numbers = list(connection.exec_driver_sql("SELECT identifier FROM incident ORDER BY identifier").scalars())
    assert set(acknowledged) <= set(titles)
    assert len(titles) == len(set(titles))
    assert numbers == list(range(1, len(numbers) + 1))
    shown = cast.dan.command("/incident", f'list all "{acknowledged[-1]}"', channel=cast.random)
    assert acknowledged[-1] in shown.text
    again.process.send_signal(signal.SIGTERM)
    assert again.end() == 0
