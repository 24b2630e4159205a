"""The threads that begin, send and settle messages.

Each leased destination takes a slot until the outcome of its message is recorded, and there are more threads than taken
slots, so a message whose posting has begun waits for no thread. A thread starts when it is needed first. Outcomes that
arrive while others are being recorded are recorded together afterwards, by the same thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from bot.delivery.sender import Delivery, Sender
from bot.delivery.settlement import Outcome
from storage.errors import Contended, DatabaseAway
from storage.queries.leases import Lease

# A transaction locks so many destinations at most while it renders their messages: others may wait for one of them.
_BEGUN_TOGETHER = 16
# With so many other messages on their way, an outcome waits for more of them, so that they share a transaction.
_COMPANY = 4
_GATHER_S = 0.01


class Senders:
    """A pool of threads that serve leased destinations."""

    def __init__(
        self,
        sender: Sender,
        count: int,
        guarded: Callable[[Callable[[], None], str], None],
        on_free: Callable[[], None],
    ) -> None:
        """`guarded` runs a step of a thread and logs its errors. `on_free` is called when slots have become free."""
        self.count = count
        self._sender = sender
        self._guarded = guarded
        self._on_free = on_free
        self._work: queue.SimpleQueue[Sequence[Lease] | Lease | Delivery | Outcome | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = count
        self._threads: list[threading.Thread] = []
        self._outcomes: list[Outcome] = []
        self._settling = False
        self._stopping = False

    def list_threads(self) -> list[threading.Thread]:
        """The threads that have been started."""
        with self._lock:
            return list(self._threads)

    @property
    def free(self) -> int:
        """How many destinations can be served besides those that are being served."""
        with self._lock:
            return self._free

    def submit(self, leases: Sequence[Lease]) -> None:
        """Has leased destinations served, not more than are `free`."""
        if not leases:
            return
        with self._lock:
            needed = self.count - self._free + len(leases) + 1  # one more than taken slots: it records outcomes
            for number in range(len(self._threads), needed):
                thread = threading.Thread(target=self._run, name=f"delivery-sender-{number}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system has no more
                    if not self._threads:
                        raise
                    break  # the others do the work
                self._threads.append(thread)
            self._free -= len(leases)
        for first in range(0, len(leases), _BEGUN_TOGETHER):
            some = leases[first : first + _BEGUN_TOGETHER]
            self._work.put(some[0] if len(some) == 1 else some)

    def stop(self) -> None:
        """Ends the threads as soon as everything that was submitted is served."""
        with self._lock:
            self._stopping = True
            idle = self._free == self.count
        if idle:
            self._end()

    def _end(self) -> None:
        for _ in self.list_threads():
            self._work.put(None)

    def _release(self, count: int) -> None:
        if not count:
            return
        with self._lock:
            self._free += count
            ended = self._stopping and self._free == self.count
        if ended:
            self._end()
        self._on_free()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if isinstance(work, Delivery):
                self._send(work)
            elif isinstance(work, Lease):
                self._serve(work)
            elif isinstance(work, Outcome):
                self._settle_alone(work)
            else:
                self._begin(work)

    def _begin(self, leases: Sequence[Lease]) -> None:
        ready, others = self._sender.begin(leases)
        for delivery in ready:
            self._work.put(delivery)
        for lease in others:
            self._work.put(lease)
        self._release(len(leases) - len(ready) - len(others))

    def _serve(self, lease: Lease) -> None:
        outcome: Outcome | None = None

        def serve() -> None:
            nonlocal outcome
            outcome = self._sender.serve(lease)

        self._guarded(serve, "sending")
        if outcome is None:
            self._release(1)
        else:
            self._settle(outcome)

    def _send(self, delivery: Delivery) -> None:
        try:
            outcome = self._sender.send(delivery)
        except Exception:
            self._guarded(lambda: self._sender.put_off(delivery.lease, delivery.post), "sending")
            self._release(1)
        else:
            self._settle(outcome)

    def _settle(self, outcome: Outcome) -> None:
        """Records an outcome. If another thread is recording some, that thread records this one, too."""
        with self._lock:
            self._outcomes.append(outcome)
            if self._settling:
                return
            self._settling = True
        while group := self._take_outcomes():
            left = self._sender.settlement.settle_together(group)
            for one in left:
                self._work.put(one)
            self._release(len(group) - len(left))

    def _take_outcomes(self) -> list[Outcome]:
        with self._lock:
            company = self.count - self._free - len(self._outcomes)
        if company >= _COMPANY:
            time.sleep(_GATHER_S)
        with self._lock:
            group, self._outcomes = self._outcomes, []
            self._settling = bool(group)
        return group

    def _settle_alone(self, outcome: Outcome) -> None:
        def settle() -> None:
            try:
                self._sender.settlement.settle(outcome)
            except (DatabaseAway, Contended):
                raise
            except Exception:
                self._sender.put_off(outcome.lease, outcome.post)

        self._guarded(settle, "recording")
        self._release(1)
