"""Saves replies in the thread of a card as comments on the incident. Edits and deletions change the comment too.

Slack may deliver an event twice, late or out of order. The timestamps of a reply and of its latest edit decide whether
an event contains anything new.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.incidents import comments, lookup
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from storage.queries import threads
from storage.rows import PostedCard


def save_reply(
    tx: Connection,
    access: Access,
    card: PostedCard,
    ts: str,
    edited_ts: str | None,
    written: CommentText,
    now: datetime,
) -> bool:
    """Adds the comment for a reply below a card, or changes it after an edit.

    `ts` is the timestamp of the reply; `edited_ts` is the timestamp of its latest edit, None if it was never edited.
    Returns False if nothing changed, because this edit, a later edit or the deletion is already stored. Raises Refusal.
    """
    lookup.get_incident(tx, access, card.identifier, lock=True)
    known = threads.find_reply(tx, card, ts)
    if known is None:
        if not threads.record_reply(tx, card, ts, edited_ts=edited_ts):
            return False
        _, activity_id = comments.add(tx, access, card.identifier, written, now, thread_channel=card.channel_id)
        threads.link_comment(tx, card, ts, activity_id)
        return True
    if known.gone or known.activity_id is None or edited_ts is None:
        return False
    if known.edited_ts is not None and known.edited_ts >= edited_ts:
        return False
    threads.record_reply_edited(tx, card, ts, edited_ts)
    comments.edit(tx, access, card.identifier, known.activity_id, written, now, thread_channel=card.channel_id)
    return True


def delete_reply(tx: Connection, card: PostedCard, ts: str, now: datetime) -> None:
    """Deletes the comment of a reply below a card. `ts` is the reply's timestamp."""
    known = threads.find_reply(tx, card, ts)
    if known is None:
        # The deletion arrived before the reply. Record it, so that the reply does not become a comment later.
        if threads.record_reply(tx, card, ts, gone=True):
            return
        # Another transaction stored the reply at the same time. It has committed by now.
        known = threads.find_reply(tx, card, ts)
    if known is not None and not known.gone:
        threads.record_reply_deleted(tx, card, ts)
        if known.activity_id is not None:
            comments.withdraw(
                tx, card.organization_id, card.incident_id, known.activity_id, now, thread_channel=card.channel_id
            )
