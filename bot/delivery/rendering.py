"""What a post shows, rendered from the database at the moment when it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.messages import card as cards
from bot.messages import notification as notifications
from bot.messages.organization_tag import tag_organization
from bot.slack.clients import Installation
from storage.errors import UnknownActivity
from storage.queries import expansion, post_contents, posts
from storage.queries.destinations import Target
from storage.queries.posts import DuePost

log = structlog.get_logger(__name__)

_METADATA_EVENT = "tocsin_post"
# Trouble that is ours to name, beside Slack's own reasons.
SHARED = "shared_with_another_company"
# A thread waits for its card to stand; so long at a time.
_CARD_WAIT_S = 2.0
# A post that this version does not know how to show is left for a replica that does; each looks at it this often.
_UNKNOWN_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Show:
    """The message is to be posted, or the one that stands brought to this."""

    message: Mapping[str, Any]
    thread_ts: str | None = None

    @property
    def fingerprint(self) -> str:
        """The same for the same message."""
        return hashlib.sha256(json.dumps(self.message, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Remove:
    """The message that stands is to go."""


@dataclass(frozen=True, slots=True)
class Drop:
    """There is nothing to show (any more); what stands may stay."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """It cannot be shown yet."""

    seconds: float


Rendered = Show | Remove | Drop | NotYet


# What a digest shows by now; None when it is not to be sent any more.
RenderDigest = Callable[[Connection, DuePost, Target, datetime], Mapping[str, Any] | None]


def render(
    tx: Connection,
    post: DuePost,
    target: Target,
    installation: Installation,
    now: datetime,
    render_digest: RenderDigest,
) -> Rendered:
    """What is to be shown for a post. Writes only who is unsubscribed, and what did not fit into the message.

    `installation` knows where links to messages begin.
    """
    try:
        rendered = _render(tx, post, target, installation, now, render_digest)
    except UnknownActivity as unknown:
        _report_unknown(str(unknown))
        return NotYet(_UNKNOWN_WAIT_S)
    if isinstance(rendered, Show):
        return replace(rendered, message=tag_organization(rendered.message, target.organization_id))
    return rendered


def _render(
    tx: Connection,
    post: DuePost,
    target: Target,
    installation: Installation,
    now: datetime,
    render_digest: RenderDigest,
) -> Rendered:
    match post.kind:
        case "notification":
            return _notification(tx, post, target, installation, now)
        case "card":
            return _card(tx, post, target)
        case "mirror" | "amendment":
            return _in_thread(tx, post, target)
        case "digest":
            digest = render_digest(tx, post, target, now)
            return Drop() if digest is None else Show(digest)
        case "note":
            return _note(post, target)
        case _:
            # A newer version beside this one asked for it, and knows what it says.
            _report_unknown(f"post of kind {post.kind}")
            return NotYet(_UNKNOWN_WAIT_S)


@cache
def _report_unknown(what: str) -> None:
    """Logs it once, however many there are."""
    log.warning("this version does not know how to show something, and leaves it for a replica that does", what=what)


def _notification(tx: Connection, post: DuePost, target: Target, installation: Installation, now: datetime) -> Rendered:
    content = post_contents.find_notification_content(tx, post, target, notifications.MAX_ENTRIES)
    if content is None or not target.incidents_on:
        return Drop()
    if not content.sees:
        expansion.unsubscribe_members(tx, content.incident.id, [target.member_id or 0])
        return Drop()
    wanted = [
        told
        for told in content.entries
        if content.notify != "none" and (told.mention or (content.subscribed and content.notify == "all"))
    ]
    if len(content.entries) == notifications.MAX_ENTRIES:
        post_contents.split_notification(tx, post, content.entries[-1].entry.id, now)
    if not wanted:
        return Drop()
    url = None
    if content.card is not None:
        url = installation.permalink(*content.card)
    delayed = posts.is_overtaken(tx, post, target)
    return Show(notifications.render_notification(content, wanted, url, delayed=delayed))


def _note(post: DuePost, target: Target) -> Rendered:
    if post.message is None:
        raise ValueError(f"post {post.id} of kind {post.kind} has no message")
    # One to a member says something of the organization's; one to a Slack user answers what that person did.
    if target.member_id is not None and not (target.incidents_on and target.is_present):
        return Drop()
    return Show(post.message)


def _card(tx: Connection, post: DuePost, target: Target) -> Rendered:
    if not target.incidents_on:
        return Drop()
    content = post_contents.find_card_content(tx, post, target)
    if content is not None:
        return Show(cards.render_card(content))
    identifier = post_contents.find_identifier(tx, post)
    # It was shown here once; what has happened since is not this channel's business.
    return Drop() if post.ts is None or identifier is None else Show(cards.render_retired_card(identifier))


def _in_thread(tx: Connection, post: DuePost, target: Target) -> Rendered:
    content = post_contents.find_thread_content(tx, post, target)
    if content is None or not target.incidents_on or not content.shown_here:
        return Drop()
    if post.kind == "mirror":
        if content.deleted:
            return Drop() if post.ts is None else Remove()
        delayed = posts.is_overtaken(tx, post, target)
        message = cards.render_thread_entry(content.entry, content.mentions, delayed=delayed)
    else:
        if content.reply_gone:
            return Drop() if post.ts is None else Remove()
        message = cards.render_amendment(content.entry, content.mentions, deleted=content.deleted)
    if content.card_ts is None and post.ts is None:
        return NotYet(_CARD_WAIT_S)
    return Show(message, thread_ts=content.card_ts)


def metadata_of(post: DuePost) -> dict[str, Any]:
    """By which its message can be found in Slack: another id for each time that it is posted anew."""
    return {"event_type": _METADATA_EVENT, "event_payload": {"id": f"{post.id}.{post.generation}"}}


def is_message_of(message: Mapping[str, Any], post: DuePost, installation: Installation) -> bool:
    """Whether a message of a conversation, as Slack gives it, is the one that was posted."""
    ours = message.get("bot_id") == installation.bot_id or message.get("user") == installation.bot_user_id
    found, wanted = message.get("metadata") or {}, metadata_of(post)
    return (
        ours
        and found.get("event_type") == _METADATA_EVENT
        and (found.get("event_payload") or {}).get("id") == wanted["event_payload"]["id"]
    )
