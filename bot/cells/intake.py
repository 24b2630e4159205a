"""Passes each delivery of alerts on to the intake of the cell that has its token."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread
from fastapi import Request, Response

from bot.cells.directory import CellAway, Directory
from bot.intake.http import Intake, find_bearer
from bot.intake.tokens import Source, token_hash

_AT_ONCE = 16  # tokens that are looked up


class CellIntakes:
    """The intakes of several cells."""

    def __init__(self, own: Intake, directory: Directory, find_intake: Callable[[str], Intake | None]) -> None:
        """`own` is the default cell's. `find_intake` gives a cell's; None while its database was never reached."""
        self._own = own
        self._directory = directory
        self._find_intake = find_intake
        self._lookups = anyio.CapacityLimiter(_AT_ONCE)

    async def receive(self, request: Request, source: Source) -> Response:
        """Answers a delivery with a bearer token."""
        bearer = find_bearer(request)
        intake = await self._find(token_hash(bearer)) if bearer else self._own
        return await intake.receive(request, source) if intake else self._own.refuse_away(request, source)

    async def receive_signed(self, request: Request, token_id: str) -> Response:
        """Answers a delivery of Sentry, which is signed."""
        known = token_id.isascii() and token_id.isdigit() and len(token_id) <= 18
        intake = await self._find(int(token_id)) if known else self._own
        return (
            await intake.receive_signed(request, token_id) if intake else self._own.refuse_away(request, Source.SENTRY)
        )

    async def _find(self, token: str | int) -> Intake | None:
        if known := self._directory.find_known_cell_of_token(token):
            return self._find_intake(known)  # waits for no token that somebody made up
        try:
            cell = await anyio.to_thread.run_sync(self._directory.find_cell_of_token, token, limiter=self._lookups)
        except CellAway:
            return None
        return self._find_intake(cell)
