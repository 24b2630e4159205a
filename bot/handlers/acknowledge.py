"""`ack`: marks an incident as seen by the caller."""

from __future__ import annotations

from bot.handlers import incident_menu, view
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import lifecycle
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import answers
from bot.messages.answers import Confirmation
from bot.messages.help import Group
from bot.messages.incident import build_status_button, build_view_button
from bot.messages.incident_menu import Pick
from bot.messages.state_tag import parse_state
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.rows import IncidentHead

USAGE = "ack N"
PICK = Pick("acknowledge", "Acknowledge")


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`ack N`."""
    if not words:
        return incident_menu.offer_incidents(context, "ack", PICK)
    identifier = parse_lone_number(words, USAGE)
    with context.write(in_one_message=True) as tx:
        incident, first = lifecycle.acknowledge(tx, context.access, identifier, context.now)
    buttons = [build_view_button(identifier), build_status_button(identifier, incident.status)]
    return Answer(answers.render_confirmation(Confirmation(_render_sentence(incident, first), buttons)))


def handle_press(context: Context, request: Press) -> Response:
    """`Acknowledge`. The card shows who has acknowledged, but not that somebody did so again."""
    identifier = parse_number(request.value, USAGE)
    shown = parse_state(request.block_id)
    with context.write() as tx:
        incident, first = lifecycle.acknowledge(tx, context.access, identifier, context.now, shown=shown)
        confirmation = Confirmation(_render_sentence(incident, first), on_card=first)
        return view.redraw_incident(tx, context, request, incident, confirmation)


def _render_sentence(incident: IncidentHead, first: bool) -> str:
    if first:
        return f"You acknowledged {answers.render_incident_title(incident)}."
    return f"You already acknowledged {answers.render_incident_title(incident)}. The time is updated."


HANDLES = (
    Verb(
        name="ack",
        aliases=("acknowledge", "seen"),
        usage=USAGE,
        summary="Acknowledges an incident: others see that you know of it. `acknowledge` and `seen` do the same.",
        examples=("ack 12",),
        brief="acknowledge it",
        synonyms=("acked", "confirm"),
        phrases=("on it", "im on it", "i am on it", "looking", "looking into it", "im looking", "im looking into it"),
        group=Group.WORK,
        command=handle_command,
        pick=PICK,
        buttons={"acknowledge": handle_press},  # Acknowledge
    ),
)
