"""`resolve`, `reopen` and `severity`: the status of an incident, by hand."""

from __future__ import annotations

from bot.handlers import pick, view
from bot.handlers.context import Context
from bot.handlers.redraw import origin_of_press
from bot.handlers.verb import Verb
from bot.incidents import lifecycle, lookup
from bot.incidents.comments import CommentText
from bot.incidents.errors import AlreadyClosed, InvalidInput
from bot.incidents.severities import SEVERITIES, find_severity
from bot.incidents.words import find_closest, parse_number, shorten, split_first_word
from bot.messages import answers, forms
from bot.messages.help import Group
from bot.messages.incident import STATUS_NAMES
from bot.messages.picks import Pick
from bot.slack.requests import Command, Press, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response
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
    word, rest = split_first_word(words)
    if not word:
        return pick.offer_incidents(context, "resolve", PICK)
    identifier = parse_number(word, USAGE)
    comment = _read_comment(context, rest)
    with context.write() as tx:
        incident = lifecycle.resolve(tx, context.access, identifier, context.now, comment)
    return Answer(
        answers.render_confirmation(f"You have resolved {answers.render_incident_title(incident)}.", incident)
    )


def handle_press(context: Context, request: Press) -> Response:
    """`Resolve`: a form with room for a comment."""
    identifier = parse_number(request.value, USAGE)
    incident = lookup.get_incident(context.connection, context.access, identifier)
    if incident.status is Status.CLOSED:
        raise AlreadyClosed(identifier, incident.title, incident.date_closed, "Nothing was changed.")
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
        notice = f"You have resolved {answers.render_incident_title(incident)}."
        return Done(view.redraw_incident_at_origin(tx, context, request, request.origin, incident, notice))


# --- reopen ------------------------------------------------------------------------------------------------


def handle_reopen_command(context: Context, _request: Command, words: str) -> Response:
    """`reopen N [comment]`."""
    word, rest = split_first_word(words)
    identifier = parse_number(word, REOPEN_USAGE)
    comment = _read_comment(context, rest)
    with context.write() as tx:
        incident = lifecycle.reopen(tx, context.access, identifier, context.now, comment)
    return Answer(
        answers.render_confirmation(
            _reopened_sentence(answers.render_incident_title(incident), incident.status), incident
        )
    )


def handle_reopen_press(context: Context, request: Press) -> Response:
    """`Reopen`."""
    identifier = parse_number(request.value, REOPEN_USAGE)
    with context.write() as tx:
        incident = lifecycle.reopen(tx, context.access, identifier, context.now)
        return view.redraw_incident(
            tx, context, request, incident, _reopened_sentence(answers.render_incident_title(incident), incident.status)
        )


def _reopened_sentence(name: str, status: Status) -> str:
    return f"You have reopened {name} as {STATUS_NAMES[status]}."


# --- severity ----------------------------------------------------------------------------------------------


def handle_severity_command(context: Context, _request: Command, words: str) -> Response:
    """`severity N warning|critical|none [comment]`; `open` is the same as `none`."""
    word, rest = split_first_word(words)
    identifier = parse_number(word, SEVERITY_USAGE)
    value, text = split_first_word(rest)
    severity = find_severity(value)
    if severity is None:
        meant = find_closest(value, SEVERITIES) if value else None
        raise InvalidInput(
            (f"“{shorten(value)}” is not a severity." if value else "The severity is missing.")
            + (f" Did you mean `{meant}`?" if meant else " Use `critical`, `warning` or `none` (`open` works too)."),
            SEVERITY_USAGE,
        )
    comment = _read_comment(context, text)
    with context.write() as tx:
        incident, changed = lifecycle.set_severity(tx, context.access, identifier, severity, context.now, comment)
    name, status = answers.render_incident_title(incident), STATUS_NAMES[incident.status]
    if changed:
        return Answer(answers.render_confirmation(f"You have set {name} to {status}.", incident))
    if comment:
        raise InvalidInput(
            f"#{identifier} {incident.title} is {status} already, so nothing was changed and your comment was"
            " not added. `comment` adds it.",
            f"comment {identifier} text",
        )
    return Answer(answers.render_confirmation(f"{name} is {status} already; nothing was changed.", incident))


HANDLES = (
    Verb(
        name="resolve",
        usage=USAGE,
        summary="Resolves an incident, with a comment if you like.",
        examples=("resolve 12 rolled back the deploy",),
        brief="resolve it, with a comment if you like",
        group=Group.WORK,
        synonyms=("close", "closed", "done", "fix", "fixed", "end", "resolved"),
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
        synonyms=("sev", "priority", "escalate"),
        command=handle_severity_command,
    ),
)
