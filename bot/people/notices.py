"""Direct messages that tell somebody why what they did in a channel had not the effect they meant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.messages.blocks import Message
from bot.slack.requests import Person
from storage.queries import outbox
from storage.values import PostKind, Urgency


def send_notice(tx: Connection, person: Person, message: Message, key: str, now: datetime) -> None:
    """Queues a direct message, unless one with this key has been queued before."""
    outbox.enqueue(
        tx,
        workspace_id=person.workspace_id,
        user_id=person.user_id,
        key=key,
        message=dict(message),
        kind=PostKind.NOTE,
        now=now,
        urgency=Urgency.NEWS,
    )
