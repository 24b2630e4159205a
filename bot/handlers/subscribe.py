"""`subscribe` and `unsubscribe`: direct messages about an incident."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers import view
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import subscriptions
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import answers
from bot.messages.help import Group
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.rows import IncidentHead

USAGE = "subscribe N"
UNSUBSCRIBE_USAGE = "unsubscribe N"


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`subscribe N`."""
    identifier = parse_lone_number(words, USAGE)
    with context.write() as tx:
        incident, sentence = _subscribe(tx, context, identifier)
    return Answer(answers.render_confirmation(sentence, incident))


def handle_unsubscribe_command(context: Context, _request: Command, words: str) -> Response:
    """`unsubscribe N`."""
    identifier = parse_lone_number(words, UNSUBSCRIBE_USAGE)
    with context.write() as tx:
        incident, sentence = _unsubscribe(tx, context, identifier)
    return Answer(answers.render_confirmation(sentence, incident))


def handle_press(context: Context, request: Press) -> Response:
    """`Subscribe`."""
    identifier = parse_number(request.value, USAGE)
    with context.write() as tx:
        incident, sentence = _subscribe(tx, context, identifier)
        return view.redraw_incident(tx, context, request, incident, sentence)


def handle_unsubscribe_press(context: Context, request: Press) -> Response:
    """`Unsubscribe`."""
    identifier = parse_number(request.value, UNSUBSCRIBE_USAGE)
    with context.write() as tx:
        incident, sentence = _unsubscribe(tx, context, identifier)
        return view.redraw_incident(tx, context, request, incident, sentence)


def _subscribe(tx: Connection, context: Context, identifier: int) -> tuple[IncidentHead, str]:
    incident, new = subscriptions.subscribe(tx, context.access, identifier, context.now)
    name = answers.render_incident_title(incident)
    if new:
        return incident, f"You now follow {name}: I tell you of comments and changes."
    return incident, f"You follow {name} already."


def _unsubscribe(tx: Connection, context: Context, identifier: int) -> tuple[IncidentHead, str]:
    incident, was = subscriptions.unsubscribe(tx, context.access, identifier)
    name = answers.render_incident_title(incident)
    return incident, f"You no longer follow {name}." if was else f"You do not follow {name}; nothing to end."


HANDLES = (
    Verb(
        name="subscribe",
        usage=USAGE,
        summary="Follows an incident: you get a direct message for each comment and change.",
        examples=("subscribe 12",),
        brief="follow it: direct messages about what changes",
        group=Group.FOLLOW,
        synonyms=("follow", "watch"),
        command=handle_command,
        buttons={"subscribe": handle_press},  # Subscribe
    ),
    Verb(
        name="unsubscribe",
        usage=UNSUBSCRIBE_USAGE,
        summary="Stops following an incident.",
        examples=("unsubscribe 12",),
        group=Group.FOLLOW,
        synonyms=("unfollow", "unwatch", "mute"),
        command=handle_unsubscribe_command,
        buttons={"unsubscribe": handle_unsubscribe_press},  # Unsubscribe
    ),
)
