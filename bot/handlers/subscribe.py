"""`subscribe` and `unsubscribe`: direct messages about an incident."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers import view
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import subscriptions
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import answers
from bot.messages.answers import Confirmation
from bot.messages.help import Group
from bot.messages.incident import build_follow_button
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.rows import IncidentHead

USAGE = "subscribe N"
UNSUBSCRIBE_USAGE = "unsubscribe N"


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`subscribe N`."""
    identifier = parse_lone_number(words, USAGE)
    with context.write() as tx:
        _, confirmation = _subscribe(tx, context, identifier)
    return Answer(answers.render_confirmation(confirmation))


def handle_unsubscribe_command(context: Context, _request: Command, words: str) -> Response:
    """`unsubscribe N`."""
    identifier = parse_lone_number(words, UNSUBSCRIBE_USAGE)
    with context.write() as tx:
        _, confirmation = _unsubscribe(tx, context, identifier)
    return Answer(answers.render_confirmation(confirmation))


def handle_press(context: Context, request: Press) -> Response:
    """`Subscribe`."""
    identifier = parse_number(request.value, USAGE)
    with context.write() as tx:
        return view.redraw_incident(tx, context, request, *_subscribe(tx, context, identifier))


def handle_unsubscribe_press(context: Context, request: Press) -> Response:
    """`Unsubscribe`."""
    identifier = parse_number(request.value, UNSUBSCRIBE_USAGE)
    with context.write() as tx:
        return view.redraw_incident(tx, context, request, *_unsubscribe(tx, context, identifier))


def _subscribe(tx: Connection, context: Context, identifier: int) -> tuple[IncidentHead, Confirmation]:
    incident, new = subscriptions.subscribe(tx, context.access, identifier, context.now)
    name = answers.render_incident_title(incident)
    sentence = f"You follow {name} now." if new else f"You already follow {name}."
    if subscriptions.get_notify(tx, context.access) == "all":
        sentence += " You get a direct message about each comment and change." if new else ""
    else:
        sentence += f" `{context.services.command} notify all` turns on direct messages about it."
    return incident, Confirmation(sentence, [build_follow_button(identifier, subscribed=True)])


def _unsubscribe(tx: Connection, context: Context, identifier: int) -> tuple[IncidentHead, Confirmation]:
    incident, was = subscriptions.unsubscribe(tx, context.access, identifier, context.now)
    name = answers.render_incident_title(incident)
    sentence = f"You no longer follow {name}." if was else f"You do not follow {name}."
    return incident, Confirmation(sentence, [build_follow_button(identifier, subscribed=False)])


HANDLES = (
    Verb(
        name="subscribe",
        usage=USAGE,
        summary="Follows an incident: you get a direct message for each comment and change.",
        examples=("subscribe 12",),
        brief="follow it, to get direct messages about it",
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
        synonyms=("unfollow", "unwatch", "mute", "stop"),
        command=handle_unsubscribe_command,
        buttons={"unsubscribe": handle_unsubscribe_press},  # Unsubscribe
    ),
)
