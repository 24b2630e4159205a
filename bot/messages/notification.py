"""Direct messages to one person about mentions, and about comments and changes that they follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.incidents.markup import escape
from bot.messages.blocks import (
    Block,
    Element,
    Message,
    actions,
    bold,
    button,
    context,
    link,
    message,
    section,
    split_text,
    text_message,
    truncate,
)
from bot.messages.comments import render_comment
from bot.messages.comments import render_delayed as say_delayed
from bot.messages.incident import STATUS_NAMES, STATUS_SIGNS, render_title
from storage.rows import IncidentHead, NotificationContent, NotificationEntry
from storage.values import ActivityType, Status

# The maximum number of entries in one message.
MAX_ENTRIES = 10
PIECE_LENGTH = 2900
MAX_PIECES = 3
AMONG_OTHERS_LENGTH = 1000  # characters of a comment in a message about several entries
SUMMARY_LENGTH = 300  # characters of each comment in the notification's text


def render_notification(
    content: NotificationContent, entries: Sequence[NotificationEntry], card_url: str | None, *, delayed: bool = False
) -> Message:
    """A message about these entries of `content` (at least one), with buttons.

    `card_url` is the permalink of a card that the reader may see, if there is one. `delayed`: a message about a later
    entry was sent before.
    """
    incident = content.incident
    blocks: list[Block] = []
    if len(entries) == 1:
        blocks.append(section(_render_sentence(entries[0], _render_bold_title(incident))))
        blocks += _render_comment_blocks(content, entries[0])
    else:
        blocks.append(section(f"{len(entries)} things happened on {_render_bold_title(incident)}"))
        for told in entries:
            blocks.append(context(_render_sentence(told, "this")))
            if told.entry.comment:
                blocks.append(
                    section(truncate(render_comment(told.entry.comment, content.mentions), AMONG_OTHERS_LENGTH))
                )
    facts = [f"{STATUS_SIGNS[incident.status]} {STATUS_NAMES[incident.status]}"]
    if card_url:
        facts.append(link(card_url, "Open the card"))
    if delayed:
        facts.insert(0, f":hourglass: {say_delayed(entries[-1].entry)}")
    blocks.append(context(" · ".join(facts)))
    blocks.append(actions(_build_buttons(incident, subscribed=content.subscribed)))
    return message(("Delayed: " if delayed else "") + _render_summary(content, entries), blocks)


def _render_bold_title(incident: IncidentHead) -> str:
    return bold(render_title(incident.identifier, incident.title))


def _render_sentence(told: NotificationEntry, incident: str, strong: Callable[[str], str] = bold) -> str:
    who = strong(escape(told.entry.author or "Someone"))
    if not told.mention:
        return _render_action(told, incident, strong(escape(told.entry.author)) if told.entry.author else "The alert")
    edited = " (edited)" if told.entry.date_edited else ""
    sentence = f"You were mentioned by {who} in {incident}{edited}"
    if told.entry.type is ActivityType.STATUS_CHANGE:
        sentence += ", " + _render_action(told, "it", "who")
    return sentence


def _render_action(told: NotificationEntry, incident: str, who: str) -> str:
    entry = told.entry
    if entry.type is ActivityType.COMMENT:
        return f"{who} commented on {incident}"
    value, previous = Status(entry.value or Status.OPEN), Status(entry.previous_value or Status.OPEN)
    if value is Status.CLOSED:
        return f"{who} resolved {incident} (it was {STATUS_NAMES[previous]})"
    if previous is Status.CLOSED:
        return f"{who} reopened {incident} as {STATUS_NAMES[value]}"
    return f"{who} changed {incident} from {STATUS_NAMES[previous]} to {STATUS_NAMES[value]}"


def _render_comment_blocks(content: NotificationContent, told: NotificationEntry) -> list[Block]:
    if not told.entry.comment:
        return []
    parts = split_text(render_comment(told.entry.comment, content.mentions), PIECE_LENGTH)
    if len(parts) > MAX_PIECES:
        parts = [*parts[: MAX_PIECES - 1], parts[MAX_PIECES - 1] + " …"]
    return [section(part) for part in parts]


def _render_summary(content: NotificationContent, entries: Sequence[NotificationEntry]) -> str:
    name = render_title(content.incident.identifier, content.incident.title)
    lines = []
    for told in entries:
        line = _render_sentence(told, name, strong=str)
        if told.entry.comment:
            line += ": " + truncate(render_comment(told.entry.comment, content.mentions), SUMMARY_LENGTH)
        lines.append(line)
    return "\n".join(lines)


def _build_buttons(incident: IncidentHead, *, subscribed: bool) -> list[Element]:
    value = str(incident.identifier)
    elements = [button("View", "view", value)]
    if incident.status is not Status.CLOSED:
        elements.append(button("Acknowledge", "acknowledge", value))
    elements.append(button("Comment", "comment", value))
    if subscribed:
        elements.append(button("Unsubscribe", "unsubscribe", value))
    return elements


def render_invitation(channel_id: str) -> Message:
    """Asks somebody to invite the bot to a channel that the organization file names."""
    return text_message(
        f"I cannot post the incidents of a project to <#{channel_id}>, which the organization file names: the"
        " channel is private and I am not in it, or it is gone. Please invite me there, or take"
        f" `{channel_id}` out of the file."
    )
