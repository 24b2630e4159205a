"""Direct messages to people who are called, and what managers are told of somebody who could not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.incidents.markup import escape
from bot.messages.blocks import (
    Block,
    Message,
    actions,
    bold,
    button,
    context,
    format_date,
    link_urls,
    message,
    section,
    text_message,
    truncate,
)
from bot.messages.incident import STATUS_SIGNS, render_title
from bot.messages.incident_parts import NAME_LENGTH, PLACE_LENGTH, SEVERITY_LABELS, STATUS_NAMES
from storage.call_rows import MANAGERS, ON_CALL, TEAM, CalledIncident, Callee, DueStep
from storage.values import Status

MOST_SHOWN = 10  # incidents in one message
DESCRIPTION_LENGTH = 500
TITLE_LENGTH = 500  # characters of the title in a message about several incidents


def is_waiting(incident: CalledIncident) -> bool:
    """Whether the incident needs somebody."""
    return incident.status is not Status.CLOSED and incident.owner is None and not incident.silenced


def render_call(incidents: Sequence[CalledIncident], post_id: int, card_url: str | None = None) -> Message:
    """A message to somebody who is called for these incidents, those that nobody has first. It shows their state.

    `post_id` identifies the message in its buttons. `card_url` is the permalink of the only incident's card, if there
    is one.
    """
    if all(incident.superseded for incident in incidents):
        return _render_older(incidents)
    if len(incidents) == 1:
        return _render_one(incidents[0], post_id, card_url)
    return _render_several(incidents, post_id)


def _render_one(incident: CalledIncident, post_id: int, card_url: str | None) -> Message:
    value = str(incident.identifier)
    name = render_title(incident.identifier, incident.title)
    buttons = [button("View", "view", value)]
    if is_waiting(incident):
        declined = [] if incident.declined else [button("Not me", "call_decline", str(post_id))]
        buttons = [button("I have it", "call_take", value, style="primary"), *declined, *buttons]
    lead = "You are called for" if is_waiting(incident) else "You were called for"
    reasons = [_render_reason(incident)] if is_waiting(incident) else []
    links = [f"<{card_url}|Open the card>"] if card_url else []
    blocks = [
        section(f":telephone_receiver: {lead} {bold(name)}"),
        context(" · ".join([*_render_place(incident), _render_age(incident)])),
        *_render_description(incident),
        context(" · ".join([_render_state(incident), *reasons, *links])),
        actions(buttons),
    ]
    text = f"{lead} {name} ({STATUS_NAMES[incident.status]})"
    return message(". ".join([text, *reasons]), blocks)


def _render_several(incidents: Sequence[CalledIncident], post_id: int) -> Message:
    waiting = sum(is_waiting(incident) for incident in incidents)
    heading = f"You {'are' if waiting else 'were'} called for {len(incidents):,} incidents"
    blocks: list[Block] = [section(f":telephone_receiver: {bold(heading)}")]
    if waiting < len(incidents):
        blocks.append(context(_render_waiting(waiting)))
    for incident in incidents[:MOST_SHOWN]:
        name = truncate(render_title(incident.identifier, incident.title), TITLE_LENGTH)
        facts = [*_render_place(incident), _render_age(incident), _render_state(incident)]
        text = f"{STATUS_SIGNS[incident.status]} {bold(name)}\n{' · '.join(facts)}"
        blocks.append(section(text, accessory=button("View", "view", str(incident.identifier))))
    if len(incidents) > MOST_SHOWN:
        blocks.append(context(f"and {len(incidents) - MOST_SHOWN:,} more"))
    if waiting:
        reasons = dict.fromkeys(_render_reason(incident) for incident in incidents[:MOST_SHOWN] if is_waiting(incident))
        blocks.append(context(" · ".join(reasons)))
        buttons = [button("Take all", "call_take_all", str(post_id), style="primary")]
        if not all(incident.declined for incident in incidents if is_waiting(incident)):
            buttons.append(button("Not me", "call_decline", str(post_id)))
        blocks.append(actions(buttons))
    first = incidents[0]
    return message(f"{heading}. First: {render_title(first.identifier, first.title)}", blocks)


def _render_waiting(waiting: int) -> str:
    if not waiting:
        return "All of them are taken, resolved or silenced"
    return f"{waiting:,} of them {'has' if waiting == 1 else 'have'} no owner"


def _render_older(incidents: Sequence[CalledIncident]) -> Message:
    names = [bold(render_title(incident.identifier, incident.title)) for incident in incidents[:3]]
    if more := len(incidents) - len(names):
        names.append(f"{more:,} more")
    line = f"You were called for {', '.join(names)}. A newer message follows below."
    return message(line, [context(line)])


def render_hidden() -> Message:
    """What replaces a message when the reader may no longer see any of its incidents."""
    line = "You can no longer see what you were called for."
    return message(line, [context(line)])


def _render_place(incident: CalledIncident) -> list[str]:
    facts = [SEVERITY_LABELS.get(incident.status), ", ".join(incident.projects), incident.team, incident.environment]
    return [truncate(escape(fact), PLACE_LENGTH) for fact in facts if fact]


def _render_age(incident: CalledIncident) -> str:
    return f"started {format_date(incident.date_started, '{ago}')}"


def _render_description(incident: CalledIncident) -> list[Block]:
    text = truncate(link_urls(escape(incident.description or "")), DESCRIPTION_LENGTH)
    return [section(text)] if text else []


def _render_state(incident: CalledIncident) -> str:
    if incident.status is Status.CLOSED:
        when = f" {format_date(incident.date_closed, 'at {time}')}" if incident.date_closed else ""
        return f":white_check_mark: Resolved{when}"
    if incident.owned_by_reader:
        return ":bust_in_silhouette: You own it"
    if incident.owner is not None:
        since = f" since {format_date(incident.owned_since)}" if incident.owned_since else ""
        return f":bust_in_silhouette: Owned by {truncate(escape(incident.owner), NAME_LENGTH)}{since}"
    if incident.silenced:
        return ":no_bell: Silenced"
    return "Nobody owns it. You answered “Not me”." if incident.declined else "Nobody owns it yet"


def _render_reason(incident: CalledIncident) -> str:
    team = truncate(escape(incident.team), NAME_LENGTH)
    if incident.who == ON_CALL:
        return f"You are on call for {team}"
    if incident.who == TEAM:
        return f"You are a member of {team}"
    if incident.who == MANAGERS:
        return f"You are a manager, and nobody in {team} has it"
    return f"The rules of {team} name you"


def render_blind_note(step: DueStep, one: Callee) -> Message:
    """Tells a manager that somebody could not be called."""
    name, team = bold(escape(one.name)), escape(step.team)
    incident = render_title(step.identifier, step.title)
    return text_message(
        f":warning: {name} is to be called for incidents of {team}, but cannot see {bold(incident)}, so I did not call"
        f" them. Add them to a team of its project, or change the calls of {team}. I report this once a day."
    )


def render_declined(waiting: Sequence[CalledIncident]) -> Message:
    """The answer to `Not me`: `waiting` are the incidents that nobody owns."""
    if not waiting:
        return text_message("Somebody has it already, or it is resolved. You do not need to do anything.")
    name = bold(render_title(waiting[0].identifier, waiting[0].title))
    if len(waiting) > 1:
        name += f" and {len(waiting) - 1:,} more"
    return text_message(f"You answered “Not me” for {name}.")


def render_taken(taken: int, others: Mapping[str, int], over: int, left: int, silenced: int) -> Message:
    """The answer to `Take all`."""
    parts = [f"You own {taken:,} {'incident' if taken == 1 else 'incidents'} now." if taken else "You took nothing."]
    if others:
        names = sorted(others, key=lambda name: -others[name])[:MOST_SHOWN]
        owned = ", ".join(f"{others[name]:,} by {truncate(escape(name), NAME_LENGTH)}" for name in names)
        parts.append(f"Others own {sum(others.values()):,}: {owned}.")
    if over:
        parts.append(f"{over:,} {'is' if over == 1 else 'are'} resolved.")
    if silenced:
        parts.append(f"{silenced:,} silenced {'incident was' if silenced == 1 else 'incidents were'} left out.")
    if left:
        parts.append(f"{left:,} {'is' if left == 1 else 'are'} left: press Take all again.")
    return text_message(" ".join(parts))
