"""`handoff`: offers incidents to somebody else, and what they and the one who asked press about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from bot.handlers import redraw, view
from bot.handlers.context import Context
from bot.handlers.redraw import Place, origin_of_press, origin_of_request
from bot.handlers.verb import Verb
from bot.incidents import handoff, members
from bot.incidents.access import Access
from bot.incidents.comments import CommentText
from bot.incidents.errors import InvalidInput
from bot.incidents.handoff import USAGE, Offered
from bot.incidents.markup import MENTION, decode_slack_text, escape
from bot.incidents.words import NUMBER, parse_number, shorten
from bot.messages import answers, forms
from bot.messages import handoff as messages
from bot.messages.answers import Confirmation
from bot.messages.blocks import Message
from bot.messages.help import Group
from bot.messages.reminder import ALL
from bot.slack.requests import Command, Press, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response
from storage.member_rows import HandoffHead

FORM = "handoff [N] @person [note]"
WITHDRAW = frozenset({"withdraw", "cancel"})
_NUMBER = re.compile(r"[\"“„]?(?:<)?#?\d")
_SLACK_USER = re.compile(r"<@([A-Z0-9]{1,30})(?:\|[^<>]*)?>")
_PERSON = re.compile(r"[\"“„]?<person:(\d+)>[\"”“]?[,:;]?\s*", re.DOTALL)
_TEAM = re.compile(r"<team:\d+>")


@dataclass(frozen=True, slots=True)
class _Words:
    """What was typed behind the command."""

    identifier: int | None  # None: everything that the caller owns
    rest: str  # the person and the note


def handle_command(context: Context, request: Command, words: str) -> Response:
    """`handoff [N] @person [note]`; without a person, a form."""
    parsed = _parse(words)
    if parsed.rest.lower() in WITHDRAW:
        if parsed.identifier is None:
            raise InvalidInput("Name the incident whose offer you withdraw.", "handoff N withdraw")
        return _withdraw_of_incident(context, parsed.identifier)
    if not parsed.rest:
        if request.in_message:  # no form can be opened from a message
            raise InvalidInput("Who should take over? Name the person.", FORM)
        return OpenForm(_build_form(context, parsed.identifier, origin_of_request(request, parsed.identifier)))
    receiver_id, note = _read_person_and_note(context, parsed.rest)
    if parsed.identifier is None and note is not None and (number := NUMBER.fullmatch(note.text)):
        # Everything that the caller owns would be offered.
        raise InvalidInput("The number comes before the person. Nothing was offered.", f"handoff {number[1]} @person")
    with context.write(once=request.key) as tx:
        offered = handoff.offer(tx, context.access, parsed.identifier, receiver_id, note, context.now)
    return Answer(answers.render_confirmation(_confirm(offered)))


def _parse(words: str) -> _Words:
    first, _, rest = words.partition(" ") if not words[:1].isspace() else ("", "", words)
    if not _NUMBER.match(decode_slack_text(first)) or decode_slack_text(first).startswith("@"):
        return _Words(None, _without_to(words))
    return _Words(parse_number(first, USAGE), _without_to(rest))


def _without_to(rest: str) -> str:
    """`handoff 12 to @ben` and `handoff 12 over to @ben` are how people say it."""
    rest = rest.strip()
    word, _, behind = rest.partition(" ")
    return _without_to(behind) if word.lower() in ("over", "off", "to") else rest


def _read_person_and_note(context: Context, typed: str) -> tuple[int, CommentText | None]:
    """The id of the member at the start of a text, and the note behind it. Raises InvalidInput, Refusal."""
    mention = _SLACK_USER.match(typed.lstrip('"“„'))
    if mention:
        _find_user(context, mention[1])  # with a sentence of its own for who is no member
    written = context.read_text(typed)
    found = _PERSON.match(written.text)
    if found:
        return int(found[1]), _build_note(replace(written, text=written.text[found.end() :]))
    if _TEAM.match(written.text):
        raise InvalidInput("Incidents are handed off to a person, not to a team.", FORM)
    word, _, rest = typed.partition(" ")
    named = decode_slack_text(word).rstrip(",:;")
    if "@" not in named:
        raise InvalidInput(f"Who should take over? “{shorten(decode_slack_text(word))}” is not a person.", FORM)
    receiver = members.find_member(
        context.connection, context.access, named, "handoff N @{}", field="person", example="person"
    )
    return receiver.id, _build_note(context.read_text(rest)) if rest.strip() else None


def _find_user(context: Context, user_id: str) -> int:
    """The id of the member that a Slack user is. Raises InvalidInput for bots, guests and strangers."""
    member_id, name = context.find_mentioned(user_id)
    if member_id is None:
        raise InvalidInput(
            f"{shorten(name)} cannot take over incidents. Only members of your organization can, not bots or guests.",
            FORM,
            field="person",
        )
    return member_id


def _build_note(written: CommentText) -> CommentText | None:
    """A note without the person who stood before it; None if it is empty."""
    if not written.text.strip():
        return None
    mentioned = {int(one[2]) for one in MENTION.finditer(written.text) if one[1] == "person"}
    return replace(written, text=written.text.strip(), member_ids=written.member_ids & mentioned)


def _confirm(offered: Offered) -> Confirmation:
    name = escape(offered.receiver)
    incidents = offered.incidents
    if len(incidents) == 1:
        sentence = f"You offered {answers.render_incident_title(incidents[0])} to {name}."
    else:
        sentence = f"You offered {len(incidents)} incidents to {name}."
    sentence += " You own it until they accept." if len(incidents) == 1 else " You own them until they accept."
    if offered.withdrawn:
        sentence += f" The offer to {escape(', '.join(offered.withdrawn))} is withdrawn."
    if offered.blind:
        sentence += f" {name} cannot see {messages.list_titles(offered.blind)}, which stays yours."
    if offered.already:
        sentence += f" You had offered {messages.list_titles(offered.already)} to {name} before."
    if offered.more:
        sentence += " You own more: run the command again once these are answered."
    return Confirmation(sentence, [messages.build_withdraw_button(offered.handoff_id)], on_card=True)


# --- the form ------------------------------------------------------------------------------------------------


def handle_press(context: Context, request: Press) -> Response:
    """`Hand off`: a form with the person and a note."""
    identifier = None if request.value == ALL else parse_number(request.value, USAGE)
    return OpenForm(_build_form(context, identifier, origin_of_press(request, identifier)))


def _build_form(context: Context, identifier: int | None, origin: str) -> forms.Form:
    if identifier is None:
        return forms.render_handoff_form(None, None, handoff.count_own(context.connection, context.access), origin)
    incident = handoff.get_own(context.connection, context.access, identifier)
    return forms.render_handoff_form(identifier, incident.title, 1, origin)


def handle_submission(context: Context, request: Submission) -> Response:
    """The form, submitted."""
    number = request.origin.get("n")
    identifier = None if number is None else parse_number(str(number), USAGE)
    user_id = request.user("person")
    if user_id is None:
        raise InvalidInput("Choose a person.", field="person")
    receiver_id = _find_user(context, user_id)
    block = request.rich_text(forms.COMMENT)
    note = _build_note(context.read_rich_text(block)) if block else None
    with context.write(once=request.key) as tx:
        offered = handoff.offer(tx, context.access, identifier, receiver_id, note, context.now)
        confirmation = _confirm(offered)
        place = Place.of_origin(request.origin)
        if identifier is None:
            message = answers.render_confirmation(confirmation)
            return Done(redraw.redraw_in_place(tx, context, request, place, message))
        return view.redraw_incident_at_origin(tx, context, request, offered.incidents[0], confirmation)


# --- answers -------------------------------------------------------------------------------------------------


def handle_accept_press(context: Context, request: Press) -> Response:
    """`I have it`: for one of the incidents, or for all."""
    return _answer(context, request, handoff.accept)


def handle_decline_press(context: Context, request: Press) -> Response:
    """`Not me`: for one of the incidents, or for all."""
    return _answer(context, request, handoff.decline)


def _answer(
    context: Context, request: Press, give: Callable[[Connection, Access, int, int | None, datetime], handoff.Answered]
) -> Response:
    handoff_id, identifier = messages.parse_offer_value(request.value)
    with context.write() as tx:
        answered = give(tx, context.access, handoff_id, identifier, context.now)
        notice = None if answered.incidents else "This is not offered to you any more. Nothing was changed."
        return _redraw_offer(tx, context, request, answered.head, notice=notice)


def turn_page(context: Context, request: Press) -> Response:
    """`Previous` and `Next` of an offer of many incidents."""
    handoff_id, page = messages.parse_offer_value(request.value)
    head = handoff.get_offer(context.connection, context.access, handoff_id)
    return _redraw_offer(context.connection, context, request, head, page=page or 0)


def _redraw_offer(
    connection: Connection,
    context: Context,
    request: Press,
    head: HandoffHead,
    *,
    page: int = 0,
    notice: str | None = None,
) -> Response:
    content = handoff.get_content(connection, head, also_open=messages.ALSO_OPEN_SHOWN)
    message = messages.render_offer(content, page=page, notice=notice)
    return redraw.redraw_in_place(connection, context, request, Place.of_press(request), message)


def handle_withdraw_press(context: Context, request: Press) -> Response:
    """`Withdraw`."""
    handoff_id, _ = messages.parse_offer_value(request.value)
    with context.write() as tx:
        message = _withdraw(tx, context, handoff_id)
        return redraw.redraw_in_place(tx, context, request, Place.of_press(request), message)


def _withdraw_of_incident(context: Context, identifier: int) -> Response:
    """`handoff N withdraw`."""
    head = handoff.get_offer_of(context.connection, context.access, identifier)
    with context.write() as tx:
        return Answer(_withdraw(tx, context, head.id))


def _withdraw(tx: Connection, context: Context, handoff_id: int) -> Message:
    answered = handoff.withdraw(tx, context.access, handoff_id, context.now)
    receiver = escape(answered.head.receiver)
    if answered.incidents:
        sentence = f"You withdrew the offer of {messages.list_titles(answered.incidents)} to {receiver}."
    else:
        sentence = f"The offer to {receiver} is answered or over already. Nothing was changed."
    return answers.render_confirmation(Confirmation(sentence))


HANDLES = (
    Verb(
        name="handoff",
        usage="handoff N @person [note], handoff @person [note]",
        form=USAGE,
        summary="Offers an incident that you own to somebody who can see it, or all that you own. They get a direct"
        " message, and own it when they accept. You get their answer within 24 hours; until then,"
        " `handoff N withdraw` takes the offer back.",
        examples=("handoff 12 @ben the replica still lags", "handoff @ben my shift is over", "handoff 12 withdraw"),
        group=Group.WORK,
        synonyms=("hand", "give", "assign", "reassign", "transfer", "pass"),
        rewordings=dict.fromkeys(("hand off", "hand over", "hand-off", "handover"), ""),
        command=handle_command,
        buttons={
            "handoff": handle_press,  # Hand off
            "handoff_accept": handle_accept_press,  # I have it
            "handoff_decline": handle_decline_press,  # Not me
            "handoff_previous": turn_page,  # Previous
            "handoff_next": turn_page,  # Next
            "handoff_withdraw": handle_withdraw_press,  # Withdraw
        },
        forms={"handoff": handle_submission},
    ),
)
