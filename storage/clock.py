"""What time it is: the database's time, which all replicas share, carried on between two readings.

The clocks of the processes decide nothing: they differ, and jump. The database's time is read at each connection that
the store opens for reading, and every READ_EVERY_S seconds; in between it is carried on by the monotonic clock. So
`now` costs no round trip, and goes on while the database is away.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from storage.errors import Contended, DatabaseAway

READ_EVERY_S = 10.0
STOP_S = 1.0  # for which a reading under way is waited


class Clock:
    """The one clock of a process. May be used from any thread."""

    def __init__(self) -> None:
        self.offset = timedelta(0)  # set by tests and the demo alone
        self._lock = threading.Lock()
        self._epoch_offset_s: float | None = None  # the database's seconds since the epoch, less the monotonic clock's
        self._ask: Callable[[], datetime] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def now(self) -> datetime:
        """The moment, in UTC. The first call may have to read it: raises DatabaseAway."""
        if self._epoch_offset_s is None:
            self.read()
        assert self._epoch_offset_s is not None
        return datetime.fromtimestamp(time.monotonic() + self._epoch_offset_s, UTC) + self.offset

    def read(self) -> None:
        """Asks the database what time it is. Raises DatabaseAway, Contended."""
        if self._ask is None:
            raise DatabaseAway("no store has been opened for this clock")
        asked = time.monotonic()
        self.adjust(self._ask(), asked)

    def adjust(self, said: datetime, asked: float) -> None:
        """Takes the database's answer to what was asked at `asked`, on the monotonic clock.

        It was given somewhere between then and now. What is known already stays within these bounds, so that slow
        answers do not make the time jump; a clock that was set, back or ahead, is followed at once.
        """
        least, most = said.timestamp() - time.monotonic(), said.timestamp() - asked
        with self._lock:
            known = (least + most) / 2 if self._epoch_offset_s is None else self._epoch_offset_s
            self._epoch_offset_s = min(max(known, least), most)

    def start(self, ask: Callable[[], datetime]) -> bool:
        """Reads the time with `ask` from now on, until `stop`; False where it has been told how to before.

        `ask` may raise DatabaseAway: then the time is carried on from the last reading.
        """
        with self._lock:
            if self._ask is not None:
                return False
            self._ask = ask
        self._thread = threading.Thread(target=self._run, name="database clock", daemon=True)
        self._thread.start()
        return True

    def stop(self) -> None:
        """Takes no more readings; the time is still carried on."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.wait(READ_EVERY_S):
            with contextlib.suppress(DatabaseAway, Contended):
                self.read()
