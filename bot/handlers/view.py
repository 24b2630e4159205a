"""`view`: one incident, whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from bot.handlers import pick, surface
from bot.handlers.call import Call
from bot.handlers.verb import Verb
from bot.incidents import lookup
from bot.incidents.words import lone_number, number
from bot.messages import answers
from bot.messages import incident as messages
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.messages.picks import Pick
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Ask, Command, Press
from storage.queries.access import Ahead
from storage.rows import IncidentHead

FORM = "view N"
PICK = Pick("view", "View")


def ahead(words: str) -> Ahead | None:
    """The incident that is asked for, to be looked up together with who asks."""
    return lookup.details_ahead(lone_number(words, FORM)) if words else None


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`view N`, or the number alone."""
    if not words:
        return pick.offer(call, "view", PICK)
    return Answer(drawn(call.connection, call, lone_number(words, FORM), ahead=call.ahead))


def press(call: Call, ask: Press) -> Outcome:
    """`View` in a list: a message of its own, so that the list stays."""
    return surface.look(ask, drawn(call.connection, call, number(ask.value, FORM)), replace=False)


def in_place(call: Call, ask: Press) -> Outcome:
    """`View` below a log: back to the incident from which it was opened."""
    return surface.look(ask, drawn(call.connection, call, number(ask.value, FORM)), replace=True)


def drawn(
    connection: Connection, call: Call, identifier: int, *, notice: str | None = None, ahead: Ahead | None = None
) -> Message:
    """The incident as the caller may see it, from the given connection. Raises NotFound."""
    return messages.details(lookup.details(connection, call.access, identifier, ahead), call.now, notice=notice)


def changed(connection: Connection, call: Call, ask: Press, incident: IncidentHead, notice: str) -> Outcome:
    """After a button changed an incident: what it was pressed on is drawn anew, with a notice (mrkdwn)."""
    message = drawn(connection, call, incident.identifier, notice=notice)
    return surface.changed(connection, call, ask, message, answers.about(notice, incident))


def back(
    connection: Connection, call: Call, ask: Ask, kept: Mapping[str, Any], incident: IncidentHead, notice: str
) -> surface.Shown:
    """After a form changed an incident: what the form was opened from is drawn anew, with a notice (mrkdwn)."""
    message = drawn(connection, call, incident.identifier, notice=notice)
    return surface.back(connection, call, ask, kept, message, answers.about(notice, incident))


HANDLES = (
    Verb(
        name="view",
        usage=FORM,
        summary="One incident with everything about it, and its buttons. A number alone does the same.",
        examples=("view 12", "12"),
        group=Group.READ,
        synonyms=("show", "info", "details", "get"),
        command=command,
        ahead=ahead,
        pick=PICK,
        buttons={
            "view": press,  # View
            "details": in_place,  # View, below a log
        },
    ),
)
