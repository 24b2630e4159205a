"""Messages in channels: replies in the thread of a card are comments, and edits and deletions follow.

The rules are in `bot.incidents.replies`; this module reads the events and tells the author what could not be done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.handlers import channel_events
from bot.handlers.context import Services
from bot.handlers.reply import WRITTEN, Reply, fetch_files, find_reply
from bot.handlers.verb import Feature
from bot.incidents import cards, comments, lookup, replies
from bot.incidents.comments import CommentText
from bot.incidents.errors import CommentGone, NotFound, Refusal
from bot.incidents.markup import require_storable
from bot.messages import notice_texts
from bot.messages.blocks import Message
from bot.people import notices
from bot.people.identity import SlackAway
from bot.people.joining import explain_refusal
from bot.people.mentions import MentionReader
from bot.people.names import AmbiguousName
from bot.slack.requests import Event
from bot.slack.responses import Done, Response, RetryLater
from storage.rows import PostedCard


def handle_message(services: Services, event: Event, now: datetime) -> Response:
    """A `message` event of a channel. Raises DatabaseAway, Contended, CardNotPostedYet."""
    payload = event.event
    match payload.get("subtype"):
        case "message_changed":
            changed = payload.get("message") or {}
            if changed.get("subtype") == "tombstone":
                return _handle_deleted(
                    services, event, str(changed.get("ts")), payload.get("previous_message") or {}, now
                )
            reply = find_reply(event, changed)
            # Without `edited`, only a link preview was added or the count of replies changed.
            return _add_or_edit(services, reply, now) if reply and reply.edited_ts else Done()
        case "message_deleted":
            gone = payload.get("previous_message") or {}
            return _handle_deleted(services, event, str(payload.get("deleted_ts") or gone.get("ts")), gone, now)
        case "channel_join" | "group_join":
            return channel_events.handle_joined(services, event, now)
        case "channel_unarchive" | "group_unarchive":
            return channel_events.handle_opened(services, event, now)
        case subtype if subtype in WRITTEN:
            reply = find_reply(event, payload)
            if reply is None or _mentions_bot(services, event.workspace_id, reply):
                return Done()
            return _add_or_edit(services, reply, now)
    return Done()


def _mentions_bot(services: Services, workspace_id: str, reply: Reply) -> bool:
    """Whether a reply mentions the bot: it is a command then, and arrives again as an `app_mention` event."""
    installation = services.clients.find(workspace_id)
    return installation is None or (
        reply.person.user_id == installation.bot_user_id or f"<@{installation.bot_user_id}" in reply.text
    )


def _add_or_edit(services: Services, reply: Reply, now: datetime) -> Response:
    """Handles a new or edited reply: its comment gets the same text."""
    card = cards.find_card(services.store, reply.person.workspace_id, reply.channel_id, reply.thread_ts)
    if card is None:
        return Done()
    try:
        reply = fetch_files(reply, services.clients)
        with services.store.reading() as reading:
            access = services.identity.access(reading, reply.person, now)
            incident = lookup.get_incident(reading.connection, access, card.identifier)
            reader = MentionReader(services.identity, reading, access, now, lenient=True)
            written = reader.text(require_storable(reply.text))
            written, blind = comments.drop_blind_mentions(reading.connection, access, incident, written)
        notes = _notes(card, incident.title, reply, sorted({*reader.unknown, *blind}), reader.unclear)
        written = _with(written, reply.extra_texts())
        with services.store.write(access.organization_id) as tx:
            if not written.text.strip() or replies.save_reply(
                tx, access, card, reply.ts, reply.edited_ts, written, now
            ):
                for note, key in notes:
                    notices.send_notice(tx, reply.person, note, key, now)
    except SlackAway:
        return RetryLater()
    except CommentGone:
        return Done()
    except Refusal as refusal:
        _notify_of_refusal(services, card, reply, refusal, now)
    return Done()


def _notes(
    card: PostedCard, title: str, reply: Reply, unheard: Sequence[str], unclear: Sequence[AmbiguousName]
) -> list[tuple[Message, str]]:
    """Direct messages to the author about what is not in the comment, each with its key."""
    notes = []
    if reply.hidden:
        note = notice_texts.render_files_not_saved(card.identifier, title, card.channel_id, reply.hidden)
        notes.append((note, f"hidden files:{card.channel_id}:{reply.ts}"))
    if unheard:
        note = notice_texts.render_not_mentioned(card.identifier, title, card.channel_id, " and ".join(unheard))
        notes.append((note, f"unheard:{card.channel_id}:{reply.ts}"))
    if unclear:
        several = [(one.typed, one.candidates) for one in unclear]
        note = notice_texts.render_ambiguous_names(card.identifier, title, card.channel_id, several)
        notes.append((note, f"unclear:{card.channel_id}:{reply.ts}"))
    return notes


def _with(written: CommentText, beside: list[str]) -> CommentText:
    if not beside:
        return written
    return CommentText("\n".join([*filter(None, [written.text]), *beside]), written.member_ids, written.team_ids)


def _notify_of_refusal(services: Services, card: PostedCard, reply: Reply, refusal: Refusal, now: datetime) -> None:
    """Tells somebody that they may not comment, once in each thread."""
    if isinstance(refusal, NotFound):
        refusal = cards.explain_not_found(
            services.store, reply.person.workspace_id, reply.channel_id, reply.thread_ts, refusal
        )
    refusal = explain_refusal(services.store, reply.person, refusal, now)
    if reply.edited_ts is not None:
        note = notice_texts.render_edit_not_followed(card.identifier, card.channel_id, refusal.sentence)
    else:
        note = notice_texts.render_not_a_comment(card.identifier, card.channel_id, refusal.sentence)
    key = f"no comment:{card.channel_id}:{reply.thread_ts}:{reply.person.user_id}"
    with services.store.write() as tx:
        notices.send_notice(tx, reply.person, note, key, now)


def _handle_deleted(services: Services, event: Event, ts: str, gone: Mapping[str, Any], now: datetime) -> Response:
    """Handles a deleted message: a card is posted again with the next change, the comment of a reply is deleted."""
    channel_id = str(event.event.get("channel"))
    thread_ts = gone.get("thread_ts")
    if not thread_ts or thread_ts == ts:
        if gone.get("bot_id"):
            with services.store.write() as tx:
                cards.record_deletion(tx, event.workspace_id, channel_id, ts)
        return Done()
    if gone.get("bot_id"):
        return Done()
    card = cards.find_card(services.store, event.workspace_id, channel_id, str(thread_ts))
    if card is None:
        return Done()
    with services.store.write(card.organization_id) as tx:
        replies.delete_reply(tx, card, ts, now)
    return Done()


HANDLES = (Feature(events={"message": handle_message}),)
