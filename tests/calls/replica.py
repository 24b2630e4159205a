"""A replica that makes calls and nothing else, for tests that kill it: `python -m tests.calls.replica`."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from bot.calls.workers import CallWorkers
from bot.delivery.service import DeliveryService, open_delivery_store
from bot.people.identity import Identity
from bot.slack.background import Background
from bot.slack.clients import Clients
from bot.work import WorkSignals
from storage.engine import Store
from tests.delivery.worker import no_digest
from tests.digests.replica import QUICK, FileClock
from tests.patience import be_patient


def main() -> None:
    """Runs until it is killed."""
    be_patient()
    api_url = os.environ["SLACK_API_URL"]
    store = Store.open(os.environ["DATABASE_URL"], clock=FileClock(Path(os.environ["REPLICA_CLOCK"])))
    clients = Clients.connect(os.environ["SLACK_BOT_TOKEN"], api_url)
    identity = Identity(store, clients, Background(api_url))
    signals = WorkSignals()
    calls = CallWorkers(store, clients, identity, signals)
    delivery = DeliveryService(
        open_delivery_store(store),
        clients,
        identity,
        api_url=api_url,
        render_digest=no_digest,
        pace=QUICK,
        signals=signals,
    )
    store.on_work = delivery.wake
    delivery.start()
    calls.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
