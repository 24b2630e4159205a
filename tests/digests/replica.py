"""A replica that tells digests and nothing else, for tests that kill it: `python -m tests.digests.replica`.

Its clock is a file, so that a test can move the time of several replicas on.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

from bot.delivery.pace import Pace
from bot.delivery.service import DeliveryService, open_delivery_store
from bot.digests.workers import DigestWorkers
from bot.people.identity import Identity
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.work import WorkSignals
from storage.clock import Clock
from storage.engine import Store
from tests.patience import be_patient

# Like the real ones, only quick: whoever was killed is missed after seconds, not minutes.
QUICK = Pace(post_s=0.01, update_s=0.01, call_s=1, late_s=0.5, lease_s=2.0, poll_s=0.2, failed_s=0.2, first_retry_s=0.1)


class FileClock(Clock):
    """What a file says, a moment and when on the machine's monotonic clock it was shown; it goes on from there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def now(self) -> datetime:
        """What it says now."""
        moment, shown_at = self._path.read_text().split()
        return datetime.fromisoformat(moment) + timedelta(seconds=time.monotonic() - float(shown_at))


def main() -> None:
    """Runs until it is killed."""
    be_patient()
    api_url = os.environ["SLACK_API_URL"]
    store = Store.open(os.environ["DATABASE_URL"], clock=FileClock(Path(os.environ["REPLICA_CLOCK"])))
    clients = Clients.connect(os.environ["SLACK_BOT_TOKEN"], api_url)
    identity = Identity(store, clients, Background(api_url))
    signals = WorkSignals()
    digests = DigestWorkers(
        store,
        clients,
        identity,
        signals,
        command="/incident",
        lease_s=1.0,
    )
    delivery = DeliveryService(
        open_delivery_store(store),
        clients,
        identity,
        api_url=api_url,
        render_digest=digests.render,
        pace=QUICK,
        signals=signals,
    )
    store.on_work = delivery.wake
    delivery.start()
    digests.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
