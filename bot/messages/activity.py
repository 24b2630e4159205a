"""The log of an incident, page by page."""

from __future__ import annotations

from bot.incidents.errors import InvalidInput
from bot.messages.blocks import (
    Block,
    Message,
    actions,
    bold,
    button,
    confirm,
    context,
    format_date,
    message,
    section,
    split_text,
)
from bot.messages.comments import render_comment
from bot.messages.entries import render_entry_sentence
from bot.messages.incident import render_title
from storage.rows import ActivityEntry, ActivityPage, IncidentHead, Mentions
from storage.values import ActivityType

PAGE_SIZE = 8
# Eight entries with their text and buttons stay within a message's fifty blocks.
MAX_PIECES = 3
PIECE_LENGTH = 2900


def render_log_page(
    incident: IncidentHead, page: ActivityPage, *, member_id: int, superuser: bool, notice: str | None = None
) -> Message:
    """A page of the log, newest first. Comments that the caller may change have `Edit` and `Delete`."""
    name = render_title(incident.identifier, incident.title)
    blocks: list[Block] = [context(notice)] if notice else []
    blocks.append(section(f"Activity of {bold(name)}"))
    for entry in page.entries:
        may_change = entry.type is ActivityType.COMMENT and (superuser or entry.member_id == member_id)
        blocks += _render_entry(entry, page.mentions, incident.identifier if may_change else None)
    buttons = []
    if page.newer is not None:
        buttons.append(button("Previous", "activity_previous", build_position(incident.identifier, page.newer)))
    if page.older is not None:
        buttons.append(button("Next", "activity_next", build_position(incident.identifier, page.older)))
    buttons.append(button("View", "details", str(incident.identifier)))
    blocks.append(actions(buttons))
    return message(f"{notice + ' ' if notice else ''}Activity of {name}", blocks)


def _render_entry(entry: ActivityEntry, mentions: Mentions, changeable_on: int | None) -> list[Block]:
    edited = " (edited)" if entry.date_edited else ""
    line = f"{render_entry_sentence(entry)} · {format_date(entry.date_added)}{edited}"
    blocks: list[Block] = [context(line)]
    if entry.comment:
        parts = split_text(render_comment(entry.comment, mentions), PIECE_LENGTH)
        shown = parts[:MAX_PIECES]
        if len(parts) > MAX_PIECES:
            shown[-1] += " …"
        blocks += [section(part) for part in shown]
    if changeable_on is not None:
        value = build_position(changeable_on, entry.id)
        blocks.append(
            actions(
                [
                    button("Edit", "comment_edit", value),
                    button(
                        "Delete",
                        "comment_delete",
                        value,
                        style="danger",
                        confirm=confirm("Delete this comment?", "This cannot be undone.", "Delete"),
                    ),
                ]
            )
        )
    return blocks


def build_position(identifier: int, entry_id: int) -> str:
    """The value of a button for an entry of an incident's log."""
    return f"{identifier}:{entry_id}"


def parse_position(value: str) -> tuple[int, int]:
    """Parses a button's value into the identifier and the id of the entry. Raises InvalidInput."""
    identifier, _, entry_id = value.partition(":")
    if not (identifier.isascii() and identifier.isdigit() and entry_id.isascii() and entry_id.isdigit()):
        raise InvalidInput("This button is from an older version. Run the command again.")
    return int(identifier[:20]), min(int(entry_id[:20]), 2**63 - 1)
