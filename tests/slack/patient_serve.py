"""`serve` for tests: with their patient deadlines, and its machine's clock may be wrong.

`python -m tests.slack.patient_serve …` does what `python -m bot.cli serve …` does; CLOCK_AHEAD_S in the environment is
by how many seconds everybody in the process who asks for the time of day is told a wrong one.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from datetime import datetime as TrueDatetime
from typing import Any

_AHEAD_S = float(os.environ.get("CLOCK_AHEAD_S", "0"))
_true_time = time.time


class _AsBefore(type):
    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, TrueDatetime)


class _WrongDatetime(TrueDatetime, metaclass=_AsBefore):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return TrueDatetime.now(tz) + datetime.timedelta(seconds=_AHEAD_S)


if __name__ == "__main__":
    if _AHEAD_S:  # before anything else takes them
        time.time = lambda: _true_time() + _AHEAD_S
        datetime.datetime = _WrongDatetime  # type: ignore[misc]
    from tests.patience import PATIENCE_S, be_patient

    be_patient()
    from bot import stopping
    from bot.processes import supervisor
    from bot.slack import connections
    from bot.slack.backoff import Backoff

    # A test does not wait for the next attempt as long as a process may that Slack has refused for minutes.
    connections._unwanted = Backoff(connections.FIRST_WAIT_AFTER_REFUSAL_S, longest_s=4.0)
    supervisor.COMMAND = ("-m", "tests.slack.patient_serve")
    # Each is longer than the one before, which may be waited for meanwhile; the longest is that of `tests.ending`.
    stopping.LIMIT_S = PATIENCE_S
    supervisor.STOP_S = 1.5 * PATIENCE_S
    supervisor.LIMIT_S = 2.0 * PATIENCE_S
    from bot.cli import main

    sys.exit(main(["serve", *sys.argv[1:]]))
