"""Entries of an incident's log as people read them, wherever it is shown."""

from __future__ import annotations

from bot.incidents.markup import escape
from bot.messages.blocks import bold, format_date, truncate
from bot.messages.call_entries import render_call_entry
from bot.messages.comments import render_comment
from bot.messages.incident_parts import SEVERITY_NAMES, STATUS_NAMES
from bot.messages.ownership import render_handoff_step, render_owner_change, render_unheard
from storage.rows import ActivityEntry, Mentions
from storage.values import ActivityType, SilenceStep, Status


def render_entry(entry: ActivityEntry, mentions: Mentions, comment_length: int) -> str:
    """An entry of the log in a line of mrkdwn, with its comment."""
    text = f"{render_entry_sentence(entry)}, {format_date(entry.date_added)}"
    if entry.comment:
        text += ": " + truncate(render_comment(entry.comment, mentions), comment_length)
    return text


def _render_silence_step(entry: ActivityEntry) -> str:
    who = bold(escape(entry.author)) if entry.author else None
    match entry.value:
        case SilenceStep.BEGAN:
            return f"{who} silenced its alert" if who else "Its alert was silenced in Alertmanager"
        case SilenceStep.CHANGED:
            return f"{who or 'Alertmanager'} changed how long its alert is silenced"
        case _:
            return f"{who} ended the silence" if who else "The silence ended"


def render_entry_sentence(entry: ActivityEntry) -> str:
    """Who did what (mrkdwn), without the comment."""
    who = bold(escape(entry.author)) if entry.author else "The alert"
    match entry.type:
        case ActivityType.DETECTED:
            return "Detected"
        case ActivityType.CREATED:
            return f"{who} opened this" if entry.author else "An alert opened this"
        case ActivityType.COMMENT:
            return f"{bold(escape(entry.author or 'Someone'))} commented"
        case ActivityType.STATUS_CHANGE:
            return f"{who} {_render_change(entry)}"
        case ActivityType.SILENCE:
            return _render_silence_step(entry)
        case ActivityType.ACKNOWLEDGED:
            return f"{bold(escape(entry.author or 'Someone'))} acknowledged this"
        case ActivityType.OWNER:
            return render_owner_change(entry, "this")
        case ActivityType.HANDOFF:
            return render_handoff_step(entry, "this")
        case ActivityType.CALL:
            return render_call_entry(entry)
        case ActivityType.UNHEARD:
            return render_unheard(entry, "this")


def _render_change(entry: ActivityEntry) -> str:
    value = Status(entry.value or Status.OPEN)
    previous = Status(entry.previous_value or Status.OPEN)
    if value is Status.CLOSED:
        return "resolved this"
    if previous is Status.CLOSED:
        return "reopened this" if value is Status.OPEN else f"reopened this as {STATUS_NAMES[value]}"
    return f"changed the severity from {SEVERITY_NAMES[previous]} to {SEVERITY_NAMES[value]}"
