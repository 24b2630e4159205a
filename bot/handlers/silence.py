"""`silence`: an alert makes no cards until a moment; lists the silences in force, and ends one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bot.handlers import incident_menu, redraw, view
from bot.handlers.context import Context
from bot.handlers.redraw import origin_of_press
from bot.handlers.verb import Verb
from bot.incidents import silences as rules
from bot.incidents.errors import InvalidInput
from bot.incidents.markup import decode_slack_text, require_storable
from bot.incidents.silence_times import SILENCE, check_end, parse_duration, parse_end
from bot.incidents.silences import END_USAGE, USAGE
from bot.incidents.words import parse_lone_number, parse_number, split_first_word
from bot.messages import answers
from bot.messages import silences as messages
from bot.messages.blocks import Message, text_message
from bot.messages.help import Group
from bot.messages.incident_menu import Pick
from bot.people.notices import notify_maker
from bot.slack.requests import Command, Origin, Press, Submission
from bot.slack.responses import Answer, OpenForm, Response

PICK = Pick("silence", "Silence")


def handle_command(context: Context, request: Command, words: str) -> Response:
    """`silence N DURATION|until:… [reason]`, `silence list` and `silence end ID`; without a duration, a form."""
    word, rest = split_first_word(decode_slack_text(require_storable(words)))
    if not word:
        return incident_menu.offer_incidents(context, "silence", PICK)
    if word == "list":
        return Answer(_render_list(context.connection, context))
    if word == "end":
        return _end(context, rest)
    if not rest:
        if request.in_message:  # no form can be opened from a message
            raise InvalidInput("Say how long, because every silence ends.", f"{SILENCE} 2h")
        identifier = parse_lone_number(word, USAGE)
        return _open_form(context, identifier, Origin(n=identifier, s="message", r=request.response_url).to_metadata())
    identifier = parse_number(word, USAGE, rest)
    ends, reason = parse_end(rest, context.now, context.access.timezone)
    with context.write(once=request.key) as tx:
        made = rules.silence_alert(tx, context.access, identifier, ends, context.now, reason=reason)
    return Answer(answers.render_confirmation(messages.render_made(made)))


def handle_press(context: Context, request: Press) -> Response:
    """`Silence`: a form with the alert's labels."""
    identifier = parse_number(request.value, USAGE)
    return _open_form(context, identifier, origin_of_press(request, identifier))


def _open_form(context: Context, identifier: int, origin: str) -> Response:
    incident, alert = rules.get_alert(context.connection, context.access, identifier)
    return OpenForm(messages.render_form(incident, alert, origin))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form of `Silence`, submitted."""
    identifier = parse_number(str(request.origin.get("n", "")), USAGE)
    ends, reason = read_end(context, request), read_reason(request)
    labels = [require_storable(name) for name in request.checked("labels")]
    with context.write(once=request.key) as tx:
        made = rules.silence_alert(tx, context.access, identifier, ends, context.now, reason=reason, labels=labels)
        return view.redraw_incident_at_origin(tx, context, request, made.incident, messages.render_made(made))


def read_end(context: Context, request: Submission, *, before: str = SILENCE) -> datetime:
    """The end that a form holds. `before` are the words before it in the right form of the command."""
    until = request.moment("until")
    if until is not None:
        return check_end(until, context.now, field="until", before=before)
    return parse_duration(request.chosen("for") or "", context.now, before=before)


def read_reason(request: Submission) -> str:
    """The reason that a form holds, on one line."""
    return " ".join(require_storable(request.text("reason")).split())


def handle_end_press(context: Context, request: Press) -> Response:
    """`End silence`: the silences that are left, in place of the message with the button."""
    silence_id = rules.parse_id(request.value)
    with context.write() as tx:
        notice = _end_silence(tx, context, silence_id)
        if redraw.is_in_window(request):
            return redraw.show_change(tx, context, request, text_message(notice))
        return redraw.turn(request, _render_list(tx, context, notice=notice))


def _end(context: Context, word: str) -> Response:
    silence_id = rules.parse_id(word)
    with context.write() as tx:
        return Answer(answers.render_confirmation(answers.Confirmation(_end_silence(tx, context, silence_id))))


def _end_silence(tx: Connection, context: Context, silence_id: int) -> str:
    ended = rules.end_silence(tx, context.access, silence_id, context.now)
    if ended.silence.member_id != context.access.member_id:
        notify_maker(tx, ended, context.now, by=context.access.name)
    return messages.render_ended(ended)


def _render_list(connection: Connection, context: Context, *, notice: str | None = None) -> Message:
    listed = rules.list_silences(connection, context.access, messages.MOST_LISTED + 1)
    return messages.render_list(listed, context.services.command, notice=notice)


HANDLES = (
    Verb(
        name="silence",
        usage=f"{USAGE} · silence list · {END_USAGE}",
        form=USAGE,
        summary="Silences the alert of an incident: it posts no cards until the silence ends.",
        examples=("silence 12 2h database upgrade", "silence 12 until:18:00", "silence list", "silence end 3"),
        brief="silence its alert for a while",
        group=Group.WORK,
        synonyms=("snooze", "mute", "suppress", "ignore", "quiet", "hush"),
        rewordings={
            **dict.fromkeys(("silences", "unsilence", "unsnooze", "unmute", "maintenance list"), "list"),
            **dict.fromkeys(("mute list", "snooze list"), "list"),
            **dict.fromkeys(("end silence", "stop silence", "remove silence", "maintenance end"), "end"),
        },
        command=handle_command,
        pick=PICK,
        buttons={
            "silence": handle_press,  # Silence
            "silence_end": handle_end_press,  # End silence
        },
        forms={"silence": handle_submission},
    ),
)
