"""The database's time, which all replicas share, extrapolated between two readings.

The clocks of the processes are not used: they differ, and jump. The store reads the database's time whenever it opens
a connection for reading, and every READ_EVERY_S seconds. In between, the monotonic clock advances it. So `now` costs no
round trip, and works while the database cannot be reached.
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
        """Returns the time, in UTC. The first call may have to read it; raises DatabaseAway, Contended."""
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
        """Adjusts to the database's answer `said` to a question of the time `asked` on the monotonic clock.

        The database answered between `asked` and now. The estimate changes only as far as these bounds require, so
        slow answers do not make the time jump, and a clock that was set is followed at once.
        """
        least, most = said.timestamp() - time.monotonic(), said.timestamp() - asked
        with self._lock:
            known = (least + most) / 2 if self._epoch_offset_s is None else self._epoch_offset_s
            self._epoch_offset_s = min(max(known, least), most)

    def start(self, ask: Callable[[], datetime]) -> bool:
        """Starts reading the time with `ask`, until `stop`; False when the clock was started before.

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
        """Stops the readings; the time still advances."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.wait(READ_EVERY_S):
            with contextlib.suppress(DatabaseAway, Contended):
                self.read()
