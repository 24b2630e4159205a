"""Incidents as people see them: in a list, with all details, and by title."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from bot.incidents.errors import InvalidInput
from bot.incidents.filters import ListQuery
from bot.incidents.markup import encode_entities, escape, require_storable
from bot.messages import incident_parts
from bot.messages.blocks import (
    MAX_SECTION,
    Block,
    Element,
    Message,
    actions,
    bold,
    button,
    context,
    format_date,
    format_duration,
    message,
    section,
    text_message,
)
from bot.messages.call_entries import render_next_call
from bot.messages.entries import render_entry
from storage.rows import Cursor, IncidentDetails, IncidentLine, IncidentPage, Owner
from storage.values import Status

# What a list shows, by the word that asks for it (`SHOWS` in bot.incidents.filters).
LIST_NAMES = {"open": "Open", "warning": "Warning", "critical": "Critical", "closed": "Resolved", "all": "All"}
NO_PROJECT = "You see no incidents, because you have no project. Ask a manager to add you to a team."
_EMPTY = {
    "open": "No open incidents.",
    "warning": "No warning incidents open.",
    "critical": "No critical incidents open.",
    "closed": "No resolved incidents.",
    "all": "No incidents yet.",
}
_EMPTY_WITH_FILTERS = {
    "open": "No open incidents",
    "warning": "No open warning incidents",
    "critical": "No open critical incidents",
    "closed": "No resolved incidents",
    "all": "No incidents",
}
STATUS_SIGNS = {
    Status.OPEN: ":large_blue_circle:",
    Status.CLOSED: ":white_check_mark:",
    Status.WARNING: ":large_yellow_circle:",
    Status.CRITICAL: ":red_circle:",
}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # `json.dumps` makes one for each call
LATEST_LENGTH = 600  # characters of the latest comment that `view` shows


def render_title(identifier: int, title: str) -> str:
    """The identifier and title of an incident as mrkdwn: `#12 Checkout is down`."""
    return f"#{identifier} {escape(title)}"


# --- buttons -----------------------------------------------------------------------------------------------


def build_incident_buttons(incident: IncidentDetails) -> list[Element]:
    """The buttons of an incident that is shown with all details."""
    identifier, status, value = incident.identifier, incident.status, str(incident.identifier)
    is_closed = status is Status.CLOSED
    style = None if incident.seen_count or is_closed else "primary"
    can_silence = incident.source is not None and not is_closed
    return [
        button("Acknowledge", "acknowledge", value, style=style),
        *([] if is_closed else [build_owner_button(identifier, incident.owner, mine=incident.owned_by_caller)]),
        *([build_handoff_button(identifier)] if incident.owned_by_caller and not is_closed else []),
        build_status_button(identifier, status),
        button("Comment", "comment", value),
        button("Activity", "activity", value),
        build_follow_button(identifier, subscribed=incident.subscribed),
        *([button("Silence", "silence", value)] if can_silence else []),
    ]


def build_view_button(identifier: int) -> Element:
    """`View`."""
    return button("View", "view", str(identifier))


def build_status_button(identifier: int, status: Status) -> Element:
    """`Reopen` for a resolved incident, else `Resolve`."""
    if status is Status.CLOSED:
        return button("Reopen", "reopen", str(identifier))
    return button("Resolve", "resolve", str(identifier))


def build_owner_button(identifier: int, owner: Owner | None, *, mine: bool) -> Element:
    """`Take it` if nobody owns an open incident, `Release` for its owner, `Take over` for others."""
    if owner is None:
        return button("Take it", "take", str(identifier))
    if mine:
        return button("Release", "release", str(identifier))
    return build_take_over_button(identifier, owner)


def build_handoff_button(identifier: int) -> Element:
    """`Hand off`, for the owner."""
    return button("Hand off", "handoff", str(identifier))


def build_take_over_button(identifier: int, owner: Owner) -> Element:
    """`Take over` from this owner."""
    return button("Take over", "take_over", build_take_over(identifier, owner))


def build_take_over(identifier: int, owner: Owner) -> str:
    """The value of `Take over`: the incident, and from whom."""
    return f"{identifier}:{owner.member_id}"


def parse_take_over(value: str) -> tuple[int, int]:
    """Parses the value of `Take over` into the identifier and the id of the owner. Raises InvalidInput."""
    identifier, _, owner_id = value.partition(":")
    if not (identifier.isascii() and identifier.isdigit() and owner_id.isascii() and owner_id.isdigit()):
        raise InvalidInput("This button is from an older version. Run the command again.")
    return int(identifier[:20]), int(owner_id[:20])


def build_follow_button(identifier: int, *, subscribed: bool) -> Element:
    """`Unsubscribe` for who follows the incident, else `Subscribe`."""
    if subscribed:
        return button("Unsubscribe", "unsubscribe", str(identifier))
    return button("Subscribe", "subscribe", str(identifier))


# --- the list ----------------------------------------------------------------------------------------------


def render_list(
    query: ListQuery,
    page: IncidentPage,
    now: datetime,
    *,
    cursor: Cursor | None,
    notice: str | None = None,
    command: str,
    sees_nothing: bool,
) -> Message:
    """A page of a list. `cursor` is the start of the page; `command` is the slash command, for hints.

    `sees_nothing`: the caller has no project.
    """
    if sees_nothing:
        return text_message(NO_PROJECT)
    if not page.lines:
        return _render_empty_list(query, command)
    words = str(query)
    heading = _render_heading(query, words)
    titles = [render_title(line.identifier, line.title) for line in page.lines]
    blocks: list[Block] = [context(notice)] if notice else []
    blocks.append(section(bold(heading)))
    for line, title in zip(page.lines, titles, strict=True):
        blocks.append(section(_render_line(line, title, now), accessory=build_view_button(line.identifier)))
    here = _build_position(words, cursor)
    blocks.append(
        actions(
            [
                *_build_page_buttons(words, page),
                button("Share", "list_share", here),
                button("Filter", "list_filter", here),
            ]
        )
    )
    return message(f"{heading}: {', '.join(titles)}", blocks)


def _render_heading(query: ListQuery, words: str) -> str:
    asked = words.removeprefix(query.show).strip()
    return f"{LIST_NAMES[query.show]} incidents" + (f" · {escape(asked)}" if asked else "")


def render_shared_list(query: ListQuery, lines: list[IncidentLine], now: datetime, by: str) -> Message:
    """A page of a list for a channel. `by` is the name of the member who shares it."""
    heading = _render_heading(query, str(query))
    titles = [render_title(line.identifier, line.title) for line in lines]
    blocks: list[Block] = [section(bold(heading)), context(f"Shared by {escape(by)}")]
    for line, title in zip(lines, titles, strict=True):
        text = _render_line(line._replace(seen_by_caller=False, owned_by_caller=False), title, now)
        blocks.append(section(text, accessory=build_view_button(line.identifier)))
    return message(f"{heading}: {', '.join(titles)}", blocks)


def _render_empty_list(query: ListQuery, command: str) -> Message:
    asked = str(query).removeprefix(query.show).strip()
    if not asked:
        text = f":white_check_mark: {_EMPTY[query.show]}"
    else:
        text = (
            f"{_EMPTY_WITH_FILTERS[query.show]} match `{encode_entities(asked)}`."
            f" `{command} list all` shows all incidents."
        )
    return message(text, [section(text), actions([button("Filter", "list_filter", build_position(query, None))])])


def render_line(line: IncidentLine, now: datetime) -> str:
    """An incident in two lines of mrkdwn: its title, and its state."""
    return _render_line(line, render_title(line.identifier, line.title), now)


def _render_line(line: IncidentLine, title: str, now: datetime) -> str:
    facts = [incident_parts.render_status(line.status)]
    if line.date_closed:
        facts.append(f"lasted {format_duration(line.date_started, line.date_closed)}")
    else:
        facts.append(f"for {format_duration(line.date_started, now)}")
    if line.team:
        facts.append(escape(line.team))
    if line.environment:
        facts.append(escape(line.environment))
    if line.owner:
        facts.append(f":bust_in_silhouette: owned by {'you' if line.owned_by_caller else escape(line.owner)}")
    if line.silenced_until and not line.date_closed:
        facts.append(f":no_bell: silenced until {format_date(line.silenced_until)}")
    facts.append(_render_seen_short(line))
    return f"{STATUS_SIGNS[line.status]} {bold(title)}\n{' · '.join(facts)}"


def _render_seen_short(line: IncidentLine) -> str:
    """Who has acknowledged an incident, without names: reading them for each line would slow lists down noticeably."""
    if not line.seen_count:
        return ":eyes: not acknowledged"
    others = line.seen_count - line.seen_by_caller
    if line.seen_by_caller:
        return f":eyes: Seen by you and {others} more" if others else ":eyes: Seen by you"
    return ":eyes: Seen by 1 person" if others == 1 else f":eyes: Seen by {others} people"


def _build_page_buttons(words: str, page: IncidentPage) -> list[Element]:
    buttons = []
    if page.newer:
        buttons.append(button("Previous", "list_previous", _build_position(words, page.newer)))
    if page.older:
        buttons.append(button("Next", "list_next", _build_position(words, page.older)))
    return buttons


def build_cursor(cursor: Cursor) -> dict[str, Any]:
    """A cursor as a value for JSON."""
    return {"t": cursor.started.isoformat(), "i": cursor.incident_id, "b": cursor.before}


def parse_cursor(found: Any) -> Cursor:
    """Parses a cursor from JSON. Raises ValueError, KeyError or TypeError."""
    started = datetime.fromisoformat(found["t"])
    incident_id = int(found["i"])
    if started.tzinfo is None or abs(incident_id) >= 2**63:
        raise ValueError
    # PostgreSQL knows fewer offsets than Python.
    return Cursor(started.astimezone(UTC), incident_id, bool(found["b"]))


def build_position(query: ListQuery, cursor: Cursor | None) -> str:
    """The value of a button for a page of a list; without a cursor, the first page."""
    return _build_position(str(query), cursor)


def _build_position(words: str, cursor: Cursor | None) -> str:
    state: dict[str, Any] = {"q": words}
    if cursor:
        state |= build_cursor(cursor)
    return _encode(state)


def parse_position(value: str) -> tuple[str, Cursor | None]:
    """Parses a button's value into the words of the query and the cursor. Raises InvalidInput."""
    try:
        found = json.loads(value)
        return require_storable(str(found["q"])), parse_cursor(found) if "t" in found else None
    except (ValueError, KeyError, TypeError, OverflowError):
        raise InvalidInput("This button is from an older version. Run the command again.") from None


