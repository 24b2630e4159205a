"""The card under which somebody replied, or to which they reacted."""

from __future__ import annotations

import time

from storage.engine import Store
from storage.queries import threads
from storage.queries.threads import PostedCard

# People are quick, and bots quicker: a card may be answered before it is written down where it stands.
_WAIT_S = 1.0
_LOOK_EVERY_S = 0.02


class CardNotPostedYet(Exception):
    """It may be a card that is meant, and soon it will be known."""


def find_card(store: Store, workspace_id: str, channel_id: str, ts: str) -> PostedCard | None:
    """The card that stands there, None where that message is none. Raises CardOnItsWay, DatabaseAway."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        with store.read() as connection:
            # In this order: what is written down in between is found the next time.
            on_its_way = threads.has_card_not_posted_yet(connection, workspace_id, channel_id, ts)
            found = threads.find_card(connection, workspace_id, channel_id, ts)
        if found is not None or not on_its_way:
            return found
        if time.monotonic() > deadline:
            raise CardNotPostedYet
        time.sleep(_LOOK_EVERY_S)
