"""The demo as anybody runs it: one command, no terminal, no Slack, no database."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from storage.embedded.homes import SOCKET_NAME, resolve_home
from storage.embedded.lock import try_lock
from tests.ending import SHOWS_STACKS, wait_for_end
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
# Nothing of the demo leaves this machine, so nothing of it goes by a proxy, which here is none.
BEHIND_A_PROXY = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")


class Running:
    """A demo that has said its address."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "run_bot.py"), "demo", *arguments],
            # A database that is somebody's is not to be touched, whatever the environment says.
            env={
                **{name: value for name, value in os.environ.items() if name.lower() != "no_proxy"},
                "TOCSIN_DATA_DIR": str(folder),
                "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
                **SHOWS_STACKS,
                **BEHIND_A_PROXY,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._said = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._ready.wait(3 * PATIENCE_S), self._said  # it starts Python twice, PostgreSQL and a bot
        found = re.search(r"(http://\S+)/\?as=U0001", self._said)
        assert found, self._said
        self.address = found[1]

    @property
    def said(self) -> str:
        """Everything it has printed so far."""
        return self._said

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._said += line
                if "/intake/events" in line:
                    self._ready.set()
        self._ready.set()

    @property
    def incident(self) -> int:
        """The number of the incident that the guided path is about."""
        found = re.search(r"Incident #(\d+) has arrived", self._said)
        assert found, self._said
        return int(found[1])

    def ask(self, words: str, person: str = "U0001") -> str:
        """What Ada reads when she types a command, or somebody else."""
        body = {"command": "/incident", "text": words, "channel": "C0001"}
        answer = httpx.post(f"{self.address}/sandbox/people/{person}/command", json=body).raise_for_status().json()
        return str(answer["message"]["text"])

    def see(self, words: str, containing: str, person: str = "U0001") -> None:
        """Asks until the answer is there: this bot has the deadlines of production, which a busy machine may miss."""

        def is_answered() -> bool:
            with contextlib.suppress(httpx.HTTPStatusError):
                return containing in self.ask(words, person)
            return False

        self.wait_for(is_answered)

    def steps(self) -> dict[str, bool]:
        """The steps of the guided path, and which are done."""
        state = httpx.get(f"{self.address}/sandbox/state").raise_for_status().json()
        return {step["title"]: step["done"] for step in state["guide"]}

    def messages(self, channel: str) -> list[str]:
        """What Ada reads in a channel; nothing in a direct message that has not begun."""
        answer = httpx.get(f"{self.address}/sandbox/people/U0001/sees", params={"channel": channel})
        if answer.status_code == httpx.codes.CONFLICT:
            return []
        return [str(message["text"]) for message in answer.raise_for_status().json()["messages"]]

    def wait_for(self, condition: Callable[[], Any]) -> None:
        """Looks again until it holds."""
        waiting = threading.Event()
        for _ in range(int(PATIENCE_S / 0.2)):
            if condition():
                return
            waiting.wait(0.2)
        raise AssertionError(self._said)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self._process.send_signal(number)
        code = wait_for_end(self._process, self._read_to_the_end)
        self._reader.join()
        return code

    def _read_to_the_end(self) -> str:
        self._reader.join()
        return self._said

    def kill(self) -> None:
        """Ends what has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()


def curl(line: str, token: str) -> httpx.Response:
    """Does what a printed line would do, on machines without curl too."""
    words = iter(shlex.split(line.replace("$token", token)))
    url, headers, body = "", {}, ""
    for word in words:
        if word == "-H":
            name, value = next(words).split(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word.startswith("http"):
            url = word
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return httpx.post(url, headers={**form, **headers}, content=body)


def is_free(lock: Path) -> bool:
    """Whether no process has a database in the folder."""
    with try_lock(lock) as ours:
        return ours


def answers(family: socket.AddressFamily, address: tuple[str, int] | str) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(*arguments: str) -> Running:
        running.append(Running(tmp_path / "data", *arguments))
        return running[-1]

    yield start
    for demo in running:
        demo.kill()


@pytest.mark.timeout(600)
def test_the_demo(start: Callable[..., Running], tmp_path: Path) -> None:
    """It begins with two weeks behind it, an alert arrives, its curl lines work, it goes on where it was left, and
    killed it leaves nothing running.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = start("--port", str(port))
        assert f"Port {port} is taken" in demo.said
        assert "DATABASE_URL is not used" in demo.said
    assert "Open this in your browser" in demo.said
    assert max(len(line) for line in demo.said.splitlines() if str(tmp_path) not in line) <= 80

    assert "<!doctype html>" in httpx.get(demo.address).text
    demo.see("list", "Suggestions are slower")
    assert any("One order in five" in text for text in demo.messages("C0001"))
    number = demo.incident
    assert number > 20, "two weeks of incidents came before it"
    demo.see("view 1", "Card payments are slow in Spain")
    demo.see("activity 1", "Sending Spanish traffic to the other one")
    demo.see("view 5", "38% of the queries from outside fail")
    demo.see("list", f"#{number} Checkout answers 502")
    demo.wait_for(lambda: any("can you help me with this?" in text for text in demo.messages("D0001")))

    # The lines for those without a browser, as they are printed.
    token = re.search(r"^    token=(\S+)$", demo.said, re.MULTILINE)
    assert token
    lines = re.findall(r"curl (?:.*\\\n)*.*", demo.said)
    read = [curl(line, token[1]) for line in lines]
    assert [answer.is_success for answer in read] == [True] * 5, [answer.text for answer in read]
    assert f"#{number} Checkout answers 502" in read[0].text
    assert not read[0].text.startswith("{")
    demo.see(f"view {number}", "Resolved")
    demo.see("list", "Mine")
    demo.wait_for(lambda: any(f"#{number}" in text and "Resolved" in text for text in demo.messages("C0001")))

    assert not demo.steps()["See what your team sees"], "what Ben did to begin with is none of it"

    # A step of the guided path ticks once, and stays so; both halves of who sees what are there.
    demo.see(f"view {number}", f"#{number} Checkout answers 502", person="U0002")
    assert "Checkout answers 502" not in demo.ask(f"view {number}", person="U0003")
    done = {"Acknowledge it", "Comment, and bring your team in", "Resolve it"}
    done |= {"See what your team sees", "See what others do not see"}
    demo.wait_for(lambda: {title for title, ticked in demo.steps().items() if ticked} >= done)
    assert not demo.steps()["Break Slack"]
    trouble = {"kind": "cut", "methods": "chat.*", "times": 1}
    httpx.post(f"{demo.address}/sandbox/faults", json=trouble).raise_for_status()
    demo.ask("declare critical Slack is broken")
    demo.wait_for(lambda: demo.steps()["Break Slack"])
    demo.ask(f"reopen {number}")

    # The clock of the workspace takes the bot's with it, and stays where it is.
    demo.ask("declare critical Nobody looks")
    httpx.post(f"{demo.address}/sandbox/clock/advance", json={"seconds": 3 * 3600}).raise_for_status()
    demo.see("list critical", "3 h")
    assert demo.stop(signal.SIGINT) == 0

    demo = start("--port", "0")
    assert {title for title, ticked in demo.steps().items() if ticked} >= done | {"Break Slack"}
    demo.see("list critical", "3 h")
    assert any("One order in five" in text for text in demo.messages("C0001"))
    demo.see(f"view {number}", f"#{number} Checkout answers 502")
    assert any("Slack is broken" in text for text in demo.messages("C0001"))
    demo.wait_for(lambda: f"    token={token[1]}\n" in demo.said)
    assert demo.stop() == 0

    demo = start("--port", "0", "--reset")
    demo.wait_for(demo.steps)
    assert not demo.steps()["Resolve it"]
    assert "Mine" not in demo.ask("list all")
    assert not any("Mine" in text for text in demo.messages("C0001"))
    log = (tmp_path / "data" / "demo" / "bot.log").read_text("utf-8")
    assert "Traceback" not in log
    # The database that a bot without DATABASE_URL would have in that folder knows nothing of the demo.
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["demo"]

    # Neither the bot nor the database outlives a demo that has no time to end them.
    intake = re.search(r"http://(\S+):(\d+)/intake/", demo.said)
    assert intake
    home = resolve_home(tmp_path / "data" / "demo")
    bot, database = (intake[1], int(intake[2])), str(home.socket_folder / SOCKET_NAME)
    assert answers(socket.AF_INET, bot) and answers(socket.AF_UNIX, database) and not is_free(home.lock)
    demo.kill()
    demo.wait_for(lambda: not answers(socket.AF_INET, bot))
    demo.wait_for(lambda: not answers(socket.AF_UNIX, database))
    demo.wait_for(lambda: is_free(home.lock))
