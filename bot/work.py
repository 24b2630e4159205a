"""Which work waits for the workers of a process. Commits, notifications and the look at what is due say so."""

from __future__ import annotations

import threading

from storage.values import NO_WORK, Work


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
