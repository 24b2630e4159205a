"""Reads the bodies of HTTP requests within limits: the size of one, and of all that are in memory at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from fastapi import Request


class BodyTooLarge(Exception):
    """The body is longer than allowed."""


class MemoryLimitReached(Exception):
    """Other bodies fill the memory that is allowed; the sender should retry."""


class MemoryLimit:
    """A limit on the bytes of bodies in memory: of all senders together, and of each."""

    def __init__(self, total: int, of_one: int) -> None:
        """`total` and `of_one` are bytes; `of_one` limits each sender, so that one leaves memory for the others."""
        self._total = total
        self._of_one = of_one
        self._held: Counter[Hashable] = Counter()

    @property
    def held(self) -> int:
        """The bytes in memory now."""
        return self._held.total()

    @contextmanager
    def body(self, sender: Hashable, largest: int) -> Iterator[Body]:
        """A body of at most `largest` bytes. It counts as in memory until the block ends."""
        body = Body(self, sender, largest)
        try:
            yield body
        finally:
            self._held[sender] -= body.size
            if not self._held[sender]:
                del self._held[sender]

    def take(self, sender: Hashable, size: int) -> None:
        """Counts `size` more bytes of a sender. Raises MemoryLimitReached."""
        if self.held + size > self._total or self._held[sender] + size > self._of_one:
            raise MemoryLimitReached
        self._held[sender] += size


class Body:
    """A body of which `size` bytes have arrived."""

    def __init__(self, limit: MemoryLimit, sender: Hashable, largest: int) -> None:
        self._limit = limit
        self._sender = sender
        self.largest = largest
        self.size = 0

    async def read(self, request: Request) -> bytes:
        """Reads the whole body. Raises BodyTooLarge, MemoryLimitReached, and ClientDisconnect if it ends early."""
        read = bytearray()
        async for part in request.stream():
            if self.size + len(part) > self.largest:
                raise BodyTooLarge
            self._limit.take(self._sender, len(part))
            self.size += len(part)
            read += part
        return bytes(read)