# --- one incident ------------------------------------------------------------------------------------------


def render_silences_ending(count: int) -> str:
    """How many silences end before the day does."""
    return "1 silence ends today" if count == 1 else f"{count:,} silences end today"


def render_details(incident: IncidentDetails, now: datetime, *, notice: str | None = None) -> Message:
    """An incident with all details and its buttons. `notice` (mrkdwn) comes first: what has just been done."""
    blocks: list[Block] = [context(notice)] if notice else []
    name = render_title(incident.identifier, incident.title)
    blocks.append(section(f"{STATUS_SIGNS[incident.status]} {bold(name)}"))
    blocks.append(section("", fields=_render_fields(incident, now)))
    blocks += incident_parts.render_description(incident, MAX_SECTION)
    blocks += incident_parts.render_all_facts(incident)
    blocks += incident_parts.render_links(incident)
    blocks += incident_parts.render_silence(incident)
    blocks.append(context(f":eyes: {incident_parts.render_seen(incident.seen, incident.seen_count)}"))
    blocks += render_next_call(incident)
    if incident.latest:
        blocks.append(context("Latest: " + render_entry(incident.latest, incident.mentions, LATEST_LENGTH)))
    blocks.append(actions(build_incident_buttons(incident)))
    lead = f"{notice} " if notice else ""
    return message(f"{lead}{name} ({incident_parts.STATUS_NAMES[incident.status]})", blocks)


