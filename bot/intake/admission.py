"""Who is let in, before anything of theirs is read or waits for a worker: only those whose token there is.

Made-up tokens cost one question for all of them that come at once, on a worker of its own, and take no room from
others. What a token may do is looked at again where its delivery is carried out (`desk.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from bot.intake.batching import Batcher
from bot.intake.tokens import token_hash
from storage.engine import Store
from storage.queries import tokens

# Tokens in one question.
_AT_ONCE = 500
_GATHER_S = 0.01
# For so long a token is let in without a question; one that was revoked meanwhile is refused by the desk.
_REMEMBERED_S = 600.0
_MOST_REMEMBERED = 10_000


class Admission:
    """Knows which tokens there are."""

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._known: dict[str | int, float] = {}  # hash, or id of a token of Sentry's -> until when
        self._together: Batcher[str | int, bool] = Batcher(
            self._look_up, most=_AT_ONCE, gather_s=_GATHER_S, workers=anyio.CapacityLimiter(1)
        )

    async def knows(self, token: str | int) -> bool:
        """Whether there is a token, named by itself or, where deliveries are signed, by its id.

        Raises DatabaseAway.
        """
        shown = token if isinstance(token, int) else token_hash(token)
        if self._known.get(shown, 0.0) > self._monotonic():
            return True
        if not await self._together.do("tokens", shown, 1):
            return False
        self._known.pop(shown, None)
        self._known[shown] = self._monotonic() + _REMEMBERED_S
        if len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        return True

    def _look_up(self, shown: Sequence[str | int]) -> list[bool | Exception]:
        with self._store.read() as connection:
            known = tokens.filter_valid_tokens(
                connection,
                hashes=[one for one in shown if isinstance(one, str)],
                ids=[one for one in shown if isinstance(one, int)],
            )
        return [one in known for one in shown]
