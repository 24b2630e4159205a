"""The previous release and this one on one database, in both orders, while people and alerts are at work."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import SeenMessage
from sandbox.clock import Clock as WorkspaceClock
from sandbox.sandbox import Sandbox
from storage.embedded import scratch_postgres
from storage.engine import Store
from storage.migrate import HEAD, get_revisions
from tests.patience import PATIENCE_S
from tests.slack.serving import Serving
from tests.stories.conftest import ORGANIZATION, populate, slack
from tests.upgrade.previous_release import ARCHIVE, COMMIT, FOLDERS, ROOT, extract, find_in_git, list_files

__all__ = ["slack"]

CLI = "import sys; from bot.cli import main; sys.exit(main(sys.argv[1:]))"
# A busy machine, and Slack's pace, are not what this is about.
QUICK_AND_PATIENT = (
    ("bot/slack/deadline.py", "DEADLINE_S = 2.5\n", "DEADLINE_S = 60.0\n"),
    ("bot/delivery/pace.py", "post_s: float = 1.0 ", "post_s: float = 0.05 "),
    ("bot/delivery/pace.py", "update_s: float = 1.2 ", "update_s: float = 0.05 "),
)
# The previous release has no limit, and misses a SIGTERM now and then: where another thread than the main one takes it.
SLOW_TO_STOP = ("bot/stopping.py", "LIMIT_S = 10.0\n", "LIMIT_S = 60.0\n")
SURE_TO_STOP = ("bot/app.py", "        stop.wait()\n", "        while not stop.wait(0.1):\n            pass\n")
BUSY = """
SELECT EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM post WHERE wanted_version > drawn_version)
  OR EXISTS (SELECT FROM destination WHERE leased_until > now())
  OR EXISTS (SELECT FROM digest_fire WHERE state IN ('due', 'posted'))
"""


@pytest.fixture
def database_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty server at the machine's date: the previous release takes the time from its machine."""
    monkeypatch.setattr(WorkspaceClock, "base_s", 0.0)
    with scratch_postgres() as url:
        yield url


def make_patient(sources: Path) -> None:
    """Changes what is waited for, in a copy of a version."""
    stops = SLOW_TO_STOP if (sources / SLOW_TO_STOP[0]).exists() else SURE_TO_STOP
    for file, old, new in (*QUICK_AND_PATIENT, stops):
        path = sources / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (path, old)
        path.write_text(text.replace(old, new), encoding="utf-8")


