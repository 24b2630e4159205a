"""The card of an incident in a channel, and the messages in its thread. They show names, and notify nobody.

The query that reads the content decides what a channel may see; this module only renders it.
"""

from __future__ import annotations

from typing import Any, TypedDict

from bot.incidents.markup import escape
from bot.messages.blocks import (
    Block,
    Element,
    Message,
    actions,
    bold,
    button,
    context,
    menu_entry,
    message,
    overflow,
    section,
    split_text,
    truncate,
)
from bot.messages.call_entries import render_call_entry
from bot.messages.comments import render_comment_with_names
from bot.messages.comments import render_delayed as say_delayed
from bot.messages.entries import render_entry_sentence
from bot.messages.incident import STATUS_SIGNS, render_title
from bot.messages.incident_parts import (
    STATUS_NAMES,
    render_age,
    render_description,
    render_few_facts,
    render_last_comment,
    render_links,
    render_on_one_line,
    render_owned,
    render_place,
    render_resolved,
    render_seen,
    render_silence,
)
from storage.rows import ActivityEntry, CardContent, IncidentDetails, IncidentName, Mentions
from storage.values import ActivityType, Status

# Characters of what a card shows in part; `View` has the rest.
DESCRIPTION_LENGTH = 250
FACTS_LENGTH = 180
# Slack refuses messages of more than about 12,000 characters in all blocks (msg_blocks_too_long), and a link may have
# 3,000. (https://github.com/slackapi/bolt-js/issues/2509)
LINKS_LENGTH = 5000
CLOSING_COMMENT_LENGTH = 120  # of a resolved incident, whose card has two lines
NAME_LENGTH = 80
TITLE_LENGTH = 300  # of an incident in the thread of a storm
PIECE_LENGTH = 2900
MAX_PIECES = 3


class CardMessage(TypedDict):
    """A card as it is posted. `attachments` is empty, which removes those of cards of earlier versions."""

    text: str
    blocks: list[Block]
    attachments: list[Any]


def render_card(content: CardContent) -> CardMessage:
    """The card of an incident."""
    incident = content.details
    name = render_title(incident.identifier, incident.title)
    title = f"{STATUS_SIGNS[incident.status]} {bold(name)}"
    is_closed = incident.status is Status.CLOSED
    blocks = _render_closed(content, title) if is_closed else _render_open(content, title)
    return {
        "text": truncate(f"{name} ({STATUS_NAMES[incident.status]})", 3000),
        "blocks": blocks,
        "attachments": [],
    }


def _render_open(content: CardContent, title: str) -> list[Block]:
    incident = content.details
    return [
        section(title),
        context(" · ".join([*render_place(incident), render_age(incident)])),
        *render_description(incident, DESCRIPTION_LENGTH),
        *render_few_facts(incident, FACTS_LENGTH),
        *render_links(incident, LINKS_LENGTH),
        *render_silence(incident),
        context(" · ".join(_render_people(incident))),
        *([context(render_last_comment(content.shown_entry, content.mentions))] if content.shown_entry else []),
        actions(_build_buttons(incident)),
    ]


def _render_people(incident: IncidentDetails) -> list[str]:
    """Who does what about it: the owner before those who have seen it."""
    owned = [f":bust_in_silhouette: {render_owned(incident.owner)}"] if incident.owner else []
    return [*owned, f":eyes: {render_seen(incident.seen, incident.seen_count)}"]


def _render_closed(content: CardContent, title: str) -> list[Block]:
    reopen = button("Reopen", "reopen", str(content.details.identifier))
    return [section(f"{title}\n{_render_closing(content)}", accessory=reopen)]


def _render_closing(content: CardContent) -> str:
    """Who or what resolved an incident, when, after how long, and with which words: one line."""
    entry = content.shown_entry
    sentence = render_resolved(content.details, entry)
    if entry is not None and entry.comment:
        sentence += f": {render_on_one_line(entry.comment, content.mentions, CLOSING_COMMENT_LENGTH)}"
    return sentence


def _build_buttons(incident: IncidentDetails) -> list[Element]:
    value = str(incident.identifier)
    entries = [
        menu_entry("View", "view", value),
        menu_entry("Comment", "comment", value),
        menu_entry("Activity", "activity", value),
        menu_entry("Subscribe", "subscribe", value),
    ]
    if incident.source:
        entries.append(menu_entry("Silence", "silence", value))
    return [
        button("Acknowledge", "acknowledge", value, style=None if incident.seen_count else "primary"),
        button("Take it", "take", value),
        button("Resolve", "resolve", value),
        overflow(entries),
    ]


def render_retired_card(identifier: int) -> CardMessage:
    """What replaces a card in a channel that none of the incident's projects names any more."""
    sentence = f"Incident #{identifier} is no longer shown in this channel."
    return {"text": sentence, "blocks": [context(sentence)], "attachments": []}


# --- in the thread -----------------------------------------------------------------------------------------


def render_thread_entry(
    entry: ActivityEntry,
    mentions: Mentions,
    *,
    delayed: bool = False,
    calls: bool = False,
    incident: IncidentName | None = None,
) -> Message:
    """A comment that was made elsewhere, a change of status or owner, or a call.

    `delayed`: a later one is above it already. `calls`: nobody has the incident, so who was called is mentioned.
    `incident` is named where the thread is about several.
    """
    name = bold(truncate(render_title(incident.identifier, incident.title), TITLE_LENGTH)) + ": " if incident else ""
    if entry.type is ActivityType.CALL:
        called = f":telephone_receiver: {name}{render_call_entry(entry, mentions.people if calls else None)}"
        return message(called, [section(called)])
    late = f" ({say_delayed(entry)})" if delayed else ""
    return _render_quote(name + _render_author(entry) + late, entry, mentions)


def render_amendment(entry: ActivityEntry, mentions: Mentions, *, deleted: bool) -> Message:
    """Says that a comment which began as a reply in this thread was edited or deleted elsewhere."""
    who = bold(escape(entry.author or "Someone"))
    if deleted:
        sentence = f"The comment by {who} above was deleted."
        return message(sentence, [context(sentence)])
    return _render_quote(f"The comment by {who} above was edited. It now says", entry, mentions)


def _render_author(entry: ActivityEntry) -> str:
    edited = " (edited)" if entry.date_edited else ""
    if entry.type is ActivityType.COMMENT:
        return bold(escape(entry.author or "Someone")) + edited
    if entry.type in (ActivityType.OWNER, ActivityType.HANDOFF, ActivityType.UNHEARD):
        return f":bust_in_silhouette: {render_entry_sentence(entry)}"
    return f"{STATUS_SIGNS[Status(entry.value or Status.OPEN)]} {render_entry_sentence(entry)}{edited}"


def _render_quote(lead: str, entry: ActivityEntry, mentions: Mentions) -> Message:
    """A message of a `lead` and the comment of an entry, if it has one."""
    if not entry.comment:
        return message(lead, [context(lead)])
    text = render_comment_with_names(entry.comment, mentions)
    parts = split_text(text, PIECE_LENGTH)
    if len(parts) > MAX_PIECES:
        parts = [*parts[: MAX_PIECES - 1], parts[MAX_PIECES - 1] + " …"]
    return message(f"{lead}: {text}", [context(lead), *(section(part) for part in parts)])


def strip_blocks(message: dict[str, Any]) -> dict[str, Any]:
    """The message as plain text, in case Slack refuses its blocks."""
    return {**message, "blocks": [], "attachments": []}
