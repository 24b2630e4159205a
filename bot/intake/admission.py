"""Admission: a delivery whose token does not exist is refused before its body is read and before it needs a worker.

Made-up tokens that arrive together cost one query, on a worker of its own; valid deliveries do not wait for it. What a
token allows is checked when its delivery is processed (`service.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from bot.intake.batching import Batcher
from bot.intake.tokens import token_hash
from storage.engine import Store
from storage.queries import tokens

_MAX_BATCH = 500  # tokens in one query
_BATCH_INTERVAL_S = 0.01
# How long a token is known without another query. If it is revoked meanwhile, `service.py` refuses it.
_CACHED_S = 600.0
_MAX_CACHED = 10_000


class Admission:
    """Knows which tokens exist."""

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._cached_until: dict[str | int, float] = {}  # by hash, or for Sentry by the id of the token
        self._batcher: Batcher[str | int, bool] = Batcher(
            self._exist, max_size=_MAX_BATCH, interval_s=_BATCH_INTERVAL_S, workers=anyio.CapacityLimiter(1)
        )

    async def knows(self, token: str | int) -> bool:
        """Whether a token exists, given itself or, for signed deliveries, its id. Raises DatabaseAway."""
        key = token if isinstance(token, int) else token_hash(token)
        if self._cached_until.get(key, 0.0) > self._monotonic():
            return True
        if not await self._batcher.submit("tokens", key, 1):
            return False
        self._cached_until.pop(key, None)
        self._cached_until[key] = self._monotonic() + _CACHED_S
        if len(self._cached_until) > _MAX_CACHED:
            del self._cached_until[next(iter(self._cached_until))]
        return True

    def _exist(self, keys: Sequence[str | int]) -> list[bool | Exception]:
        with self._store.read() as connection:
            existing = tokens.filter_valid_tokens(
                connection,
                hashes=[key for key in keys if isinstance(key, str)],
                ids=[key for key in keys if isinstance(key, int)],
            )
        return [key in existing for key in keys]
