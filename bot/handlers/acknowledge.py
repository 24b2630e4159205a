"""`ack`: I have seen this."""

from __future__ import annotations

from bot.handlers import pick, view
from bot.handlers.call import Call
from bot.handlers.verb import Verb
from bot.incidents import lifecycle
from bot.incidents.words import lone_number, number
from bot.messages import answers
from bot.messages.help import Group
from bot.messages.picks import Pick
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command, Press
from storage.rows import IncidentHead

FORM = "ack N"
PICK = Pick("acknowledge", "Acknowledge")


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`ack N`."""
    if not words:
        return pick.offer(call, "ack", PICK)
    identifier = lone_number(words, FORM)
    with call.write() as tx:
        incident, first = lifecycle.acknowledge(tx, call.access, identifier, call.now)
    return Answer(answers.about(_sentence(incident, first), incident))


def press(call: Call, ask: Press) -> Outcome:
    """`Acknowledge`."""
    identifier = number(ask.value, FORM)
    with call.write() as tx:
        incident, first = lifecycle.acknowledge(tx, call.access, identifier, call.now)
        return view.changed(tx, call, ask, incident, _sentence(incident, first))


def _sentence(incident: IncidentHead, first: bool) -> str:
    if first:
        return f"You have acknowledged {answers.name_of(incident)}."
    return f"You had already acknowledged {answers.name_of(incident)}; I have refreshed the time."


HANDLES = (
    Verb(
        name="ack",
        aliases=("acknowledge", "seen"),
        usage=FORM,
        summary="Marks it seen by you. `acknowledge` and `seen` do the same.",
        examples=("ack 12",),
        group=Group.WORK,
        command=command,
        pick=PICK,
        buttons={"acknowledge": press},  # Acknowledge
    ),
)
