"""The bot of the demo: the process that `serve` runs, as a child of this one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

RUN_BOT = Path(__file__).resolve().parent.parent.parent / "run_bot.py"

# `serve` ends within ten seconds of SIGTERM.
STOP_S = 12.0


class BotProcess:
    """`run_bot.py serve` with an environment of its own, its log in a file. A context manager.

    It does not outlive this process.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, str(RUN_BOT), "serve", "--while-stdin-open"],
                env=self._environment,
                # Closed when this process ends, however it ends. See `move_clock` for what is written to it.
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                # A Ctrl-C at the terminal is for this process, which then ends its child in its turn.
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def move_clock(self, ahead_s: float) -> None:
        """Has the bot take it to be so many seconds later than it is."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and whoever runs it sees that
            self._process.stdin.write(b"%f\n" % ahead_s)
            self._process.stdin.flush()

    @property
    def exit_code(self) -> int | None:
        """The exit code, once it has ended."""
        assert self._process is not None
        return self._process.poll()

    def log_tail(self, lines: int = 5) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])
