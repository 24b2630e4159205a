"""The message that asks an owner who has given no sign for a while. It is kept current."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.errors import InvalidInput
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
    message,
    section,
    truncate,
)
from bot.messages.handoff import build_withdraw_button, render_incident, render_name, render_state
from bot.messages.incident import build_view_button
from bot.messages.incident_parts import NAME_LENGTH
from storage.member_rows import ReminderContent
from storage.rows import Mentions
from storage.values import Status

ALL = "all"  # the value of `Hand off` in a message about several incidents


def render_reminder(shown: Sequence[ReminderContent], mentions: Mentions) -> Message:
    """Asks an owner whether they are still on one incident, or several, and says what became of the others."""
    asked = [one for one in shown if one.is_asked]
    ended = [_render_end(one) for one in shown if not one.is_asked]
    lead = ended[0] if ended else ""
    blocks: list[Block] = []
    buttons: list[Element] = []
    if len(asked) == 1:
        (one,) = asked
        lead = f"Are you still on {bold(render_name(one.incident))}?"
        since = f" Your last update was {format_date(one.heard_at)}." if one.heard_at else ""
        blocks = [section(lead + since), section(render_state(one.incident, mentions))]
        value = str(one.incident.identifier)
        buttons = [button("Hand off", "handoff", value), button("Resolve", "resolve", value)]
    elif asked:
        lead = f"Are you still on these {len(asked)} incidents?"
        blocks = [section(f"{bold(lead)} You have not updated them for a while.")]
        for one in asked:
            view = build_view_button(one.incident.identifier)
            blocks.append(section(render_incident(one.incident, mentions), accessory=view))
        buttons = [button("Hand off", "handoff", ALL)]
    elif len(shown) == 1:
        (one,) = shown
        buttons = [build_view_button(one.incident.identifier)]
        buttons += [build_withdraw_button(one.handoff_id)] if one.is_readers and one.handoff_id is not None else []
    if asked:
        value = ",".join(str(one.incident.identifier) for one in asked)
        buttons.insert(0, button("Still on it", "reminder_still", value, style="primary"))
    blocks += [context(line) for line in ended]
    return message(lead, [*blocks, *([actions(buttons)] if buttons else [])])


def _render_end(one: ReminderContent) -> str:
    """What became of an incident about which its owner was asked."""
    name = bold(render_name(one.incident))
    if one.incident.status is Status.CLOSED:
        return f"{name} is resolved."
    if one.is_readers and one.offered_to is not None:
        return f"You offered {name} to {truncate(escape(one.offered_to), NAME_LENGTH)}. You own it until they accept."
    if one.is_readers:
        return f"You are still on {name}."
    if one.incident.owner is None:
        return f"Nobody owns {name} now."
    return f"{truncate(escape(one.incident.owner), NAME_LENGTH)} owns {name} now."


def render_hidden() -> Message:
    """What replaces a message when the reader may no longer see any of its incidents."""
    line = "You can no longer see what you were asked about."
    return message(line, [context(line)])


def parse_numbers(value: str) -> list[int]:
    """The identifiers in the value of `Still on it`. Raises InvalidInput."""
    parts = value.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise InvalidInput("This button is from an older version. Run the command again.")
    return [int(part) for part in parts]
