"""Offers to take over incidents: the form, the message to who is to take over, and what the one who asked is told."""

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
    menu_entry,
    message,
    overflow,
    section,
    split_text,
    truncate,
)
from bot.messages.comments import render_comment_with_names
from bot.messages.incident import STATUS_SIGNS, build_view_button, render_title
from bot.messages.incident_parts import NAME_LENGTH, SEVERITY_LABELS, render_last_comment
from storage.member_rows import HandoffContent, HandoffItem, OfferState, ShownIncident
from storage.rows import IncidentHead, Mentions
from storage.values import Status

PAGE_SIZE = 10  # incidents that are still offered, in one page of a message
ALSO_OPEN_SHOWN = 5
ENDED_SHOWN = 10  # lines about incidents that are no longer offered
NOTE_LENGTH = 2900
MAX_PIECES = 2
PLACE_LENGTH = 150
TITLE_LENGTH = 150  # of an incident that is only named


def render_offer(content: HandoffContent, *, page: int = 0, notice: str | None = None) -> Message:
    """What somebody is offered, for that person. `page` counts from 0; `notice` (mrkdwn) is what was just done."""
    offered = content.list_in_state(OfferState.OFFERED)
    pages = max(1, -(-len(offered) // PAGE_SIZE))
    page = min(max(page, 0), pages - 1)
    lead = _render_lead(content, offered)
    blocks: list[Block] = [context(notice)] if notice else []
    if len(offered) == 1:
        state = f"{lead}\n{render_state(offered[0].incident, content.mentions)}"
        blocks += [section(state, accessory=_build_menu(content, offered[0])), *_render_note(content)]
    else:
        blocks += [section(lead) if offered else context(lead), *_render_note(content)]
        for item in offered[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]:
            text = render_incident(item.incident, content.mentions)
            blocks.append(section(text, accessory=_build_menu(content, item)))
    blocks += _render_ended([item for item in content.items if item.state is not OfferState.OFFERED])
    if content.hidden:
        blocks.append(context(f"You can no longer see {_count(content.hidden)} of this offer."))
    if offered:
        until = f"You can answer until {format_date(content.head.expires_at)}."
        several = " The buttons below answer for all of them, the menu beside each for that one." if offered[1:] else ""
        blocks.append(context(until + several))
        blocks.append(actions(_build_answers(content.head.id, offered, page, pages)))
    elif len(content.items) == 1:
        blocks.append(actions([build_view_button(content.items[0].incident.identifier)]))
    if offered and page == 0:
        blocks += _render_also_open(content)
    text = f"{lead}: {render_comment_with_names(content.head.note, content.mentions)}" if content.head.note else lead
    return message(f"{notice} {text}" if notice else text, blocks)


def _render_lead(content: HandoffContent, offered: Sequence[HandoffItem]) -> str:
    """Who asks for what. It names an incident that is the only one offered: nothing else does then."""
    giver = bold(truncate(escape(content.head.giver), NAME_LENGTH))
    if not offered:
        return f"{giver} asked you to take over {_count(len(content.items) + content.hidden)}"
    what = bold(render_name(offered[0].incident)) if len(offered) == 1 else _count(len(offered))
    return f"{giver} asks you to take over {what}"


def render_name(incident: ShownIncident) -> str:
    return truncate(render_title(incident.identifier, incident.title), TITLE_LENGTH)


def _count(number: int) -> str:
    return f"{number:,} incident{'' if number == 1 else 's'}"


def _render_note(content: HandoffContent) -> list[Block]:
    if not content.head.note:
        return []
    text = render_comment_with_names(content.head.note, content.mentions)
    parts = split_text("\n".join(f"&gt; {line}" for line in text.splitlines()), NOTE_LENGTH)
    if len(parts) > MAX_PIECES:
        parts = [*parts[: MAX_PIECES - 1], parts[MAX_PIECES - 1] + " …"]
    return [section(part) for part in parts]


def render_incident(incident: ShownIncident, mentions: Mentions) -> str:
    """An incident with its state and the last word about it: three lines."""
    return f"{STATUS_SIGNS[incident.status]} {bold(render_name(incident))}\n{_render_facts(incident, mentions)}"


def render_state(incident: ShownIncident, mentions: Mentions) -> str:
    """The state of an incident and the last word about it, below a sentence that names it: two lines."""
    return f"{STATUS_SIGNS[incident.status]} {_render_facts(incident, mentions)}"


def _render_facts(incident: ShownIncident, mentions: Mentions) -> str:
    facts = [SEVERITY_LABELS.get(incident.status, "Resolved"), f"started {format_date(incident.date_started, '{ago}')}"]
    facts += [truncate(escape(fact), PLACE_LENGTH) for fact in (incident.team, incident.environment) if fact]
    if incident.silenced_until is not None and incident.status is not Status.CLOSED:
        facts.append(f":no_bell: silenced until {format_date(incident.silenced_until)}")
    lines = [" · ".join(facts)]
    if incident.last_comment is not None:
        lines.append(render_last_comment(incident.last_comment, mentions))
    return "\n".join(lines)


def _render_ended(items: Sequence[HandoffItem]) -> list[Block]:
    lines = [_render_end(item) for item in items[:ENDED_SHOWN]]
    if more := len(items) - len(lines):
        lines.append(f"and {more:,} more that you answered or that are no longer offered")
    return [context(line) for line in lines]


def _render_end(item: HandoffItem) -> str:
    """What became of the offer of one incident, for the receiver."""
    name = bold(render_name(item.incident))
    match item.state:
        case OfferState.ACCEPTED:
            return f":white_check_mark: You took over {name}."
        case OfferState.DECLINED:
            return f"You declined {name}."
        case OfferState.WITHDRAWN:
            return f"{name} is no longer offered to you."
        case OfferState.LAPSED:
            return f"The offer of {name} lapsed."
        case _ if item.incident.status is Status.CLOSED:
            return f"{name} is resolved."
    if item.incident.owner is None:
        return f"{name} is no longer offered to you. Nobody owns it."
    return f"{truncate(escape(item.incident.owner), NAME_LENGTH)} owns {name} now."


def _build_menu(content: HandoffContent, item: HandoffItem) -> Element | None:
    """The answers for one of several incidents."""
    if len(content.items) == 1:
        return None
    value = build_offer_value(content.head.id, item.incident.identifier)
    return overflow(
        [
            menu_entry("I have it", "handoff_accept", value),
            menu_entry("Not me", "handoff_decline", value),
            menu_entry("View", "view", str(item.incident.identifier)),
        ]
    )


def _build_answers(handoff_id: int, offered: Sequence[HandoffItem], page: int, pages: int) -> list[Element]:
    value = build_offer_value(handoff_id)
    buttons = [
        button("I have it", "handoff_accept", value, style="primary"),
        button("Not me", "handoff_decline", value),
    ]
    if len(offered) == 1:
        buttons.append(build_view_button(offered[0].incident.identifier))
    if page > 0:
        buttons.append(button("Previous", "handoff_previous", build_offer_value(handoff_id, page - 1)))
    if page + 1 < pages:
        buttons.append(button("Next", "handoff_next", build_offer_value(handoff_id, page + 1)))
    return buttons


def _render_also_open(content: HandoffContent) -> list[Block]:
    """What else is open where the giver works, at the end of a shift."""
    if not content.also_open:
        return []
    blocks = [section("*Also open, without an owner*")]
    for one in content.also_open:
        view = build_view_button(one.identifier)
        blocks.append(section(render_incident(one, content.mentions), accessory=view))
    if more := content.also_open_count - len(content.also_open):
        blocks.append(context(f"and {_count(more)} more. `list owner:none` shows all."))
    return blocks


def build_offer_value(handoff_id: int, number: int | None = None) -> str:
    """The value of a button of an offer: the offer, and an incident's identifier or the number of a page."""
    return str(handoff_id) if number is None else f"{handoff_id}:{number}"


def parse_offer_value(value: str) -> tuple[int, int | None]:
    """Parses what `build_offer_value` returned. Raises InvalidInput."""
    handoff_id, colon, number = value.partition(":")
    if not _is_number(handoff_id) or (colon and not _is_number(number)):
        raise InvalidInput("This button is from an older version. Run the command again.")
    return int(handoff_id), int(number) if colon else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


# --- for the one who asked -----------------------------------------------------------------------------------


def render_answer(content: HandoffContent) -> Message | None:
    """What became of some incidents of an offer, for the one who made it; None if they may see none of them."""
    receiver = bold(truncate(escape(content.head.receiver), NAME_LENGTH))
    sentences = []
    if taken := content.list_in_state(OfferState.ACCEPTED):
        sentences.append(f":white_check_mark: {receiver} owns {_list_names(taken)} now.")
    if declined := content.list_in_state(OfferState.DECLINED):
        sentences.append(f"{receiver} declined {_list_names(declined)}. {_render_still_yours(declined)}")
    if lapsed := content.list_in_state(OfferState.LAPSED):
        sentences.append(f"{receiver} did not answer about {_list_names(lapsed)}. {_render_still_yours(lapsed)}")
    if not sentences:
        return None
    blocks: list[Block] = [section(sentence) for sentence in sentences]
    if len(content.items) == 1:
        blocks.append(actions([build_view_button(content.items[0].incident.identifier)]))
    return message(" ".join(sentences), blocks)


def list_titles(incidents: Sequence[IncidentHead]) -> str:
    """Incidents by number and title, in a sentence (mrkdwn)."""
    names = [truncate(render_title(one.identifier, one.title), TITLE_LENGTH) for one in incidents[:PAGE_SIZE]]
    return _join(names, len(incidents) - len(names))


def _list_names(items: Sequence[HandoffItem]) -> str:
    names = [bold(render_name(item.incident)) for item in items[:PAGE_SIZE]]
    return _join(names, len(items) - len(names))


def _join(names: Sequence[str], more: int) -> str:
    *first, last = [*names, f"{more:,} more"] if more else names
    return f"{', '.join(first)} and {last}" if first else last


def _render_still_yours(items: Sequence[HandoffItem]) -> str:
    return "You still own it." if len(items) == 1 else "You still own them."


def build_withdraw_button(handoff_id: int) -> Element:
    """`Withdraw`."""
    return button("Withdraw", "handoff_withdraw", build_offer_value(handoff_id))
