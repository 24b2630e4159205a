"""The message that asks an owner from whom nothing was heard."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.errors import InvalidInput
from bot.messages.blocks import Block, Message, actions, bold, button, format_date, message, section
from bot.messages.handoff import render_incident, render_name, render_state
from bot.messages.incident import build_view_button
from storage.member_rows import ReminderContent
from storage.rows import Mentions

ALL = "all"  # the value of `Hand off` in a message about several incidents


def render_reminder(shown: Sequence[ReminderContent], mentions: Mentions) -> Message:
    """Asks an owner whether they are still on one incident, or several."""
    numbers = [one.incident.identifier for one in shown]
    if len(shown) == 1:
        lead = f"Are you still on {bold(render_name(shown[0].incident))}?"
        since = f"Nothing was heard from you about it since {format_date(shown[0].heard_at)}."
        blocks: list[Block] = [section(f"{lead} {since}"), section(render_state(shown[0].incident, mentions))]
        value = str(numbers[0])
        answers = [
            button("Still on it", "reminder_still", value, style="primary"),
            button("Hand off", "handoff", value),
            button("Resolve", "resolve", value),
        ]
    else:
        lead = f"Are you still on these {len(shown)} incidents?"
        blocks = [section(f"{bold(lead)} Nothing was heard from you about them for a while.")]
        for one in shown:
            view = build_view_button(one.incident.identifier)
            blocks.append(section(render_incident(one.incident, mentions), accessory=view))
        answers = [
            button("Still on it", "reminder_still", ",".join(map(str, numbers)), style="primary"),
            button("Hand off", "handoff", ALL),
        ]
    return message(lead, [*blocks, actions(answers)])


def parse_numbers(value: str) -> list[int]:
    """The identifiers in the value of `Still on it`. Raises InvalidInput."""
    parts = value.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise InvalidInput("This button is from an older version. Run the command again.")
    return [int(part) for part in parts]
