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
    format_date,
    format_duration,
    link,
    message,
    section,
    split_text,
    truncate,
)
from bot.messages.comments import render_comment_with_names
from bot.messages.comments import render_delayed as say_delayed
from bot.messages.incident import STATUS_NAMES, STATUS_SIGNS, render_entry_sentence, render_title
from storage.rows import ActivityEntry, CardContent, IncidentDetails, Mentions, Seen
from storage.values import ActivityType, Status

# The colour of the bar beside a card, by status.
COLORS = {
    Status.OPEN: "#2f6fde",
    Status.CLOSED: "#2e9e5b",
    Status.WARNING: "#e8a317",
    Status.CRITICAL: "#d7263d",
}
RETIRED_COLOR = "#9b9b9b"
LAST_COMMENT_LENGTH = 600  # characters of the latest comment that a card shows
PIECE_LENGTH = 2900
MAX_PIECES = 3


class Attachment(TypedDict):
    """The part of a message with a coloured bar."""

    color: str
    fallback: str
    blocks: list[Block]


class CardMessage(TypedDict):
    """A card as it is posted. Its blocks are in the attachment; `text` is the line above them."""

    text: str
    blocks: list[Block]
    attachments: list[Attachment]


def render_card(content: CardContent) -> CardMessage:
    """The card of an incident."""
    incident = content.details
    name = render_title(incident.identifier, incident.title)
    blocks: list[Block] = [section("", fields=_render_fields(incident))]
    if incident.url:
        blocks.append(context(link(incident.url, incident.source or "open the alert")))
    blocks.append(context(_render_seen(incident.seen, incident.seen_count)))
    if content.last_comment:
        blocks.append(context(_render_last_comment(content.last_comment, content.mentions)))
    blocks.append(actions(_build_buttons(incident.identifier, incident.status)))
    status = STATUS_NAMES[incident.status]
    return {
        "text": truncate(f"{STATUS_SIGNS[incident.status]} {bold(name)} · {status}", 3000),
        "blocks": [],
        "attachments": [
            {"color": COLORS[incident.status], "fallback": truncate(f"{name} ({status})", 3000), "blocks": blocks}
        ],
    }


def _render_fields(incident: IncidentDetails) -> list[str]:
    fields = [
        f"*Status*\n{STATUS_NAMES[incident.status]}",
        f"*{'Projects' if len(incident.projects) > 1 else 'Project'}*\n{escape(', '.join(incident.projects))}",
        f"*Team*\n{escape(incident.team) if incident.team else 'unassigned'}",
        f"*Started*\n{format_date(incident.date_started)}",
    ]
    if incident.environment:
        fields.append(f"*Environment*\n{escape(incident.environment)}")
    if incident.date_closed:
        fields.append(f"*Resolved*\n{format_date(incident.date_closed)}")
        fields.append(f"*Duration*\n{format_duration(incident.date_started, incident.date_closed)}")
    return fields


def _render_seen(seen: list[Seen], count: int) -> str:
    if not seen:
        return ":eyes: Nobody has acknowledged this yet."
    names = ", ".join(escape(one.name) for one in seen)
    more = count - len(seen)
    return f":eyes: Seen by {names}" + (f" and {more} more" if more else "")


def _render_last_comment(entry: ActivityEntry, mentions: Mentions) -> str:
    text = truncate(render_comment_with_names(entry.comment or "", mentions), LAST_COMMENT_LENGTH)
    return f"{render_entry_sentence(entry)}, {format_date(entry.date_added)}: {text}"


def _build_buttons(identifier: int, status: Status) -> list[Element]:
    value = str(identifier)
    closing = (
        button("Reopen", "reopen", value)
        if status is Status.CLOSED
        else button("Resolve", "resolve", value, style="primary")
    )
    return [
        button("Acknowledge", "acknowledge", value),
        closing,
        button("Comment", "comment", value),
        button("View", "view", value),
        button("Activity", "activity", value),
        button("Subscribe", "subscribe", value),
    ]


def render_retired_card(identifier: int) -> CardMessage:
    """What replaces a card in a channel that none of the incident's projects names any more."""
    sentence = f"Incident #{identifier} is no longer shown in this channel."
    return {
        "text": sentence,
        "blocks": [],
        "attachments": [{"color": RETIRED_COLOR, "fallback": sentence, "blocks": [context(sentence)]}],
    }


# --- in the thread -----------------------------------------------------------------------------------------


def render_thread_entry(entry: ActivityEntry, mentions: Mentions, *, delayed: bool = False) -> Message:
    """A comment that was made elsewhere. `delayed`: a later message is above it already."""
    late = f" ({say_delayed(entry)})" if delayed else ""
    return _render_quote(_render_author(entry) + late, entry, mentions)


def render_amendment(entry: ActivityEntry, mentions: Mentions, *, deleted: bool) -> Message:
    """Says that a comment which began as a reply in this thread was edited or deleted elsewhere."""
    who = bold(escape(entry.author or "Someone"))
    if deleted:
        sentence = f"The comment of {who} above has been deleted."
        return message(sentence, [context(sentence)])
    return _render_quote(f"The comment of {who} above has been edited; it now says", entry, mentions)


def _render_author(entry: ActivityEntry) -> str:
    edited = " (edited)" if entry.date_edited else ""
    if entry.type is ActivityType.COMMENT:
        return bold(escape(entry.author or "Someone")) + edited
    return render_entry_sentence(entry) + edited


def _render_quote(lead: str, entry: ActivityEntry, mentions: Mentions) -> Message:
    text = render_comment_with_names(entry.comment or "", mentions)
    parts = split_text(text, PIECE_LENGTH)
    if len(parts) > MAX_PIECES:
        parts = [*parts[: MAX_PIECES - 1], parts[MAX_PIECES - 1] + " …"]
    return message(f"{lead}: {text}", [context(lead), *(section(part) for part in parts)])


def strip_blocks(message: dict[str, Any]) -> dict[str, Any]:
    """The message without blocks, in case Slack refuses them."""
    plain = {key: value for key, value in message.items() if key not in ("blocks", "attachments")}
    attachments = message.get("attachments") or []
    text = "\n".join([str(message["text"]), *(str(one["fallback"]) for one in attachments)])
    return {**plain, "text": truncate(text, 3000), "blocks": [], "attachments": []}
