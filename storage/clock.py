"""The database's time, which all replicas share, extrapolated between readings.

The wall clocks of the replicas' machines are not used, because they differ and jump. The store reads the database's
time whenever it opens a connection for reading, and every READ_EVERY_S seconds. Between readings, the monotonic clock
advances the time. So `now` needs no round trip, and works while the database cannot be reached.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from storage.errors import Contended, DatabaseAway

_log = logging.getLogger(__name__)

READ_EVERY_S = 10.0
STOP_S = 1.0  # how long `stop` waits for a reading in progress


class Clock:
    """The clock of a process, shared by its stores. Thread-safe."""

    def __init__(self) -> None:
        self.offset = timedelta(0)  # set only by tests and the demo
        self._lock = threading.Lock()
        self._epoch_offset_s: float | None = None  # the database's seconds since the epoch, minus the monotonic clock's
        self._ask: Callable[[], datetime] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def now(self) -> datetime:
        """Returns the time in UTC. The first call may read it from the database, and raise DatabaseAway, Contended."""
        if self._epoch_offset_s is None:
            self.read()
        assert self._epoch_offset_s is not None
        return datetime.fromtimestamp(time.monotonic() + self._epoch_offset_s, UTC) + self.offset

    def read(self) -> None:
        """Reads the time from the database. Raises DatabaseAway, Contended."""
        if self._ask is None:
            raise DatabaseAway("no store has been opened for this clock")
        asked = time.monotonic()
        self.adjust(self._ask(), asked)

    def adjust(self, database_time: datetime, asked: float) -> None:
        """Adjusts the clock to `database_time`, which was requested at `asked` on the monotonic clock.

        The database read its clock between `asked` and now. The estimate changes only as far as these bounds require.
        So slow responses do not make the time jump, and the clock follows at once when the database's clock is set.
        """
        least, most = database_time.timestamp() - time.monotonic(), database_time.timestamp() - asked
        with self._lock:
            known = (least + most) / 2 if self._epoch_offset_s is None else self._epoch_offset_s
            self._epoch_offset_s = min(max(known, least), most)

    def start(self, ask: Callable[[], datetime]) -> bool:
        """Starts a thread that reads the time with `ask` until `stop`. Returns False if the clock was already started.

        `ask` may raise DatabaseAway; the time then advances from the last reading.
        """
        with self._lock:
            if self._ask is not None:
                return False
            self._ask = ask
        self._thread = threading.Thread(target=self._run, name="database clock", daemon=True)
        self._thread.start()
        return True

    def stop(self) -> None:
        """Stops the readings. The time still advances."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.wait(READ_EVERY_S):
            try:
                with contextlib.suppress(DatabaseAway, Contended):
                    self.read()
            except Exception:  # without readings, nobody would notice that the database's clock was set
                _log.exception("the database's time could not be read")
