"""`subscribe` and `unsubscribe`: to be told, or not."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers import view
from bot.handlers.call import Call
from bot.handlers.verb import Verb
from bot.incidents import subscriptions
from bot.incidents.words import lone_number, number
from bot.messages import answers
from bot.messages.help import Group
from bot.slack.outcomes import Answer, Outcome
from bot.slack.requests import Command, Press
from storage.rows import IncidentHead

FORM = "subscribe N"
UNSUBSCRIBE_FORM = "unsubscribe N"


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`subscribe N`."""
    identifier = lone_number(words, FORM)
    with call.write() as tx:
        incident, sentence = _follow(tx, call, identifier)
    return Answer(answers.about(sentence, incident))


def unsubscribe(call: Call, _ask: Command, words: str) -> Outcome:
    """`unsubscribe N`."""
    identifier = lone_number(words, UNSUBSCRIBE_FORM)
    with call.write() as tx:
        incident, sentence = _leave(tx, call, identifier)
    return Answer(answers.about(sentence, incident))


def press(call: Call, ask: Press) -> Outcome:
    """`Subscribe`."""
    identifier = number(ask.value, FORM)
    with call.write() as tx:
        incident, sentence = _follow(tx, call, identifier)
        return view.changed(tx, call, ask, incident, sentence)


def unsubscribe_press(call: Call, ask: Press) -> Outcome:
    """`Unsubscribe`."""
    identifier = number(ask.value, UNSUBSCRIBE_FORM)
    with call.write() as tx:
        incident, sentence = _leave(tx, call, identifier)
        return view.changed(tx, call, ask, incident, sentence)


def _follow(tx: Connection, call: Call, identifier: int) -> tuple[IncidentHead, str]:
    incident, new = subscriptions.follow(tx, call.access, identifier, call.now)
    name = answers.name_of(incident)
    if new:
        return incident, f"You now follow {name}: I tell you of comments and changes."
    return incident, f"You follow {name} already."


def _leave(tx: Connection, call: Call, identifier: int) -> tuple[IncidentHead, str]:
    incident, was = subscriptions.leave(tx, call.access, identifier)
    name = answers.name_of(incident)
    return incident, f"You no longer follow {name}." if was else f"You do not follow {name}; nothing to end."


HANDLES = (
    Verb(
        name="subscribe",
        usage=FORM,
        summary="Tells you of comments and changes.",
        examples=("subscribe 12",),
        group=Group.FOLLOW,
        synonyms=("follow", "watch"),
        command=command,
        buttons={"subscribe": press},  # Subscribe
    ),
    Verb(
        name="unsubscribe",
        usage=UNSUBSCRIBE_FORM,
        summary="Stops telling you.",
        examples=("unsubscribe 12",),
        group=Group.FOLLOW,
        synonyms=("unfollow", "unwatch", "mute"),
        command=unsubscribe,
        buttons={"unsubscribe": unsubscribe_press},  # Unsubscribe
    ),
)
