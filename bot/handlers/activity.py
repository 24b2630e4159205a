"""`activity`: the log of an incident."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers import surface
from bot.handlers.call import Call
from bot.handlers.verb import Verb
from bot.incidents import lookup
from bot.incidents.words import lone_number, number
from bot.messages import activity as messages
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command, Press
from storage.queries import activity as queries
from storage.rows import IncidentHead

FORM = "activity N"


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`activity N`."""
    incident = lookup.incident(call.connection, call.access, lone_number(words, FORM))
    return Answer(drawn(call.connection, call, incident))


def press(call: Call, ask: Press) -> Outcome:
    """`Activity`."""
    incident = lookup.incident(call.connection, call.access, number(ask.value, FORM))
    return surface.look(ask, drawn(call.connection, call, incident), replace=True)


def older(call: Call, ask: Press) -> Outcome:
    """`Next`."""
    identifier, entry_id = messages.place_read(ask.value)
    incident = lookup.incident(call.connection, call.access, identifier)
    return surface.look(ask, drawn(call.connection, call, incident, before=entry_id), replace=True)


def newer(call: Call, ask: Press) -> Outcome:
    """`Previous`."""
    identifier, entry_id = messages.place_read(ask.value)
    incident = lookup.incident(call.connection, call.access, identifier)
    return surface.look(ask, drawn(call.connection, call, incident, after=entry_id), replace=True)


def drawn(
    connection: Connection,
    call: Call,
    incident: IncidentHead,
    *,
    before: int | None = None,
    after: int | None = None,
    notice: str | None = None,
) -> Message:
    """A page of an incident's log: the newest, or the one below or above an entry.

    An entry that is none of this incident's leads to the newest page.
    """
    page = queries.activity_page(
        connection,
        incident.id,
        call.access.workspace_id,
        size=messages.PAGE_SIZE,
        before=queries.place_of(connection, incident.id, before) if before is not None else None,
        after=queries.place_of(connection, incident.id, after) if after is not None else None,
    )
    return messages.log_page(
        incident, page, member_id=call.access.member_id, superuser=call.access.superuser, notice=notice
    )


HANDLES = (
    Verb(
        name="activity",
        usage=FORM,
        summary="The log, newest first. Your own comments have `Edit` and `Delete`.",
        examples=("activity 12",),
        group=Group.WORK,
        synonyms=("log", "history", "timeline"),
        command=command,
        buttons={
            "activity": press,  # Activity
            "activity_previous": newer,  # Previous
            "activity_next": older,  # Next
        },
    ),
)
