"""Bodies of requests, read within limits: how large one may be, and how much of all of them is in memory at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from fastapi import Request


class BodyTooLarge(Exception):
    """A body is longer than it may be."""


class MemoryLimitReached(Exception):
    """So much of other bodies is in memory that this one has to come again."""


class MemoryLimit:
    """Bytes of bodies in memory, counted as they arrive: in all, and of each sender."""

    def __init__(self, total: int, of_one: int) -> None:
        """`of_one` is what a single sender may fill, so that one leaves room for the others."""
        self._total = total
        self._of_one = of_one
        self._held: Counter[Hashable] = Counter()

    @property
    def held(self) -> int:
        """Bytes in memory now."""
        return self._held.total()

    @contextmanager
    def body(self, sender: Hashable, largest: int) -> Iterator[Body]:
        """Room for a body while the block runs, which lasts until nobody needs the body any more."""
        body = Body(self, sender, largest)
        try:
            yield body
        finally:
            self._held[sender] -= body.size
            if not self._held[sender]:
                del self._held[sender]

    def take(self, sender: Hashable, size: int) -> None:
        """Counts further bytes of a sender. Raises NoRoom."""
        if self.held + size > self._total or self._held[sender] + size > self._of_one:
            raise MemoryLimitReached
        self._held[sender] += size


class Body:
    """One body, and what of it has arrived."""

    def __init__(self, room: MemoryLimit, sender: Hashable, largest: int) -> None:
        self._room = room
        self._sender = sender
        self.largest = largest
        self.size = 0

    async def read(self, request: Request) -> bytes:
        """The whole body. Raises TooLarge, NoRoom, and ClientDisconnect where it ends early."""
        read = bytearray()
        async for part in request.stream():
            if self.size + len(part) > self.largest:
                raise BodyTooLarge
            self._room.take(self._sender, len(part))
            self.size += len(part)
            read += part
        return bytes(read)
