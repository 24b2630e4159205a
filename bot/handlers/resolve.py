"""`resolve`, `reopen` and `severity`: the status of an incident, by hand."""

from __future__ import annotations

from collections.abc import Sequence

from bot.handlers import incident_menu, view
from bot.handlers.context import Context
from bot.handlers.redraw import origin_of_press
from bot.handlers.verb import Verb
from bot.incidents import lifecycle, lookup
from bot.incidents.comments import CommentText
from bot.incidents.errors import AlreadyClosed, InvalidInput
from bot.incidents.plain_text import disable_formatting
from bot.incidents.severities import SEVERITIES, find_severity
from bot.incidents.words import (
    find_closest,
    parse_number,
    parse_number_and_text,
    shorten,
    split_word,
    unquote,
)
from bot.messages import answers, forms
from bot.messages.answers import Confirmation
from bot.messages.blocks import Element
from bot.messages.help import Group
from bot.messages.incident import build_status_button, build_view_button
from bot.messages.incident_menu import Pick
from bot.messages.incident_parts import SEVERITY_NAMES
from bot.messages.state_tag import parse_state
from bot.slack.requests import Command, Press, Submission
from bot.slack.responses import Answer, OpenForm, Response
from storage.rows import IncidentHead
from storage.values import Status

USAGE = "resolve N [comment]"
PICK = Pick("resolve", "Resolve")
REOPEN_USAGE = "reopen N [comment]"
SEVERITY_USAGE = "severity N warning|critical|none [comment]"


def _read_comment(context: Context, text: str) -> CommentText | None:
    return context.read_text(text) if text.strip() else None


# --- resolve -----------------------------------------------------------------------------------------------


def handle_command(context: Context, _request: Command, words: str) -> Response:
    """`resolve N [comment]`."""
    if not words:
        return incident_menu.offer_incidents(context, "resolve", PICK)
    identifier, text = parse_number_and_text(words, USAGE)
    comment = _read_comment(context, text)
    with context.write() as tx:
        incident = lifecycle.resolve(tx, context.access, identifier, context.now, comment)
    return Answer(answers.render_confirmation(Confirmation(_render_resolved(incident), _build_buttons(incident))))


def _render_resolved(incident: IncidentHead) -> str:
    return f"You resolved {answers.render_incident_title(incident)}."


def _build_buttons(incident: IncidentHead) -> Sequence[Element]:
    """What makes sense after a command that changed the status."""
    return build_view_button(incident.identifier), build_status_button(incident.identifier, incident.status)


def handle_press(context: Context, request: Press) -> Response:
    """`Resolve`: a form with room for a comment."""
    identifier = parse_number(request.value, USAGE)
    shown = parse_state(request.block_id)
    incident = lookup.get_incident(context.connection, context.access, identifier, shown=shown)
    if incident.status is Status.CLOSED:
        raise AlreadyClosed(identifier, incident.title, incident.date_closed, "")
    return OpenForm(forms.render_resolve_form(identifier, incident.title, origin_of_press(request, identifier)))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form of `Resolve`, submitted."""
    identifier = parse_number(str(request.origin.get("n", "")), USAGE)
    block = request.rich_text(forms.COMMENT)
    comment = context.read_rich_text(block) if block else None
    if comment and not comment.text:
        comment = None
    with context.write(once=request.key) as tx:
        incident = lifecycle.resolve(tx, context.access, identifier, context.now, comment)
        confirmation = Confirmation(_render_resolved(incident), on_card=True)
        return view.redraw_incident_at_origin(tx, context, request, incident, confirmation)


# --- reopen ------------------------------------------------------------------------------------------------


def handle_reopen_command(context: Context, _request: Command, words: str) -> Response:
    """`reopen N [comment]`."""
    identifier, text = parse_number_and_text(words, REOPEN_USAGE)
    comment = _read_comment(context, text)
    with context.write() as tx:
        incident = lifecycle.reopen(tx, context.access, identifier, context.now, comment)
    return Answer(answers.render_confirmation(Confirmation(_render_reopened(incident), _build_buttons(incident))))


def handle_reopen_press(context: Context, request: Press) -> Response:
    """`Reopen`."""
    identifier = parse_number(request.value, REOPEN_USAGE)
    shown = parse_state(request.block_id)
    with context.write() as tx:
        incident = lifecycle.reopen(tx, context.access, identifier, context.now, shown=shown)
        confirmation = Confirmation(_render_reopened(incident), on_card=True)
        return view.redraw_incident(tx, context, request, incident, confirmation)


def _render_reopened(incident: IncidentHead) -> str:
    severity = "" if incident.status is Status.OPEN else f" Its severity is {SEVERITY_NAMES[incident.status]}."
    return f"You reopened {answers.render_incident_title(incident)}.{severity}"


# --- severity ----------------------------------------------------------------------------------------------


def handle_severity_command(context: Context, _request: Command, words: str) -> Response:
    """`severity N warning|critical|none [comment]`; `open` is the same as `none`."""
    word, rest = split_word(words)
    identifier = parse_number(word, SEVERITY_USAGE, rest)
    value, text = split_word(rest)
    value = unquote(value)
    severity = find_severity(value)
    if severity is None:
        raise _explain_severity(value)
    comment = _read_comment(context, text)
    with context.write() as tx:
        incident, changed = lifecycle.set_severity(tx, context.access, identifier, severity, context.now, comment)
    title, present = answers.render_incident_title(incident), SEVERITY_NAMES[incident.status]
    if changed:
        sentence = f"You changed the severity of {title} to {present}."
        return Answer(answers.render_confirmation(Confirmation(sentence, _build_buttons(incident))))
    if comment:
        raise InvalidInput(
            f"The severity of #{identifier} {disable_formatting(incident.title)} is already {present},"
            " so your comment was not added. Use `comment` to add it.",
            f"comment {identifier} text",
        )
    return Answer(answers.render_confirmation(Confirmation(f"The severity of {title} is already {present}.")))


def _explain_severity(value: str) -> InvalidInput:
    """The error for a word that is no severity."""
    sentence = f"“{shorten(value)}” is not a severity." if value else "The severity is missing."
    meant = find_closest(value, SEVERITIES) if value else None
    sentence += " Use `critical`, `warning` or `none` (`open` works too)."
    return InvalidInput(sentence, SEVERITY_USAGE, wrong=value, meant=meant)


HANDLES = (
    Verb(
        name="resolve",
        usage=USAGE,
        summary="Resolves an incident, with a comment if you like.",
        examples=("resolve 12 rolled back the deploy",),
        brief="resolve it, with a comment if you like",
        group=Group.WORK,
        synonyms=("close", "closed", "done", "fix", "fixed", "end", "resolved"),
        phrases=("done", "fixed", "its fixed", "all fixed", "resolved", "its resolved", "solved", "its over"),
        command=handle_command,
        pick=PICK,
        buttons={"resolve": handle_press},  # Resolve
        forms={"resolve": handle_submission},
    ),
    Verb(
        name="reopen",
        usage=REOPEN_USAGE,
        summary="Reopens an incident with the severity that it had.",
        examples=("reopen 12 it is back",),
        group=Group.WORK,
        command=handle_reopen_command,
        buttons={"reopen": handle_reopen_press},  # Reopen
    ),
    Verb(
        name="severity",
        usage=SEVERITY_USAGE,
        summary="Sets the severity of an open incident.",
        examples=("severity 12 critical",),
        group=Group.WORK,
        synonyms=("sev", "priority", "escalate", "critical", "warning"),
        values=(*SEVERITIES, "open"),
        command=handle_severity_command,
    ),
)
