"""Records that this process runs, so that `doctor` and `/metrics` of any process show all of them."""

from __future__ import annotations

import socket
import threading
import time
import uuid

import structlog

from bot import __version__
from storage.engine import Store
from storage.errors import Contended, DatabaseAway
from storage.queries import replicas
from storage.queries.replicas import ReplicaRow

log = structlog.get_logger(__name__)

EVERY_S = 10.0
_STOP_S = 1.0


class Heartbeat:
    """Records a process of `serve`, from `start` to `stop`."""

    def __init__(self, store: Store, role: str) -> None:
        self._store = store
        self._role = role
        self._id = uuid.uuid4().hex
        self._host = socket.gethostname()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Records the process now and every EVERY_S seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Records no more, and forgets the process, if the database can be reached within a second."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while True:
            try:
                self._record()
            except (DatabaseAway, Contended):
                pass  # the next time is soon enough
            except Exception:
                log.exception("this process could not be recorded")
            if self._stopping.wait(EVERY_S):
                break
        try:
            with self._store.read() as connection:
                replicas.delete_replica(connection, self._id)
        except (DatabaseAway, Contended):
            pass  # the others see that it is gone

    def _record(self) -> None:
        now = self._store.clock.now()
        ahead_s = time.time() - (now - self._store.clock.offset).timestamp()
        row = ReplicaRow(self._id, self._role, __version__, self._host, ahead_s, now)
        with self._store.read() as connection:
            replicas.record_replica(connection, row)
