"""`subscribe` and `unsubscribe`: direct messages about an incident, or about new ones that match."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from bot.handlers import redraw, view
from bot.handlers.context import Context
from bot.handlers.redraw import Place
from bot.handlers.verb import Verb
from bot.incidents import following, subscriptions
from bot.incidents.markup import decode_slack_text, encode_entities, require_storable
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import answers
from bot.messages.answers import Confirmation
from bot.messages.blocks import Message
from bot.messages.followed import render_followed
from bot.messages.help import Group
from bot.messages.incident import build_follow_button
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.rows import IncidentHead

USAGE = "subscribe N"
UNSUBSCRIBE_USAGE = "unsubscribe N"
# What a filter begins with: anything else is meant for the number of an incident.
_FILTER = re.compile(r"\s*(?:(?:team|project|severity):|(?:none|warning|critical)\b)", re.IGNORECASE)


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`subscribe N`; with a team, a project or a severity, new incidents that match; alone, what the caller follows."""
    if not words.strip():
        return Answer(_render_followed(context))
    if _FILTER.match(words):
        return _follow(context, words)
    identifier = parse_lone_number(words, USAGE)
    with context.write() as tx:
        _, confirmation = _subscribe(tx, context, identifier)
    return Answer(answers.render_confirmation(confirmation))


def handle_unsubscribe_command(context: Context, _request: Command, words: str) -> Response:
    """`unsubscribe N`, or what `subscribe` was given to follow; alone, what the caller follows."""
    if not words.strip():
        return Answer(_render_followed(context))
    if _FILTER.match(words):
        return _unfollow(context, words)
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


# --- new incidents that match --------------------------------------------------------------------------------


def _follow(context: Context, words: str) -> Response:
    wanted = following.parse(decode_slack_text(require_storable(words)))
    with context.write() as tx:
        new = following.follow(tx, context.access, wanted, context.now)
        told = subscriptions.get_notify(tx, context.access) == "all"
    name = encode_entities(following.render(wanted))
    if new:
        sentence = f"You follow new incidents that match `{name}` now. You get a direct message about each."
    else:
        sentence = f"You already follow new incidents that match `{name}`."
    if not told:
        sentence += f" `{context.services.command} notify all` turns on direct messages about them."
    return Answer(answers.render_confirmation(Confirmation(sentence)))


def _unfollow(context: Context, words: str) -> Response:
    wanted = following.parse(decode_slack_text(require_storable(words)))
    with context.write() as tx:
        was = following.unfollow(tx, context.access, wanted)
        name = encode_entities(following.render(wanted))
        if was:
            sentence = f"You no longer follow new incidents that match `{name}`. You still follow those from before."
        else:
            sentence = f"You do not follow new incidents that match `{name}`."
        return Answer(_render_followed(context, tx, notice=sentence))


def handle_unfollow_press(context: Context, request: Press) -> Response:
    """`Unsubscribe`, beside what the caller follows before it exists."""
    with context.write() as tx:
        was = following.unfollow_by_id(tx, context.access, parse_number(request.value, UNSUBSCRIBE_USAGE))
        notice = "You no longer follow these." if was else "You do not follow these."
        message = _render_followed(context, tx, notice=notice)
        return redraw.redraw_in_place(tx, context, request, Place.of_press(request), message)


def _render_followed(context: Context, connection: Connection | None = None, *, notice: str | None = None) -> Message:
    followed = following.list_followed(connection or context.connection, context.access)
    named = [(one.id, following.render(one)) for one in followed]
    return render_followed(named, context.services.command, notice=notice)


HANDLES = (
    Verb(
        name="subscribe",
        usage="subscribe N, subscribe [team:x] [project:x] [warning|critical]",
        form=USAGE,
        summary="Follows an incident: you get a direct message for each comment and change. With a team, a project or a"
        " severity, you follow each new incident that matches, with a direct message about it. Alone, it lists them.",
        examples=("subscribe 12", "subscribe team:payments critical", "subscribe"),
        brief="follow it, to get direct messages about it",
        group=Group.FOLLOW,
        synonyms=("follow", "watch"),
        command=handle_command,
        buttons={"subscribe": handle_press},  # Subscribe
    ),
    Verb(
        name="unsubscribe",
        usage="unsubscribe N, unsubscribe [team:x] [project:x] [warning|critical]",
        form=UNSUBSCRIBE_USAGE,
        summary="Stops following an incident, or new ones that match.",
        examples=("unsubscribe 12", "unsubscribe team:payments critical"),
        group=Group.FOLLOW,
        synonyms=("unfollow", "unwatch", "unsub", "stop"),
        command=handle_unsubscribe_command,
        buttons={
            "unsubscribe": handle_unsubscribe_press,  # Unsubscribe
            "unfollow": handle_unfollow_press,  # Unsubscribe
        },
    ),
)
