"""`view`: one incident with everything about it."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers import incident_menu, redraw
from bot.handlers.context import Context
from bot.handlers.redraw import Place
from bot.handlers.verb import Verb
from bot.incidents import lookup
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import incident as messages
from bot.messages.answers import Confirmation
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.messages.incident_menu import Pick
from bot.messages.state_tag import tag_states
from bot.slack.requests import Command, Press, Request, Submission
from bot.slack.responses import Answer, Done, Response
from storage.prefetch import Prefetch
from storage.rows import IncidentHead

USAGE = "view N"
PICK = Pick("view", "View")


def prefetch(words: str) -> Prefetch | None:
    """What of the answer is read together with finding the caller. Raises InvalidInput."""
    return lookup.prefetch_details(parse_lone_number(words, USAGE)) if words else None


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`view N`, or the number alone."""
    if not words:
        return incident_menu.offer_incidents(context, "view", PICK)
    return Answer(render(context.connection, context, parse_lone_number(words, USAGE), prefetched=context.prefetched))


def handle_press(context: Context, request: Press) -> Response:
    """`View`: a form, so that the card or list stays and nobody has to look for the answer."""
    return redraw.open_window(request, render(context.connection, context, parse_number(request.value, USAGE)))


def show_in_place(context: Context, request: Press) -> Response:
    """`View` below a log: back to the incident from which it was opened."""
    return redraw.turn(request, render(context.connection, context, parse_number(request.value, USAGE)))


def show_present(context: Context, request: Press, identifier: int, notice: str) -> Response:
    """The answer to a button of a message that shows an old state: the present state, with a notice (mrkdwn)."""
    return redraw.open_window(request, render(context.connection, context, identifier, notice=notice))


def render(
    connection: Connection,
    context: Context,
    identifier: int,
    *,
    notice: str | None = None,
    prefetched: Prefetch | None = None,
) -> Message:
    """The incident as the caller may see it, read from `connection`. `notice` is mrkdwn above it. Raises NotFound."""
    return messages.render_details(
        lookup.get_details(connection, context.access, identifier, prefetched), context.now, notice=notice
    )


def redraw_incident(
    connection: Connection, context: Context, request: Press, incident: IncidentHead, confirmation: Confirmation
) -> Response:
    """The response after a button changed an incident: see `bot.handlers.redraw`."""
    return redraw.respond(_redraw(connection, context, request, Place.of_press(request), incident, confirmation))


def redraw_incident_at_origin(
    connection: Connection, context: Context, request: Submission, incident: IncidentHead, confirmation: Confirmation
) -> Response:
    """The response after a form changed an incident: it closes, and the result is shown where it was opened."""
    place = Place.of_origin(request.origin)
    return Done(_redraw(connection, context, request, place, incident, confirmation))


def _redraw(
    connection: Connection,
    context: Context,
    request: Request,
    place: Place,
    incident: IncidentHead,
    confirmation: Confirmation,
) -> redraw.Shown:
    message = render(connection, context, incident.identifier, notice=confirmation.sentence)
    if place.is_lasting:
        message = tag_states(message, lookup.get_state(connection, incident))
    return redraw.redraw(connection, context, request, place, incident, message, confirmation)


HANDLES = (
    Verb(
        name="view",
        usage=USAGE,
        summary="Shows an incident with its buttons. The number alone does the same. Instead of a number, every command"
        " takes the link to a card.",
        brief="see one incident, with its buttons",
        examples=("view 12", "12"),
        group=Group.READ,
        synonyms=("show", "info", "details", "get"),
        command=handle_command,
        prefetch=prefetch,
        pick=PICK,
        buttons={
            "view": handle_press,  # View
            "details": show_in_place,  # View, below a log
        },
    ),
)
