"""`ack`: marks an incident as seen by the caller."""

from __future__ import annotations

from bot.handlers import pick, view
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import lifecycle
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import answers
from bot.messages.help import Group
from bot.messages.picks import Pick
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.rows import IncidentHead

USAGE = "ack N"
PICK = Pick("acknowledge", "Acknowledge")


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`ack N`."""
    if not words:
        return pick.offer_incidents(context, "ack", PICK)
    identifier = parse_lone_number(words, USAGE)
    with context.write() as tx:
        incident, first = lifecycle.acknowledge(tx, context.access, identifier, context.now)
    return Answer(answers.render_confirmation(_sentence(incident, first), incident))


def handle_press(context: Context, request: Press) -> Response:
    """`Acknowledge`."""
    identifier = parse_number(request.value, USAGE)
    with context.write() as tx:
        incident, first = lifecycle.acknowledge(tx, context.access, identifier, context.now)
        return view.redraw_incident(tx, context, request, incident, _sentence(incident, first))


def _sentence(incident: IncidentHead, first: bool) -> str:
    if first:
        return f"You have acknowledged {answers.render_incident_title(incident)}."
    return f"You had already acknowledged {answers.render_incident_title(incident)}; I have refreshed the time."


HANDLES = (
    Verb(
        name="ack",
        aliases=("acknowledge", "seen"),
        usage=USAGE,
        summary="Acknowledges an incident: others see that you know of it. `acknowledge` and `seen` do the same.",
        examples=("ack 12",),
        brief="acknowledge it",
        group=Group.WORK,
        command=handle_command,
        pick=PICK,
        buttons={"acknowledge": handle_press},  # Acknowledge
    ),
)
