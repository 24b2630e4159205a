"""A replica that only delivers, as a process of its own: to be killed at any moment.

`python -m tests.delivery.worker` with DATABASE_URL, SLACK_API_URL and SLACK_BOT_TOKEN in the environment.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from slack_sdk.errors import SlackApiError

from bot.delivery.pace import Pace
from bot.delivery.service import Delivery, own_store
from bot.log import configure
from bot.people.identity import Identity
from bot.settings import LogFormat, LogLevel
from bot.slack.background import Background
from bot.slack.clients import Clients
from storage.engine import Store

# Everything that is waited for is short, so that a test sees many deaths in little time.
HURRIED = Pace(
    post_s=0.0,
    update_s=0.0,
    call_s=1,
    late_s=0.5,
    lease_s=4.0,
    first_retry_s=0.05,
    longest_retry_s=0.5,
    failed_s=0.2,
    longest_failed_s=1.0,
    paused_s=0.3,
    poll_s=0.2,
)


def main() -> None:
    """Delivers until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    configure(LogLevel.ERROR, LogFormat.JSON)
    api_url = os.environ["SLACK_API_URL"]
    store = Store.open(os.environ["DATABASE_URL"])
    clients = _connected(api_url)
    delivery = Delivery(
        own_store(store), clients, Identity(store, clients, Background(api_url)), api_url=api_url, pace=HURRIED
    )
    delivery.start()
    print("ready", flush=True)  # noqa: T201
    stop.wait()
    delivery.stop()


def _connected(api_url: str) -> Clients:
    while True:
        try:
            return Clients.connect(os.environ["SLACK_BOT_TOKEN"], api_url)
        except (SlackApiError, OSError):
            time.sleep(0.1)


if __name__ == "__main__":
    main()
