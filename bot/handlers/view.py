"""`view`: one incident, whole."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers.call import Call
from bot.incidents import lookup
from bot.incidents.words import first_word, number
from bot.messages import incident as messages
from bot.messages.blocks import Message
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command, Press

FORM = "view N"


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`view N`, or the number alone."""
    word, _ = first_word(words)
    return Answer(drawn(call.connection, call, number(word, FORM)))


def press(call: Call, ask: Press) -> Outcome:
    """`View` in a list: a message of its own, so that the list stays."""
    return Answer(drawn(call.connection, call, number(ask.value, FORM)))


def in_place(call: Call, ask: Press) -> Outcome:
    """`View` below a log: back to the incident from which it was opened."""
    return Answer(drawn(call.connection, call, number(ask.value, FORM)), replace=ask.ephemeral)


def drawn(connection: Connection, call: Call, identifier: int, *, notice: str | None = None) -> Message:
    """The incident as the caller may see it, from the given connection. Raises NotFound."""
    found = lookup.details(connection, call.access, identifier)
    return messages.details(found, call.now, notice=notice)


def changed(connection: Connection, call: Call, ask: Press, identifier: int, notice: str) -> Answer:
    """After a button changed something: the message that only the caller sees is redrawn, with a notice.

    One that others see too is not theirs to redraw; they are told below it.
    """
    message = drawn(connection, call, identifier, notice=notice)
    return Answer(message, replace=ask.ephemeral)
