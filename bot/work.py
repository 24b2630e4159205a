"""The background threads of a process, and which work waits for them.

Commits, notifications and the look at what is due (`bot/delivery/due_work.py`) wake a thread when it has something to
do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from storage.errors import Contended, DatabaseAway
from storage.values import ALL_WORK, NO_WORK, Work

log = structlog.get_logger(__name__)

_AFTER_TROUBLE_S = 1.0


class WorkSignal:
    """Wakes one worker. What it is woken for while it works is kept until it waits again. Thread-safe."""

    def __init__(self, kinds: Work) -> None:
        self._kinds = kinds
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._waiting = NO_WORK
        self._stopped = False

    def wake(self, work: Work) -> None:
        """Wakes the worker if any of this work is its own."""
        if work & self._kinds:
            with self._lock:
                self._waiting |= work & self._kinds
                self._woken.set()

    def wait(self, seconds: float | None = None) -> Work:
        """Waits for work, for `seconds` at most. Returns which there may be; none after `stop`, at once."""
        self._woken.wait(seconds)
        with self._lock:
            found, self._waiting = self._waiting, NO_WORK
            if self._stopped:
                return NO_WORK
            self._woken.clear()
            return found

    @property
    def stopped(self) -> bool:
        """Whether the worker is to end."""
        return self._stopped

    def stop(self) -> None:
        """Ends the waiting for good."""
        with self._lock:
            self._stopped = True
            self._woken.set()


class WorkSignals:
    """Wakes those workers of a process that have something to do."""

    def __init__(self) -> None:
        self._signals: list[WorkSignal] = []

    def add_worker(self, kinds: Work) -> WorkSignal:
        """Returns the signal of a new worker, which does these kinds of work. Add all before the first is woken."""
        self._signals.append(WorkSignal(kinds))
        return self._signals[-1]

    def wake(self, work: Work) -> None:
        """Wakes the workers that do any of this work. Does not block."""
        for signal in self._signals:
            signal.wake(work)


class WorkThread:
    """A daemon thread that does some work again and again, from `start` to `stop`."""

    def __init__(
        self,
        name: str,
        work: Callable[[Work], float | None],
        signal: WorkSignal | None = None,
        *,
        every_s: float | None = None,
        at_once: bool = True,
        at_end: Callable[[], object] | None = None,
    ) -> None:
        """It calls `work` first with ALL_WORK if `at_once`, then when woken, and at least every `every_s` seconds.

        `work` is given what woke it. It may return after how many seconds to call it again, unless woken before. If it
        raises an error, it is called again after a second. `at_end` is called once, after the last work.
        """
        self._name = name
        self._work = work
        self._signal = signal or WorkSignal(NO_WORK)
        self._every_s = every_s
        self._at_once = at_once
        self._at_end = at_end
        self._in_trouble = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self.thread.start()

    def begin_stop(self) -> None:
        """Lets the thread end after the work that it is doing."""
        self._signal.stop()

    def is_stopping(self) -> bool:
        """Whether the thread is to end."""
        return self._signal.stopped

    def stop(self, seconds: float) -> None:
        """Lets the thread end, and waits at most `seconds` for it."""
        self.begin_stop()
        if self.thread.ident is not None:
            self.thread.join(max(0.0, seconds))

    def _run(self) -> None:
        work = ALL_WORK if self._at_once else self._signal.wait(self._every_s)
        while not self._signal.stopped:
            left = NO_WORK
            try:
                again_s = self._work(work)
                self._in_trouble = False
            except Exception as error:
                self._log(error)
                left, again_s = work, _AFTER_TROUBLE_S
            waits = [seconds for seconds in (self._every_s, again_s) if seconds is not None]
            work = left | self._signal.wait(min(waits, default=None))
        if self._at_end is not None:
            try:
                self._at_end()
            except Exception as error:
                self._log(error)

    def _log(self, error: Exception) -> None:
        if self._signal.stopped:
            return  # whatever it needed may be closed
        if not isinstance(error, DatabaseAway | Contended):
            log.error("unexpected error in the background", thread=self._name, exc_info=error)
        elif not self._in_trouble:
            log.warning("waits for the database", thread=self._name, error=str(error.__cause__ or error))
        self._in_trouble = isinstance(error, DatabaseAway | Contended)
