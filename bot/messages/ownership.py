"""Entries of the log about who owns an incident, in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bot.incidents.markup import escape
from bot.messages.blocks import bold, format_duration
from storage.rows import ActivityEntry
from storage.values import HandoffStep


def render_owner_change(entry: ActivityEntry, incident: str, strong: Callable[[str], str] = bold) -> str:
    """Who took or released an incident (mrkdwn). `incident` stands for it in the sentence."""
    who = strong(escape(entry.author or "Someone"))
    before = strong(escape(entry.previous_owner)) if entry.previous_owner else None
    if entry.owner is not None:
        return f"{who} took over {incident} from {before}" if before else f"{who} took {incident}"
    if entry.author is None:
        return f"{before or who} can no longer see {incident}, so nobody owns it now"
    return f"{who} released {incident}"


def render_handoff_step(entry: ActivityEntry, incident: str, strong: Callable[[str], str] = bold) -> str:
    """What became of an offer to take over an incident (mrkdwn). `incident` stands for it in the sentence."""
    giver, receiver = strong(escape(entry.previous_owner or "Someone")), strong(escape(entry.owner or "someone"))
    match entry.value:
        case HandoffStep.OFFERED:
            return f"{giver} offered {incident} to {receiver}"
        case HandoffStep.DECLINED:
            return f"{receiver} declined to take over {incident} from {giver}"
        case HandoffStep.WITHDRAWN:
            return f"{giver} no longer offers {incident} to {receiver}"
        case _:
            return f"{receiver} did not answer in time whether to take over {incident} from {giver}"


def render_unheard(entry: ActivityEntry, incident: str, strong: Callable[[str], str] = bold) -> str:
    """That an owner has given no sign (mrkdwn). `incident` stands for it in the sentence."""
    since = entry.date_added - timedelta(minutes=entry.value or 0)
    owner = strong(escape(entry.owner or "someone"))
    return f"No update from {owner}, who owns {incident}, for {format_duration(since, entry.date_added)}"
