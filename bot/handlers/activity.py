"""`activity`: the log of an incident."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers import redraw
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import activity_log, lookup
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import activity as messages
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.rows import IncidentHead

USAGE = "activity N"


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`activity N`."""
    incident = lookup.get_incident(context.connection, context.access, parse_lone_number(words, USAGE))
    return Answer(render(context.connection, context, incident))


def handle_press(context: Context, request: Press) -> Response:
    """`Activity`: a form, as of `View`."""
    incident = lookup.get_incident(context.connection, context.access, parse_number(request.value, USAGE))
    return redraw.open_window(request, render(context.connection, context, incident))


def show_older(context: Context, request: Press) -> Response:
    """`Next`."""
    identifier, entry_id = messages.parse_position(request.value)
    incident = lookup.get_incident(context.connection, context.access, identifier)
    return redraw.turn(request, render(context.connection, context, incident, before=entry_id))


def show_newer(context: Context, request: Press) -> Response:
    """`Previous`."""
    identifier, entry_id = messages.parse_position(request.value)
    incident = lookup.get_incident(context.connection, context.access, identifier)
    return redraw.turn(request, render(context.connection, context, incident, after=entry_id))


def render(
    connection: Connection,
    context: Context,
    incident: IncidentHead,
    *,
    before: int | None = None,
    after: int | None = None,
    notice: str | None = None,
) -> Message:
    """A page of an incident's log: the newest, or the one `before` or `after` the entry with that id.

    `notice` is mrkdwn that stands above it. For an entry that is not in this log, the newest page is rendered.
    """
    page = activity_log.find_page(
        connection, context.access, incident, size=messages.PAGE_SIZE, before=before, after=after
    )
    return messages.render_log_page(
        incident, page, member_id=context.access.member_id, superuser=context.access.superuser, notice=notice
    )


HANDLES = (
    Verb(
        name="activity",
        usage=USAGE,
        summary="Shows what happened, newest first. You can edit and delete your own comments there.",
        examples=("activity 12",),
        group=Group.WORK,
        synonyms=("log", "history", "timeline"),
        command=handle_command,
        buttons={
            "activity": handle_press,  # Activity
            "activity_previous": show_newer,  # Previous
            "activity_next": show_older,  # Next
        },
    ),
)
