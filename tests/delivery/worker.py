"""A replica as a process of its own: to be killed at any moment.

`python -m tests.delivery.worker` with DATABASE_URL, SLACK_API_URL and SLACK_BOT_TOKEN in the environment. It only
delivers, unless SLACK_APP_TOKEN is there too. CALL_S is how many seconds it waits for an answer of Slack. CLOCK_AHEAD
is by how many seconds its clock is wrong; with several values, separated by commas, it jumps.
"""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from slack_sdk.errors import SlackApiError

from bot.app import Bot
from bot.delivery.pace import Pace
from bot.delivery.service import DeliveryService, open_delivery_store
from bot.log import configure
from bot.people.identity import Identity
from bot.settings import LogFormat, LogLevel
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.stopping import stop_on_signals
from storage.engine import Store
from tests.patience import be_patient

# Everything that is waited for is short, so that a test sees many deaths in little time.
HURRIED = Pace(
    post_s=0.0,
    update_s=0.0,
    start_s=0.5,
    call_s=1,
    late_s=0.5,
    answered_s=0.2,
    refused_s=0.05,
    lease_s=4.0,
    first_retry_s=0.05,
    longest_retry_s=0.5,
    failed_s=0.2,
    longest_failed_s=1.0,
    paused_s=0.3,
    poll_s=0.2,
)


def no_digest(*_: object) -> None:
    """There are none here."""


class Clock:
    """The process's time of day."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._true = time.time

    def now(self) -> datetime:
        """What it says at the moment."""
        return datetime.fromtimestamp(self._true(), UTC) + timedelta(seconds=self._offset)

    def go_wrong(self, ahead_s: list[float]) -> None:
        """From now on it is set to and fro between these, for everybody in the process who asks `time.time`."""
        self._offset = ahead_s[0]
        time.time = lambda: self._true() + self._offset

        def go() -> None:
            while True:
                time.sleep(random.uniform(0.1, 0.5))
                self._offset = random.choice(ahead_s)

        threading.Thread(target=go, daemon=True).start()


def main() -> None:
    """Works until SIGTERM."""
    be_patient()
    with stop_on_signals() as stop:
        work(stop)


def work(stop: threading.Event) -> None:
    """Delivers until `stop` is set."""
    configure(LogLevel.ERROR, LogFormat.JSON)
    api_url = os.environ["SLACK_API_URL"]
    clock = Clock()
    if "CLOCK_AHEAD" in os.environ:
        clock.go_wrong([float(one) for one in os.environ["CLOCK_AHEAD"].split(",")])
    store = Store.open(os.environ["DATABASE_URL"])
    clients = _connected(api_url)
    pace = replace(HURRIED, call_s=int(os.environ.get("CALL_S", HURRIED.call_s)))
    working: Bot | DeliveryService
    if "SLACK_APP_TOKEN" in os.environ:
        app_token = os.environ["SLACK_APP_TOKEN"]
        working = Bot(store, clients, api_url=api_url, command="/incident", app_token=app_token, pace=pace)
    else:
        identity = Identity(store, clients, Background(api_url))
        working = DeliveryService(
            open_delivery_store(store), clients, identity, api_url=api_url, render_digest=no_digest, pace=pace
        )
    working.start()
    print("ready", flush=True)  # noqa: T201
    stop.wait()
    working.stop()


def _connected(api_url: str) -> Clients:
    while True:
        try:
            return Clients.connect(os.environ["SLACK_BOT_TOKEN"], api_url)
        except (SlackApiError, OSError):
            time.sleep(0.1)


if __name__ == "__main__":
    main()
