"""Direct messages to one person about mentions, and about comments and changes of incidents that they follow.

The newest message about an incident shows its present state and has its buttons. Those above it are one line each.
"""

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
    format_date,
    link,
    menu_entry,
    message,
    overflow,
    section,
    split_text,
    text_message,
    truncate,
)
from bot.messages.comments import render_comment
from bot.messages.comments import render_delayed as say_delayed
from bot.messages.incident import (
    STATUS_SIGNS,
    build_take_over,
    render_title,
)
from bot.messages.incident_parts import (
    SEVERITY_NAMES,
    render_last_comment,
    render_owned,
    render_resolved,
    render_seen,
    render_status,
)
from bot.messages.ownership import render_handoff_step, render_owner_change, render_unheard
from bot.messages.state_tag import tag_state
from storage.rows import ActivityEntry, IncidentDetails, Mentions, NotificationContent, NotificationEntry, Owner
from storage.values import ActivityType, Status

# The maximum number of entries in one message.
MAX_ENTRIES = 10
PIECE_LENGTH = 2900
MAX_PIECES = 3
AMONG_OTHERS_LENGTH = 1000  # characters of a comment in a message about several entries
SUMMARY_LENGTH = 300  # characters of each comment in the notification's text
LINE_LENGTH = 150  # characters of the comments in an older message, together,
SHORTEST_LENGTH = 30  # and of each of them at least
MAX_AUTHORS = 3  # names in an older message


def render_newest(
    content: NotificationContent,
    incident: IncidentDetails,
    entries: Sequence[NotificationEntry],
    card_url: str | None,
    *,
    delayed: bool = False,
) -> Message:
    """The newest message about an incident: these entries of `content`, the present state, and buttons.

    There are no entries if they were deleted after the message was sent. `card_url` is the permalink of a card that the
    reader may see, if there is one. `delayed`: a message about a later entry was sent before.
    """
    name = render_title(incident.identifier, incident.title)
    blocks: list[Block] = []
    if len(entries) == 1:
        blocks.append(section(_render_sentence(entries[0], bold(name))))
        blocks += _render_comment_blocks(content, entries[0])
    elif entries:
        blocks.append(section(bold(f"{len(entries)} updates on {name}")))
        for item in entries:
            blocks.append(context(_render_sentence(item, None)))
            if item.entry.comment:
                blocks.append(
                    section(truncate(render_comment(item.entry.comment, content.mentions), AMONG_OTHERS_LENGTH))
                )
    else:
        blocks.append(section(_render_deleted(bold(name))))
    facts = [_render_state(incident, content.status_change, entries)]
    if incident.owner and incident.status is not Status.CLOSED:
        facts.append(render_owned(incident.owner))
    facts.append(render_seen(incident.seen, incident.seen_count))
    if card_url:
        facts.append(link(card_url, "Open the card"))
    if delayed and entries:
        facts.insert(0, f":hourglass: {say_delayed(entries[-1].entry)}")
    blocks.append(context(" · ".join(facts)))
    if content.last_comment is not None:
        blocks.append(context(render_last_comment(content.last_comment, content.mentions)))
    blocks.append(
        tag_state(actions(_build_buttons(incident)), content.status_change.id if content.status_change else 0)
    )
    return message(("Delayed: " if delayed else "") + _render_summary(name, content.mentions, entries), blocks)


def render_older(identifier: int, title: str, entries: Sequence[NotificationEntry], mentions: Mentions) -> Message:
    """What remains of a message that a newer one about the same incident follows: one line."""
    name = bold(render_title(identifier, title))
    if not entries:
        line = _render_deleted(name)
        return message(line, [context(line)])
    mention = next((item for item in entries if item.mention), None)
    if mention is not None or len(entries) == 1:
        lead = mention or entries[0]
        more = len(entries) - 1
        line = f"{_render_sentence(lead, name)}, {format_date(lead.entry.date_added)}"
        line += f" (and {more} more {'update' if more == 1 else 'updates'})" if more else ""
    else:
        when = format_date(entries[-1].entry.date_added)
        line = f"{len(entries)} updates on {name} by {_render_authors(entries)}, {when}"
    if comments := [item.entry.comment for item in entries if item.entry.comment]:
        line += f": {_render_beginnings(comments, mentions)}"
    return message(line, [context(line)])


def render_hidden(identifier: int) -> Message:
    """What replaces the newest message when the reader may no longer see the incident."""
    line = f"You can no longer see incident #{identifier}."
    return message(line, [context(line)])