def _render_fields(incident: IncidentDetails, now: datetime) -> list[str]:
    closed = incident.date_closed
    fields = [
        f"*Status*\n{incident_parts.STATUS_NAMES[Status.CLOSED if incident.status is Status.CLOSED else Status.OPEN]}",
        f"*Severity*\n{incident_parts.SEVERITY_NAMES[incident.severity]}",
        f"*{'Projects' if len(incident.projects) > 1 else 'Project'}*\n{escape(', '.join(incident.projects))}",
        f"*Team*\n{_render_team(incident)}",
        f"*Environment*\n{escape(incident.environment) if incident.environment else '–'}",
        f"*Owner*\n{_render_owner(incident.owner)}",
        f"*Started*\n{format_date(incident.date_started)}",
    ]
    if closed:
        fields.append(f"*Resolved*\n{format_date(closed)}")
    duration = format_duration(incident.date_started, closed or now)
    fields.append(f"*Duration*\n{duration}" + ("" if closed else " so far"))
    return fields


def _render_team(incident: IncidentDetails) -> str:
    """The team that owns the incident, as filters find it. Where none does, the one that would be called."""
    if incident.team is None:
        return "Unassigned"
    team = escape(incident.team)
    return f"Unassigned (project of {team})" if incident.unassigned else team


def _render_owner(owner: Owner | None) -> str:
    if owner is None:
        return "Nobody"
    offered = f", offered to {escape(owner.offered_to)}" if owner.offered_to else ""
    return f"{escape(owner.name)} since {format_date(owner.since)}{offered}"
