"""Records that this process runs, so that `doctor` and `/metrics` of any process show all of them."""

from __future__ import annotations

import socket
import time
import uuid

from bot import __version__
from bot.work import WorkThread
from storage.engine import Store
from storage.queries import replicas
from storage.queries.replicas import ReplicaRow
from storage.values import Work

EVERY_S = 10.0
_STOP_S = 1.0


class Heartbeat:
    """Records a process of `serve`, from `start` to `stop`."""

    def __init__(self, store: Store, role: str) -> None:
        self._store = store
        self._role = role
        self._id = uuid.uuid4().hex
        self._host = socket.gethostname()
        self._thread = WorkThread("heartbeat", self._record, every_s=EVERY_S, at_end=self._forget)

    def start(self) -> None:
        """Records the process now and every EVERY_S seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Records no more, and forgets the process, if the database can be reached within a second."""
        self._thread.stop(_STOP_S)

    def _forget(self) -> None:
        with self._store.read() as connection:  # while the database is away, the others see that it is gone
            replicas.delete_replica(connection, self._id)

    def _record(self, _work: Work) -> None:
        now = self._store.clock.now()
        ahead_s = time.time() - (now - self._store.clock.offset).timestamp()
        row = ReplicaRow(self._id, self._role, __version__, self._host, ahead_s, now)
        with self._store.read() as connection:
            replicas.record_replica(connection, row)
