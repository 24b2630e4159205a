"""The bot as a process of its own, on the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from sandbox import Sandbox
from tests.ending import BEGIN_OF_STACKS, SHOWS_STACKS, describe_log, show_stacks, wait_for_end
from tests.forking import ForkedProcess
from tests.patience import PATIENCE_S, START_S

ROOT = Path(__file__).parents[2]
COMMAND = ("-m", "tests.slack.patient_serve")
NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})
# Variables that have to be there while the program is loaded begin with these. (A copy of what is measured is, too.)
AT_LOADING = ("CLOCK_", "COVERAGE_")


class Serving:
    """A bot as a process of its own."""

    def __init__(
        self,
        slack: Sandbox,
        database_url: str,
        folder: Path,
        *,
        over_http: bool,
        ready: bool,
        environment: Mapping[str, str],
        role: str,
        words: Sequence[str] = (),
        sources: Path = ROOT,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """`ready`: whether it is to be waited for until Slack's requests arrive.

        `words` are more words of the command. `sources` and `command`: which version of the program is run, and with
        which arguments of Python.
        """
        self.lines: list[dict[str, object]] = []
        self._said = threading.Condition()
        self._ended = False
        line = {"SLACK_SIGNING_SECRET": slack.signing_secret} if over_http else {"SLACK_APP_TOKEN": slack.app_token}
        if role == "worker":
            line = {}
        arguments = [*command, *(() if role == "all" else ("--role", role)), *words]
        process_environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "PYTHONPATH": str(sources),
            "DATABASE_URL": database_url,
            "SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "HTTP_PORT": "0",
            "LOG_FORMAT": "json",
            **SHOWS_STACKS,
            **line,
            **({"SSL_CERT_FILE": os.environ["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in os.environ else {}),
            # Where coverage is measured, what this process runs counts too.
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")},
            **environment,
        }
        self.process: ForkedProcess | subprocess.Popen[bytes]
        if (sources, command) == (ROOT, COMMAND) and not any(name.startswith(AT_LOADING) for name in environment):
            self.process = ForkedProcess(*arguments[1:], cwd=folder, env=process_environment, stderr=subprocess.PIPE)
        else:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], cwd=folder, env=process_environment, stderr=subprocess.PIPE
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._wait_until_it_serves(slack, over_http=over_http, ready=ready, role=role, words=words)
        except Exception as error:
            stacks = show_stacks(self.process, self._read_log) if self.process.poll() is None else self._read_log()
            self.close()
            raise AssertionError(f"The bot did not start: {error}\n{stacks}") from None
        except BaseException:
            self.close()
            raise

    def _wait_until_it_serves(
        self, slack: Sandbox, *, over_http: bool, ready: bool, role: str, words: Sequence[str]
    ) -> None:
        self.url = f"http://127.0.0.1:{self.wait_for('serving HTTP', seconds=START_S)['port']}"
        if not ready:
            return
        self.wait_for("all processes are ready" if "--workers" in words else "ready", seconds=START_S)
        if over_http:
            slack.use_http(f"{self.url}/slack/events")
        elif role != "worker":
            slack.wait_until_connected()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for read in self.process.stderr:
            line = read.decode()
            with self._said:
                self.lines.append(json.loads(line) if line.startswith("{") else {"event": line})
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    def wait_for(self, event: str, *, seconds: float = PATIENCE_S, **fields: object) -> dict[str, object]:
        """The first line of the log that says so."""
        return self.wait_for_several(1, event, seconds=seconds, **fields)[0]

    def wait_for_several(
        self, count: int, event: str, *, seconds: float = PATIENCE_S, **fields: object
    ) -> list[dict[str, object]]:
        """So many lines of the log that say so, the first ones."""

        def found() -> list[dict[str, object]]:
            wanted = {"event": event, **fields}.items()
            return [line for line in self.lines if wanted <= line.items()][:count]

        with self._said:
            self._said.wait_for(lambda: len(found()) == count or self._ended, seconds)
            assert len(found()) == count, self.lines
            return found()

    def said(self, event: str) -> list[dict[str, object]]:
        """Every line of the log so far that says so."""
        with self._said:
            return [line for line in self.lines if line["event"] == event]

    def end(self) -> int:
        """The exit code of a process that has been told to stop, within the ten seconds of which `STOP_S` is a part."""
        code = wait_for_end(self.process, self._read_log)
        log = self._read_log()
        assert not any(str(line["event"]).startswith(BEGIN_OF_STACKS) for line in self.lines), log
        return code

    def _read_log(self) -> str:
        self._reader.join(PATIENCE_S)
        with self._said:
            return describe_log(self.lines)

    def close(self) -> None:
        """Leaves nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


class Serve(Protocol):
    """Starts another process."""

    def __call__(
        self,
        *,
        over_http: bool = False,
        ready: bool = True,
        environment: Mapping[str, str] = MappingProxyType({}),
        role: str = "all",
        words: Sequence[str] = (),
    ) -> Serving: ...
