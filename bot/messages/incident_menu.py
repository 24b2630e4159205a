"""The offer to choose an incident, for a command without its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.messages.blocks import (
    MAX_OPTION_TEXT,
    MAX_OPTIONS,
    Block,
    Element,
    Message,
    actions,
    button,
    context,
    message,
    plain_text,
    section,
)
from bot.messages.incident import render_line
from storage.rows import IncidentLine

PICK = "pick_"  # prefix of the menus' action_ids


@dataclass(frozen=True, slots=True)
class Pick:
    """The button beside each incident that a command without a number offers."""

    action_id: str
    label: str
    asking: str | None = None  # the verb of the question, if it is not the label


def render_offer(verb: str, pick: Pick, lines: Sequence[IncidentLine], now: Any) -> Message:
    """The caller's most recent open incidents with the command's button on each, and a menu to find any other."""
    if not lines:
        text = ":white_check_mark: No open incidents."
        blocks: list[Block] = [section(text)]
    else:
        text = f"Which incident? {pick.asking or pick.label} one of these, or find another."
        blocks = [section(text)]
        for line in lines:
            blocks.append(section(render_line(line, now), accessory=build_pick_button(pick, line.identifier)))
    blocks.append(actions([build_incident_menu(PICK + pick.action_id, "Search by number or title")]))
    blocks.append(context(f"The menu also finds resolved incidents. Or type the number after `{verb}`."))
    return message(text, blocks)


def build_pick_button(pick: Pick, identifier: int) -> Element:
    """The command's button for one incident."""
    action_id = pick.action_id
    return button(pick.label, action_id, str(identifier))


def build_incident_menu(action_id: str, placeholder: str) -> Element:
    """A menu of incidents whose options are looked up while the person types."""
    return {
        "type": "external_select",
        "action_id": action_id,
        "placeholder": plain_text(placeholder, 150),
        "min_query_length": 0,
    }


def build_incident_options(lines: Sequence[IncidentLine]) -> list[dict[str, Any]]:
    """Incidents as options of a menu."""
    return [
        {
            "text": plain_text(f"#{line.identifier} {line.title}", MAX_OPTION_TEXT),
            "value": str(line.identifier),
        }
        for line in lines[:MAX_OPTIONS]
    ]
