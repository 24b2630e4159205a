"""Direct messages about what somebody did: why it had not the effect they meant, or that it is over."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.incidents.access import Access
from bot.messages.blocks import Message
from bot.messages.silences import render_ended_note
from bot.slack.requests import Person
from storage.queries import outbox, slack_ids
from storage.silence_rows import EndedSilence
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


def notify_member(tx: Connection, access: Access, member_id: int, message: Message, change: str, now: datetime) -> None:
    """Sends a member a direct message about what the caller has changed about them; none about one's own act."""
    if member_id == access.member_id:
        return
    outbox.enqueue(
        tx,
        workspace_id=access.workspace_id,
        member_id=member_id,
        key=f"member changed:{change}:{access.organization_id}:{member_id}:{now.isoformat()}",
        message=dict(message),
        kind=PostKind.NOTE,
        now=now,
        urgency=Urgency.NEWS,
    )


def notify_leaving(tx: Connection, access: Access, member_id: int, message: Message, now: datetime) -> None:
    """Sends a direct message to a member who is about to be removed, before that is done.

    It goes to a Slack user, because nobody is their member when it is sent. Who never used the bot gets none.
    """
    known = slack_ids.find_known_user(tx, access.organization_id, member_id)
    if known is not None:
        person = Person(*known, home_team=None)
        send_notice(tx, person, message, f"member left:{access.organization_id}:{member_id}:{now.isoformat()}", now)


def notify_maker(tx: Connection, ended: EndedSilence, now: datetime, *, by: str | None = None) -> None:
    """Sends the maker of a silence a direct message that it ended, if they still see what it was for.

    `by` is who ended it; None: its time came. While it still holds incidents, the message waits: it counts all of them.
    """
    silence = ended.silence
    if ended.more or not silence.maker_sees or silence.workspace_id is None or silence.member_id is None:
        return
    outbox.enqueue(
        tx,
        workspace_id=silence.workspace_id,
        member_id=silence.member_id,
        key=f"silence ended:{silence.organization_id}:{silence.id}",
        message=dict(render_ended_note(ended, by)),
        kind=PostKind.NOTE,
        now=now,
        urgency=Urgency.NEWS,
    )
