"""`take` and `release`: who owns an incident."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.handlers import view
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import ownership
from bot.incidents.markup import escape
from bot.incidents.ownership import Ownership
from bot.incidents.words import parse_lone_number, parse_number
from bot.messages import answers
from bot.messages.answers import Confirmation
from bot.messages.blocks import format_date
from bot.messages.help import Group
from bot.messages.incident import build_status_button, build_take_over_button, build_view_button, parse_take_over
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, Response
from storage.rows import IncidentHead, Owner

USAGE = "take N"
RELEASE_USAGE = "release N"


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`take N`."""
    identifier = parse_lone_number(words, USAGE)
    with context.write() as tx:
        _, confirmation = _take(tx, context, identifier)
    return Answer(answers.render_confirmation(confirmation))


def handle_release_command(context: Context, _request: Command, words: str) -> Response:
    """`release N`."""
    identifier = parse_lone_number(words, RELEASE_USAGE)
    with context.write() as tx:
        _, confirmation = _release(tx, context, identifier)
    return Answer(answers.render_confirmation(confirmation))


def handle_press(context: Context, request: Press) -> Response:
    """`Take it`."""
    identifier = parse_number(request.value, USAGE)
    with context.write() as tx:
        return view.redraw_incident(tx, context, request, *_take(tx, context, identifier))


def handle_take_over_press(context: Context, request: Press) -> Response:
    """`Take over`: the button names the owner, so that nobody takes an incident from somebody else."""
    identifier, owner_id = parse_take_over(request.value)
    with context.write() as tx:
        return view.redraw_incident(tx, context, request, *_take(tx, context, identifier, over=owner_id))


def handle_release_press(context: Context, request: Press) -> Response:
    """`Release`."""
    identifier = parse_number(request.value, RELEASE_USAGE)
    with context.write() as tx:
        return view.redraw_incident(tx, context, request, *_release(tx, context, identifier))


def _take(
    tx: Connection, context: Context, identifier: int, *, over: int | None = None
) -> tuple[IncidentHead, Confirmation]:
    result = ownership.take(tx, context.access, identifier, context.now, over=over)
    incident, before = result.incident, result.before
    name = answers.render_incident_title(incident)
    buttons = [build_view_button(identifier), build_status_button(identifier, incident.status)]
    if before is None:
        return incident, Confirmation(f"You own {name} now.", buttons, on_card=True)
    if result.changed:
        sentence = f"You own {name} now. You took it over from {escape(before.name)}."
        return incident, Confirmation(sentence, buttons, on_card=True)
    if before.member_id == context.access.member_id:
        return incident, Confirmation(f"You already own {name}.", buttons)
    return incident, _refuse(result, before, "Take it over if you work on it now.")


def _release(tx: Connection, context: Context, identifier: int) -> tuple[IncidentHead, Confirmation]:
    result = ownership.release(tx, context.access, identifier, context.now)
    name = answers.render_incident_title(result.incident)
    if result.changed:
        sentence = f"You released {name}. Nobody owns it now."
        return result.incident, Confirmation(sentence, [build_view_button(identifier)], on_card=True)
    if result.before is None:
        return result.incident, Confirmation(f"Nobody owns {name}.", [build_view_button(identifier)])
    return result.incident, _refuse(result, result.before, "Only the owner can release it.")


def _refuse(result: Ownership, owner: Owner, advice: str) -> Confirmation:
    identifier = result.incident.identifier
    title = answers.render_incident_title(result.incident)
    return Confirmation(
        f":warning: {escape(owner.name)} has owned {title} since {format_date(owner.since)}. {advice}",
        [build_take_over_button(identifier, owner), build_view_button(identifier)],
    )


_TO_ONESELF = (
    *("assign me", "assign to me", "assign myself", "assign to myself"),
    *("reassign me", "reassign to me", "reassign myself", "reassign to myself"),
    *("give me", "give to me"),
)

HANDLES = (
    Verb(
        name="take",
        usage=USAGE,
        summary="Makes you the owner of an incident: others see that you work on it. It is acknowledged, too, and you"
        " follow it. If somebody else owns it, you can take it over.",
        examples=("take 12",),
        group=Group.WORK,
        synonyms=("claim", "own", "mine", "have", "got"),
        rewordings=dict.fromkeys(("take over", "take it", "takeover", *_TO_ONESELF), ""),
        command=handle_command,
        buttons={
            "take": handle_press,  # Take it
            "take_over": handle_take_over_press,  # Take over
        },
    ),
    Verb(
        name="release",
        usage=RELEASE_USAGE,
        summary="Gives an incident up that you own. Nobody owns it then.",
        examples=("release 12",),
        group=Group.WORK,
        synonyms=("unassign", "unclaim", "disown"),
        command=handle_release_command,
        buttons={"release": handle_release_press},  # Release
    ),
)
