"""The threads of delivery where the system has no more of them."""

from __future__ import annotations

import queue
import threading
from typing import cast

import pytest

from bot.delivery.sender import Sender
from bot.delivery.senders import Senders
from storage.queries.leases import Lease
from tests.patience import PATIENCE_S


class _Serving:
    """Serves a lease without a message to send."""

    def __init__(self) -> None:
        self.served: queue.SimpleQueue[int] = queue.SimpleQueue()

    def serve(self, lease: Lease) -> None:
        self.served.put(lease.destination_id)


def test_where_the_system_has_no_more_threads_the_others_serve_the_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    serving, freed = _Serving(), threading.Semaphore(0)
    senders = Senders(cast(Sender, serving), 4, lambda work, _what: work(), freed.release)
    senders.submit([Lease(1, 1, "T1")])
    assert serving.served.get(timeout=PATIENCE_S) == 1 and freed.acquire(timeout=PATIENCE_S)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        for number in (2, 3, 4):
            senders.submit([Lease(number, 1, "T1")])
    assert {serving.served.get(timeout=PATIENCE_S) for _ in range(3)} == {2, 3, 4}
    assert all(freed.acquire(timeout=PATIENCE_S) for _ in range(3)) and senders.free == 4
    senders.stop()
    for thread in senders.list_threads():
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
