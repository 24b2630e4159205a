"""Renders the message of a post from the database, at the time when it is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.delivery.rendered import Drop, NotYet, Remove, Rendered, Show
from bot.incidents import handoff, reminders
from bot.incidents.common_parts import AlertWords, find_common
from bot.messages import calls, joining, personal_digest, reminder
from bot.messages import card as cards
from bot.messages import handoff as offers
from bot.messages import notification as notifications
from bot.messages import storm as storms
from bot.messages.organization_tag import tag_organization
from bot.messages.summary import render_summary
from bot.slack.clients import Installation
from storage.errors import UnknownActivity
from storage.member_rows import OfferState
from storage.queries import (
    call_messages,
    direct_messages,
    handoffs,
    join_requests,
    personal_digests,
    post_contents,
    posts,
    storm_contents,
    subscriptions,
    summaries,
)
from storage.queries.access import list_managers
from storage.queries.destinations import Target
from storage.queries.direct_messages import SentMessage
from storage.queries.post_kinds import (
    AmendmentPost,
    CallPost,
    CardPost,
    DigestPost,
    DirectPost,
    HandoffAnswerPost,
    HandoffPost,
    JoinRequestPost,
    KnownPost,
    MirrorPost,
    NewestPost,
    NotePost,
    NotificationPost,
    OlderPost,
    PersonalDigestPost,
    ReminderPost,
    StormPost,
    SummaryPost,
    ThreadPost,
    UnknownPost,
)
from storage.rows import NotificationContent, NotificationEntry, ThreadContent
from storage.values import PostKind, Status

log = structlog.get_logger(__name__)

# A failure reason of Tocsin's own; the others are Slack's error codes.
SHARED = "shared_with_another_company"
# How long a thread message waits for its card, which makes it due when it is posted itself.
_CARD_WAIT_S = 60.0
# How long an entry about a call waits until all whom it mentions are known in Slack, and how often that is checked.
_CALLEES_WAIT_S, _CALLEES_POLL_S = 10.0, 0.5
# How long a post that this version cannot render is left for a newer replica before this replica tries it again.
UNKNOWN_WAIT_S = 5.0


# Renders the current message of a digest; returns None if the digest must no longer be sent.
RenderDigest = Callable[[Connection, DigestPost, Target, datetime], Mapping[str, Any] | None]


def render(
    tx: Connection,
    post: KnownPost,
    target: Target,
    installation: Installation,
    now: datetime,
    render_digest: RenderDigest,
) -> Rendered:
    """Renders a post for its target. `installation` is used to build links to messages.

    Rendering a notification may write to the database: a member who has lost access is unsubscribed, and entries that
    do not fit are moved to another notification. `render_digest` records why a digest is not sent.
    """
    try:
        rendered = _render(tx, post, target, installation, now, render_digest)
    except UnknownActivity as unknown:
        _log_unknown(str(unknown))
        return NotYet(UNKNOWN_WAIT_S)
    if isinstance(rendered, Show):
        return replace(rendered, message=tag_organization(rendered.message, target.organization_id))
    return rendered


def _render(
    tx: Connection,
    post: KnownPost,
    target: Target,
    installation: Installation,
    now: datetime,
    render_digest: RenderDigest,
) -> Rendered:
    match post:
        case NotificationPost() if post.ts is None:
            return _render_notification(tx, post, target, installation, now)
        case NotificationPost() | NewestPost() | OlderPost():
            return _render_sent(tx, post, target, installation, now)
        case CardPost():
            return _render_card(tx, post, target)
        case SummaryPost():
            return _render_summary(tx, post, target)
        case StormPost():
            return _render_storm(tx, post, target)
        case MirrorPost():
            return _render_mirror(tx, post, target)
        case AmendmentPost():
            return _render_amendment(tx, post, target)
        case CallPost():
            return _render_call(tx, post, target, installation)
        case DigestPost():
            digest = render_digest(tx, post, target, now)
            return Drop() if digest is None else Show(digest, final=True)
        case NotePost():
            return _render_note(post, target)
        case HandoffPost():
            return _render_handoff(tx, post, target)
        case HandoffAnswerPost():
            return _render_handoff_answer(tx, post, target)
        case ReminderPost():
            return _render_reminder(tx, post, target)
        case PersonalDigestPost():
            return _render_personal_digest(tx, post, target)
        case JoinRequestPost():
            return _render_join_request(tx, post, target)


def log_unknown_post(post: UnknownPost) -> None:
    """Logs that a post is left for a newer replica, once for each kind of post."""
    _log_unknown(f"post of kind {post.kind}")


@cache
def _log_unknown(what: str) -> None:
    log.warning("this version cannot render something and leaves it for a newer replica", what=what)


def _render_notification(
    tx: Connection, post: NotificationPost, target: Target, installation: Installation, now: datetime
) -> Rendered:
    """Renders a notification that is to be sent."""
    content = post_contents.find_notification_content(tx, post, target, notifications.MAX_ENTRIES)
    if content is None or not target.incidents_on:
        return Drop()
    if content.incident is None:
        subscriptions.unsubscribe_members(tx, post.organization_id, post.incident_id, [target.member_id or 0])
        return Drop()
    follows = content.incident.subscribed and content.notify == "all"
    due_items = [item for item in content.entries if content.notify != "none" and (item.mention or follows)]
    if len(content.entries) == notifications.MAX_ENTRIES:
        post_contents.split_notification(tx, post, content.entries[-1].entry.id, now)
    if not due_items:
        return Drop()
    if dropped := [item.entry.id for item in content.entries if item not in due_items]:
        post_contents.drop_entries(tx, post, dropped)
    return _show_newest(tx, post, target, installation, content, due_items)


def _render_sent(
    tx: Connection,
    post: NotificationPost | NewestPost | OlderPost,
    target: Target,
    installation: Installation,
    now: datetime,
) -> Rendered:
    """Renders the update of a notification that was sent. A reader who has lost access is shown nothing new."""
    if post.ts is None or not target.incidents_on:
        return Drop()
    kind = post.kind
    if isinstance(post, NotificationPost):  # a version that does not rank messages has sent it
        kind = direct_messages.rank_message(
            tx, SentMessage(post.organization_id, post.id, target.id, post.incident_id, post.ts), now
        )
    content = post_contents.find_notification_content(tx, post, target, notifications.MAX_ENTRIES)
    if content is None:
        return Drop()
    if kind is PostKind.NEWEST:
        if content.incident is None:
            return Show(notifications.render_hidden(content.identifier), final=True)
        return _show_newest(tx, post, target, installation, content, content.entries)
    if content.incident is None:
        return Drop()
    title = content.incident.title
    return Show(notifications.render_older(content.identifier, title, content.entries, content.mentions), final=True)


def _show_newest(
    tx: Connection,
    post: DirectPost,
    target: Target,
    installation: Installation,
    content: NotificationContent,
    entries: Sequence[NotificationEntry],
) -> Rendered:
    assert content.incident is not None
    url = None if content.card is None else installation.permalink(*content.card)
    delayed = posts.is_overtaken(tx, post, target)
    message = notifications.render_newest(content, content.incident, entries, url, delayed=delayed)
    return Show(message, final=content.incident.status is Status.CLOSED)


def _render_call(tx: Connection, post: CallPost, target: Target, installation: Installation) -> Rendered:
    if not target.incidents_on or target.member_id is None:
        return Drop()
    incidents = call_messages.list_called_incidents(tx, target.organization_id, post.id, target.member_id)
    if post.ts is None:
        # Somebody may have taken them while the message waited.
        incidents = [incident for incident in incidents if calls.is_waiting(incident)]
        if not incidents:
            return Drop()
    elif not incidents:
        return Show(calls.render_hidden(), final=True)
    url = None
    if len(incidents) == 1:
        card = post_contents.find_card_for_reader(
            tx, target.organization_id, incidents[0].incident_id, target.member_id, target.workspace_id
        )
        url = installation.permalink(*card) if card else None
    over = all(incident.superseded or incident.status is Status.CLOSED for incident in incidents)
    return Show(calls.render_call(incidents, post.id, url), final=over)


def _render_summary(tx: Connection, post: SummaryPost, target: Target) -> Rendered:
    content = summaries.find_summary_content(tx, post, target.member_id or 0) if target.incidents_on else None
    return Drop() if content is None else Show(render_summary(content), final=True)


def _render_note(post: NotePost, target: Target) -> Rendered:
    # A note to a member is about the organization. A note to a Slack user responds to an action of that person.
    if target.member_id is not None and not (target.incidents_on and target.is_present):
        return Drop()
    return Show(post.message, final=True)


def _render_handoff(tx: Connection, post: HandoffPost, target: Target) -> Rendered:
    """Renders an offer. One that is over before it was sent is not sent."""
    head = handoffs.find_handoff(tx, target.organization_id, int(post.key.rpartition(":")[2]))
    if head is None or not (target.incidents_on and target.is_present) or target.member_id != head.receiver_id:
        return Drop()
    content = handoff.get_content(tx, head, also_open=offers.ALSO_OPEN_SHOWN)
    is_over = not content.list_in_state(OfferState.OFFERED)
    return Drop() if is_over and post.ts is None else Show(offers.render_offer(content), final=is_over)


def _render_handoff_answer(tx: Connection, post: HandoffAnswerPost, target: Target) -> Rendered:
    _, _, handoff_id, ended = post.key.split(":", 3)
    head = handoffs.find_handoff(tx, target.organization_id, int(handoff_id))
    if head is None or not (target.incidents_on and target.is_present) or target.member_id != head.giver_id:
        return Drop()
    message = offers.render_answer(handoff.get_answer(tx, head, datetime.fromisoformat(ended)))
    return Drop() if message is None else Show(message, final=True)


def _render_join_request(tx: Connection, post: JoinRequestPost, target: Target) -> Rendered:
    """Renders the message to a manager. Who is none any more gets none, nor does anybody once it is decided."""
    request_id = int(post.key.split(":")[2])
    request = join_requests.find_request(tx, target.organization_id, request_id)
    if request is None or not target.is_present or target.member_id is None:
        return Drop()
    is_over = request.date_decided is not None
    if post.ts is None and (is_over or not list_managers(tx, target.organization_id, 1, among=target.member_id)):
        return Drop()
    return Show(joining.render_request(request), final=is_over)


def _render_reminder(tx: Connection, post: ReminderPost, target: Target) -> Rendered:
    if not (target.incidents_on and target.is_present) or target.member_id is None:
        return Drop()
    content, mentions = reminders.get_content(
        tx, target.organization_id, post.key, target.member_id, target.workspace_id
    )
    if post.ts is None:
        content = [one for one in content if one.is_asked]
        return Show(reminder.render_reminder(content, mentions)) if content else Drop()
    message = reminder.render_reminder(content, mentions) if content else reminder.render_hidden()
    return Show(message, final=not any(one.is_readers for one in content))


def _render_personal_digest(tx: Connection, post: PersonalDigestPost, target: Target) -> Rendered:
    if not (target.incidents_on and target.is_present) or target.member_id is None:
        return Drop()
    since = datetime.fromisoformat(post.key.rpartition("|")[2])
    shown = personal_digests.get_content(
        tx, target.organization_id, target.member_id, target.workspace_id, since, personal_digest.SHOWN
    )
    return Show(personal_digest.render_personal_digest(shown), final=True)


def _render_card(tx: Connection, post: CardPost, target: Target) -> Rendered:
    if not target.incidents_on:
        return Drop()
    content = post_contents.find_card_content(tx, post, target)
    if content is not None:
        if post.ts is None and content.details.status is Status.CLOSED:
            return Drop()  # nobody needs to hear of it any more; if it is reopened, it gets its card
        if post.ts is None and content.details.silence is not None:
            return Drop()  # its end makes the card due again
        return Show(cards.render_card(content))
    identifier = post_contents.find_identifier(tx, post)
    # The channel has a card of the incident, but must not show anything that has happened since.
    return Drop() if post.ts is None or identifier is None else Show(cards.render_retired_card(identifier))


def _render_storm(tx: Connection, post: StormPost, target: Target) -> Rendered:
    if not target.incidents_on:
        return Drop()
    content = storm_contents.find_storm_content(tx, post, target)
    if content is None:
        return Drop() if post.ts is None else Show(storms.render_retired_storm())
    common = find_common([AlertWords(alert.title, alert.labels) for alert in content.alerts])
    return Show(storms.render_storm(content, common))


def _render_mirror(tx: Connection, post: MirrorPost, target: Target) -> Rendered:
    content = _find_thread_content(tx, post, target)
    if content is None:
        return Drop()
    if content.deleted:
        return _remove(post)
    if _has_unknown_callees(content) and post.ts is None and post.waited_s < _CALLEES_WAIT_S:
        return NotYet(_CALLEES_POLL_S)
    delayed = posts.is_overtaken(tx, post, target)
    message = cards.render_thread_entry(
        content.entry,
        content.mentions,
        delayed=delayed,
        calls=content.is_waiting or post.ts is not None,
        incident=content.incident,
    )
    return _show_in_thread(post, content, message)


def _has_unknown_callees(content: ThreadContent) -> bool:
    """Whether somebody was called whose Slack id is not known yet: it is looked up for their direct message."""
    return content.entry.call is not None and any(one.slack_id is None for one in content.mentions.people.values())


def _render_amendment(tx: Connection, post: AmendmentPost, target: Target) -> Rendered:
    content = _find_thread_content(tx, post, target)
    if content is None:
        return Drop()
    if content.reply_gone:
        return _remove(post)
    message = cards.render_amendment(content.entry, content.mentions, deleted=content.deleted)
    return _show_in_thread(post, content, message)


def _find_thread_content(tx: Connection, post: ThreadPost, target: Target) -> ThreadContent | None:
    """Returns None if the thread must not show the entry, or must no longer show it."""
    content = post_contents.find_thread_content(tx, post, target)
    return content if content is not None and content.channel_may_show and target.incidents_on else None


def _remove(post: ThreadPost) -> Rendered:
    return Drop() if post.ts is None else Remove()


def _show_in_thread(post: ThreadPost, content: ThreadContent, message: Mapping[str, Any]) -> Rendered:
    if content.card_withheld:
        return Drop()
    if content.card_ts is None and post.ts is None:
        return NotYet(_CARD_WAIT_S)
    return Show(message, thread_ts=content.card_ts)
