"""`view`: one incident with everything about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from bot.handlers import pick, redraw
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import lookup
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import answers
from bot.messages import incident as messages
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.messages.picks import Pick
from bot.slack.requests import Command, Press, Request
from bot.slack.responses import Answer, Response
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
        return pick.offer_incidents(context, "view", PICK)
    return Answer(render(context.connection, context, parse_lone_number(words, USAGE), prefetched=context.prefetched))


def handle_press(context: Context, request: Press) -> Response:
    """`View` in a list: a message of its own, so that the list stays."""
    return redraw.show(request, render(context.connection, context, parse_number(request.value, USAGE)), replace=False)


def show_in_place(context: Context, request: Press) -> Response:
    """`View` below a log: back to the incident from which it was opened."""
    return redraw.show(request, render(context.connection, context, parse_number(request.value, USAGE)), replace=True)


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
    connection: Connection, context: Context, request: Press, incident: IncidentHead, notice: str
) -> Response:
    """The response after a button changed an incident: the message of the button is updated, with a notice (mrkdwn)."""
    message = render(connection, context, incident.identifier, notice=notice)
    return redraw.redraw(connection, context, request, message, answers.render_confirmation(notice, incident))


def redraw_incident_at_origin(
    connection: Connection,
    context: Context,
    request: Request,
    kept: Mapping[str, Any],
    incident: IncidentHead,
    notice: str,
) -> redraw.Shown:
    """The response after a form changed an incident: where the form was opened is updated, with a notice (mrkdwn)."""
    message = render(connection, context, incident.identifier, notice=notice)
    return redraw.redraw_origin(
        connection, context, request, kept, message, answers.render_confirmation(notice, incident)
    )


HANDLES = (
    Verb(
        name="view",
        usage=USAGE,
        summary="Shows an incident with its buttons. The number alone does the same.",
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
