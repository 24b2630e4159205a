"""Telling one person, alone and once, that something they did in a channel did not come to what they meant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.messages.blocks import Message
from bot.slack.requests import Person
from storage.queries import outbox
from storage.values import PostKind, Urgency


def send_notice(tx: Connection, person: Person, message: Message, key: str, now: datetime) -> None:
    """Has a direct message sent, unless one with this key was before."""
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