def _render_beginnings(comments: Sequence[str], mentions: Mentions) -> str:
    limit = max(LINE_LENGTH // len(comments), SHORTEST_LENGTH)
    texts = [" ".join(comment.replace("```", " ").split()) for comment in comments]
    return " · ".join(truncate(render_comment(text, mentions), limit) for text in texts)


def _render_authors(entries: Sequence[NotificationEntry]) -> str:
    names = list(dict.fromkeys(escape(item.entry.author) if item.entry.author else "the alert" for item in entries))
    shown = names[:MAX_AUTHORS]
    if more := len(names) - len(shown):
        shown.append(f"{more} more")
    *first, last = shown
    return f"{', '.join(first)} and {last}" if first else last


def _render_deleted(incident: str) -> str:
    return f"A comment on {incident} was deleted"


def _render_sentence(item: NotificationEntry, incident: str | None, strong: Callable[[str], str] = bold) -> str:
    """Who did what (mrkdwn). `incident` is its name; None in a message that has named it already."""
    entry = item.entry
    who = strong(escape(entry.author)) if entry.author else "Someone"
    if entry.type is ActivityType.CREATED:
        return f"{who if entry.author else 'An alert'} opened {incident or 'it'}"
    if entry.type is ActivityType.OWNER:
        return render_owner_change(entry, incident or "it", strong)
    if entry.type is ActivityType.UNHEARD:
        return render_unheard(entry, incident or "it", strong)
    if entry.type is ActivityType.HANDOFF:
        step = render_handoff_step(entry, incident or "it", strong)
        return f"{step} and mentioned you" if item.mention else step
    if entry.type is not ActivityType.COMMENT:
        who = who if entry.author else "The alert"
        change = _render_change(entry, who, incident)
        return f"{change} and mentioned you" if item.mention else change
    where = f" on {incident}" if incident else ""
    edited = " (edited)" if entry.date_edited else ""
    return f"{who} mentioned you{where}{edited}" if item.mention else f"{who} commented{where}{edited}"


def _render_change(entry: ActivityEntry, who: str, incident: str | None) -> str:
    value, previous = Status(entry.value or Status.OPEN), Status(entry.previous_value or Status.OPEN)
    if value is Status.CLOSED:
        return f"{who} resolved {incident or 'it'}"
    if previous is Status.CLOSED:
        severity = "" if value is Status.OPEN else f" as {SEVERITY_NAMES[value]}"
        return f"{who} reopened {incident or 'it'}{severity}"
    where = f" of {incident}" if incident else ""
    return f"{who} changed the severity{where} from {SEVERITY_NAMES[previous]} to {SEVERITY_NAMES[value]}"


def _render_comment_blocks(content: NotificationContent, item: NotificationEntry) -> list[Block]:
    if not item.entry.comment:
        return []
    parts = split_text(render_comment(item.entry.comment, content.mentions), PIECE_LENGTH)
    if len(parts) > MAX_PIECES:
        parts = [*parts[: MAX_PIECES - 1], parts[MAX_PIECES - 1] + " …"]
    return [section(part) for part in parts]


def _render_state(incident: IncidentDetails, change: ActivityEntry | None, entries: Sequence[NotificationEntry]) -> str:
    """Status and severity (mrkdwn); of a resolved incident also who resolved it, unless the message says so above."""
    sign = STATUS_SIGNS[incident.status]
    if incident.status is not Status.CLOSED:
        return f"{sign} {render_status(incident.status)}"
    is_shown = change is not None and any(item.entry.id == change.id for item in entries)
    return f"{sign} {render_resolved(incident, None if is_shown else change)}"


def _render_summary(name: str, mentions: Mentions, entries: Sequence[NotificationEntry]) -> str:
    lines = []
    for item in entries:
        line = _render_sentence(item, name, strong=str)
        if item.entry.comment:
            line += ": " + truncate(render_comment(item.entry.comment, mentions), SUMMARY_LENGTH)
        lines.append(line)
    return "\n".join(lines) or _render_deleted(name)


def _build_buttons(incident: IncidentDetails) -> list[Element]:
    value = str(incident.identifier)
    if incident.status is Status.CLOSED:
        acting = [button("Reopen", "reopen", value)]
    else:
        acting = [button("Resolve", "resolve", value)]
        if incident.owner is None:
            acting.insert(0, button("Take it", "take", value))
        if not incident.seen_by_caller:
            acting.insert(0, button("Acknowledge", "acknowledge", value, style="primary"))
    if incident.subscribed:
        following = menu_entry("Unsubscribe", "unsubscribe", value)
    else:
        following = menu_entry("Subscribe", "subscribe", value)
    entries = [menu_entry("View", "view", value), menu_entry("Activity", "activity", value), following]
    if incident.owner is not None and incident.status is not Status.CLOSED:
        entries.append(_build_owner_entry(incident.identifier, incident.owner, mine=incident.owned_by_caller))
    menu = overflow(entries)
    return [*acting, button("Comment", "comment", value), menu]


def _build_owner_entry(identifier: int, owner: Owner, *, mine: bool) -> Element:
    if mine:
        return menu_entry("Release", "release", str(identifier))
    return menu_entry("Take over", "take_over", build_take_over(identifier, owner))


def render_invitation(channel_id: str) -> Message:
    """Asks somebody to invite the bot to a channel that the organization file names."""
    return text_message(
        f"I cannot post incidents in <#{channel_id}>, which the organization file names for a project. The channel is"
        f" private and I am not in it, or it is gone. Invite me to it, or remove `{channel_id}` from the file."
    )
