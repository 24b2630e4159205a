"""Telling one person, alone and once, that something they did in a channel did not come to what they meant."""

from __future__ import annotations

from bot.messages.blocks import Message
from bot.slack.requests import Person
from storage.engine import Store
from storage.queries import outbox
from storage.values import Urgency


def privately(store: Store, person: Person, message: Message, key: str) -> None:
    """Has a direct message sent, unless one with this key was before. Raises DatabaseAway, Contended."""
    with store.write() as tx:
        outbox.enqueue(
            tx,
            workspace_id=person.workspace_id,
            user_id=person.user_id,
            key=key,
            message=dict(message),
            kind="note",
            now=store.clock.now(),
            urgency=Urgency.NEWS,
        )