class Deployment:
    """Replicas of both versions on one database and one workspace."""

    def __init__(self, slack: Sandbox, database_url: str, folder: Path, running: ExitStack) -> None:
        self.slack, self.database_url, self.folder, self._running = slack, database_url, folder, running
        self.cast = populate(slack)
        self.rounds = 0
        self.bots: list[Serving] = []
        self.ended: list[Serving] = []
        self._previous, self._this = extract(folder / "previous"), folder / "this"
        for package in FOLDERS:
            shutil.copytree(ROOT / package, self._this / package, ignore=shutil.ignore_patterns("__pycache__"))
        for sources in (self._previous, self._this):
            make_patient(sources)

    def start(self, *, previous: bool) -> Serving:
        """A replica of one of the versions, once it takes requests."""
        sockets = self.slack.connections
        bot = Serving(
            self.slack,
            self.database_url,
            self.folder,
            over_http=False,
            ready=True,
            environment={},
            role="all",
            sources=self._previous if previous else self._this,
            command=("-c", CLI, "serve"),
        )
        self._running.callback(bot.close)
        self.slack.wait_until_connected(sockets + 1, PATIENCE_S)
        self.bots.append(bot)
        return bot

    def stop(self, bot: Serving) -> None:
        """Ends a replica as a deploy does."""
        self.bots.remove(bot)
        self.ended.append(bot)
        bot.process.terminate()
        assert bot.end() == 0

    def set_up(self) -> None:
        """Acme's organization, a token, and a digest."""
        self.store = Store.open(self.database_url)
        self._running.callback(self.store.close)
        (self.folder / "acme.yaml").write_text(ORGANIZATION, encoding="utf-8")
        self.run_previous("apply", "acme.yaml")
        printed = self.run_previous("token", "create", "--organization", "acme", "--source", "events")
        self.headers = {"Authorization": f"Bearer {printed.splitlines()[-1]}"}
        self.ask("ada", 'digest add "0 0 1 1 *" picture:no')

    def run_previous(self, *words: str) -> str:
        """Runs a command of the previous release. Returns what it prints."""
        environment = {"PATH": os.defpath, "PYTHONPATH": str(self._previous), "DATABASE_URL": self.database_url}
        done = subprocess.run(
            [sys.executable, "-c", CLI, *words], cwd=self.folder, env=environment, check=True, capture_output=True
        )
        return done.stdout.decode()

    def ask(self, who: str, words: str) -> str:
        """What somebody's command is answered with."""
        text = getattr(self.cast, who).command("/incident", words, channel=self.cast.checkout).text
        assert "went wrong" not in text and "database" not in text, (words, text)
        return str(text)

    def alert(self, bot: Serving, key: str, **fields: str) -> None:
        """Delivers an alert to a replica."""
        alert = {"dedup_key": key, "title": f"Disk {key} is full", "project": "checkout", **fields}
        answer = httpx.post(f"{bot.url}/intake/events", json=alert, headers=self.headers, timeout=PATIENCE_S)
        assert answer.status_code == 202, answer.text

    def without_storms(self) -> None:
        """Has each alert get a card of its own, so that cards can be counted."""
        with self.store.write() as tx:
            tx.exec_driver_sql("UPDATE project SET storm_cards = 1000")

    def work(self) -> None:
        """A round of stories. The workspace gives the requests to the replicas in turn."""
        self.rounds += 1
        name = f"Round {self.rounds}"
        number = int(self.ask("ada", f"declare critical project:checkout {name}").split("#", 1)[1].split()[0])
        card = self.find_card(f"#{number} {name}")
        self.ask("ben", f"subscribe {number}")
        with ThreadPoolExecutor(6) as pool:
            done: list[Future[Any]] = [
                pool.submit(self.ask, "ben", f"ack {number}"),
                pool.submit(self.ask, "ada", f"comment {number} {name}: looking into it"),
                pool.submit(self.ask, "sue", f"comment {number} {name}: for <@U0002>"),
                pool.submit(self.cast.dan.press, card, "Acknowledge"),
                pool.submit(self.cast.ben.reply, card, f"{name}: a reply"),
                pool.submit(self.ask, "ada", "list"),
                pool.submit(self.ask, "dan", f"activity {number}"),
                *(pool.submit(self.alert, bot, name) for bot in self.bots * 2),
                *(pool.submit(self.alert, bot, f"{name} {n}") for n, bot in enumerate(self.bots * 2)),
            ]
            for one in done:
                one.result()
        self.find_card(f"Disk {name} is full")
        with ThreadPoolExecutor(6) as pool:
            done = [
                pool.submit(self.ask, "ada", f"resolve {number} {name} is over"),
                pool.submit(self.ask, "ada", "digest now 1"),
                *(pool.submit(self.alert, bot, name, status="resolved") for bot in self.bots),
            ]
            for one in done:
                one.result()
        self.ask("ben", f"reopen {number}")
        self.ask("ben", f"severity {number} warning")
        self.rest()
        self.check(number, name)

    def find_card(self, containing: str) -> SeenMessage:
        """A message in the channel."""
        return self.cast.dan.wait_for_message(self.cast.checkout, containing=containing, timeout=PATIENCE_S)

    def rest(self) -> None:
        """Waits until nothing is left to be sent."""
        self.slack.settle(PATIENCE_S)

        def over() -> bool:
            with self.store.read() as connection:
                return not connection.exec_driver_sql(BUSY).scalar_one()

        self.slack.wait_until(over, timeout=PATIENCE_S, what="delivery comes to rest")

    def check(self, number: int, name: str) -> None:
        """What this round has led to, each once."""
        posted = [message for message in self.slack.messages(self.cast.checkout) if message.from_app]
        (card,) = [one for one in posted if re.match(f":large_yellow_circle: #{number} {name}\\b", one.text)]
        assert "Warning" in card.text and "Ben Tal" in card.text and "Dan Wu" in card.text
        (alert,) = [one for one in posted if re.match(rf":\w+: #\d+ Disk {name} is full\b", one.text)]
        assert "Resolved" in alert.text
        thread = "\n".join(message.markup for message in card.thread)
        assert [thread.count(f"{name}: {what}") for what in ("looking into it", "for", "a reply")] == [1, 1, 1], thread
        activity = self.ask("ada", f"activity {number}")
        assert [activity.count(f"{name}: {what}") for what in ("looking into it", "for", "a reply")] == [1, 1, 1]
        digests = [message for message in posted if re.match(r"\W*\d+ open incidents\b", message.text)]
        assert len(digests) == self.rounds, [message.text for message in digests]

    def check_all(self) -> None:
        """Nothing was sent twice or given up, and nobody has met an error."""
        posted = Counter(
            str(call["metadata"]) for call in self.slack.calls("chat.postMessage") if call.get("metadata") is not None
        )
        assert posted and set(posted.values()) == {1}
        with self.store.read() as connection:
            given_up = "SELECT count(*) FROM post WHERE failed_reason IS NOT NULL OR ts IS NULL"
            assert connection.exec_driver_sql(given_up).scalar_one() == 0
        for bot in (*self.bots, *self.ended):
            assert [line for line in bot.lines if line.get("level") in ("error", "critical")] == []


@pytest.fixture
def deployment(slack: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Deployment]:
    with ExitStack() as running:
        yield Deployment(slack, database_url, tmp_path, running)


@pytest.mark.timeout(600)
def test_an_upgrade_and_a_downgrade_while_people_work(deployment: Deployment) -> None:
    previous = deployment.start(previous=True)
    deployment.set_up()
    deployment.work()
    new = deployment.start(previous=False)  # migrates what the previous release works on
    assert get_revisions(deployment.store)[0] == HEAD
    deployment.without_storms()
    deployment.work()
    deployment.stop(previous)
    again = deployment.start(previous=True)  # the other order: the schema stays as it is
    deployment.work()
    deployment.stop(new)
    deployment.work()
    deployment.stop(again)
    assert get_revisions(deployment.store)[0] == HEAD
    deployment.check_all()


def test_the_archive_is_the_commit_that_is_named() -> None:
    commit = COMMIT.read_text(encoding="utf-8").strip()
    found = find_in_git(commit)
    kept = list_files(lzma.decompress(ARCHIVE.read_bytes()))
    assert len(kept) > 100 and "bot/app.py" in kept
    if found is not None:  # a clone without its history has nothing to compare with
        assert kept == list_files(found)
