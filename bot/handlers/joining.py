"""Somebody who is no member asks to be let in, and managers decide by `Add` or `Decline`."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.handlers import member, redraw
from bot.handlers.context import Context, Services
from bot.handlers.verb import Feature
from bot.incidents.errors import Refusal
from bot.messages import answers, forms
from bot.messages import joining as messages
from bot.messages.blocks import Message, text_message
from bot.people import joining as rules
from bot.people.identity import NOT_MEMBER, NotMember
from bot.people.joining import AskedBefore
from bot.people.membership import Newcomer
from bot.slack.requests import Press, Submission
from bot.slack.responses import Done, OpenForm, Response, UpdateForm
from storage.member_rows import JoinRequestRow
from storage.values import Role

ASK = "join_ask"  # the button of somebody who is no member
_REQUEST = "q"  # in the private metadata of the form


def handle_ask(services: Services, request: Press) -> Response:
    """`Ask to be let in`, pressed by somebody who is no member."""
    person, now = request.person, services.store.clock.now()
    with services.store.reading() as reading:
        profile = services.identity.get_profile(reading, person.workspace_id, person.user_id)
    with services.store.write() as tx:
        asked = rules.ask(tx, person, profile, now)
    if asked.before:
        return _answer(request, text_message(_render_before(asked.request)))
    return _answer(request, messages.render_asked())


def render_refusal(refusal: NotMember | AskedBefore, typed: str | None, command: str) -> Message:
    """The answer to somebody who is no member, with the button to ask if they may."""
    if isinstance(refusal, AskedBefore):
        more = _render_before(refusal.request)
        return answers.render_refusal(NOT_MEMBER, more=more, typed=typed, command=command)
    offered = messages.build_ask_button() if refusal.may_ask else None
    return answers.render_refusal(refusal.sentence, typed=typed, command=command, offered=offered)


def _render_before(request: JoinRequestRow) -> str:
    return messages.render_asked_before(request, rules.get_next_chance(request))


def handle_ask_of_member(context: Context, request: Press) -> Response:
    """`Ask to be let in`, pressed by somebody who has become a member since."""
    return _answer(request, text_message(f"You are a member of {context.access.organization_name} already."))


def _answer(request: Press, message: Message) -> Response:
    """The answer in place of the one with the button; in a window on Home, which has no messages."""
    if request.surface == "modal":
        return UpdateForm(forms.render_window(message, title="Tocsin"))
    if request.surface == "home":
        return OpenForm(forms.render_window(message, title="Tocsin"))
    return redraw.turn(request, message)


def handle_add_press(context: Context, request: Press) -> Response:
    """`Add`: the form that confirms it, as `member add` has it."""
    found = rules.get_open_request(context.connection, context.access, _parse_id(request.value))
    origin = redraw.origin_of_press(request, **{_REQUEST: found.id})
    form = member.build_add_form(context, found.user_id, found.name, origin)
    return OpenForm({**form, "callback_id": "join_add"})


def handle_submission(context: Context, request: Submission) -> Response:
    """The form of `Add`, submitted."""
    request_id = _parse_id(str(request.origin.get(_REQUEST)))
    found = rules.get_open_request(context.connection, context.access, request_id)
    role, teams = member.read_choices(request)
    profile = context.services.identity.get_profile(context.reading, found.workspace_id, found.user_id)
    # The Slack id is one of the workspace in which they asked.
    access = replace(context.access, workspace_id=found.workspace_id)
    newcomer = Newcomer(found.user_id, profile)
    with context.write(once=request.key) as tx:
        rules.admit(tx, access, request_id, newcomer, role or Role.MEMBER, teams, context.services.command, context.now)
        shown = messages.render_request(rules.get_request(tx, access.organization_id, request_id))
        place = redraw.Place.of_origin(request.origin)
        return Done(redraw.redraw_in_place(tx, context, request, place, shown))


def handle_decline(context: Context, request: Press) -> Response:
    """`Decline`, confirmed."""
    found = rules.get_open_request(context.connection, context.access, _parse_id(request.value))
    profile = context.services.identity.get_profile(context.reading, found.workspace_id, found.user_id)
    with context.write(once=request.key) as tx:
        declined = rules.decline(tx, context.access, found.id, profile, context.services.command, context.now)
        return redraw.show_change(tx, context, request, messages.render_request(declined))


def _parse_id(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise Refusal("This button is from an older version. Nothing was changed.")
    return int(value)


HANDLES = (
    Feature(
        buttons={
            "join_ask": handle_ask_of_member,  # Ask to be let in
            "join_add": handle_add_press,  # Add
            "join_decline": handle_decline,  # Decline
        },
        forms={"join_add": handle_submission},
    ),
)
