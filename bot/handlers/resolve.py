"""`resolve`, `reopen` and `severity`: the status of an incident, by hand."""

from __future__ import annotations

from bot.handlers import pick, view
from bot.handlers.call import Call
from bot.handlers.surface import origin
from bot.handlers.verb import Verb
from bot.incidents import lifecycle, lookup
from bot.incidents.comments import CommentText
from bot.incidents.errors import AlreadyClosed, BadWords
from bot.incidents.words import closest, first_word, number, shortened
from bot.messages import answers, forms
from bot.messages.help import Group
from bot.messages.incident import STATUS_NAMES
from bot.messages.picks import Pick
from bot.slack.outcomes import Answer, Done, OpenForm, Outcome
from bot.slack.requests import Command, Press, Submission
from storage.values import Status

FORM = "resolve N [comment]"
PICK = Pick("resolve", "Resolve")
REOPEN_FORM = "reopen N [comment]"
SEVERITY_FORM = "severity N warning|critical|open [comment]"
SEVERITIES = {"warning": Status.WARNING, "critical": Status.CRITICAL, "open": Status.OPEN}


def _comment(call: Call, text: str) -> CommentText | None:
    return call.written(text) if text.strip() else None


# --- resolve -----------------------------------------------------------------------------------------------


def command(call: Call, _ask: Command, words: str) -> Outcome:
    """`resolve N [comment]`."""
    word, rest = first_word(words)
    if not word:
        return pick.offer(call, "resolve", PICK)
    identifier = number(word, FORM)
    comment = _comment(call, rest)
    with call.write() as tx:
        incident = lifecycle.resolve(tx, call.access, identifier, call.now, comment)
    return Answer(answers.about(f"You have resolved {answers.name_of(incident)}.", incident))


def press(call: Call, ask: Press) -> Outcome:
    """`Resolve`: a form with room for a comment."""
    identifier = number(ask.value, FORM)
    incident = lookup.incident(call.connection, call.access, identifier)
    if incident.status is Status.CLOSED:
        raise AlreadyClosed(identifier, incident.title, incident.date_closed, "Nothing was changed.")
    return OpenForm(forms.resolve(identifier, incident.title, origin(ask, identifier)))


def submission(call: Call, ask: Submission) -> Outcome:
    """The form of `Resolve`, sent off."""
    identifier = number(str(ask.origin.get("n", "")), FORM)
    block = ask.rich_text(forms.COMMENT)
    comment = call.written_rich(block) if block else None
    if comment and not comment.text:
        comment = None
    with call.write(once=ask.key) as tx:
        incident = lifecycle.resolve(tx, call.access, identifier, call.now, comment)
        notice = f"You have resolved {answers.name_of(incident)}."
        return Done(view.back(tx, call, ask, ask.origin, incident, notice))


# --- reopen ------------------------------------------------------------------------------------------------


def reopen(call: Call, _ask: Command, words: str) -> Outcome:
    """`reopen N [comment]`."""
    word, rest = first_word(words)
    identifier = number(word, REOPEN_FORM)
    comment = _comment(call, rest)
    with call.write() as tx:
        incident = lifecycle.reopen(tx, call.access, identifier, call.now, comment)
    return Answer(answers.about(_reopened(answers.name_of(incident), incident.status), incident))


def reopen_press(call: Call, ask: Press) -> Outcome:
    """`Reopen`."""
    identifier = number(ask.value, REOPEN_FORM)
    with call.write() as tx:
        incident = lifecycle.reopen(tx, call.access, identifier, call.now)
        return view.changed(tx, call, ask, incident, _reopened(answers.name_of(incident), incident.status))


def _reopened(name: str, status: Status) -> str:
    return f"You have reopened {name} as {STATUS_NAMES[status]}."


# --- severity ----------------------------------------------------------------------------------------------


def severity(call: Call, _ask: Command, words: str) -> Outcome:
    """`severity N warning|critical|open [comment]`."""
    word, rest = first_word(words)
    identifier = number(word, SEVERITY_FORM)
    value, text = first_word(rest)
    if value not in SEVERITIES:
        meant = closest(value, SEVERITIES) if value else None
        said = f"“{shortened(value)}” is no severity" if value else "The severity is missing"
        raise BadWords(
            f"{said}; it can be warning, critical or open." + (f" Did you mean “{meant}”?" if meant else ""),
            SEVERITY_FORM,
        )
    comment = _comment(call, text)
    with call.write() as tx:
        incident, changed = lifecycle.set_severity(tx, call.access, identifier, SEVERITIES[value], call.now, comment)
    name, status = answers.name_of(incident), STATUS_NAMES[incident.status]
    if changed:
        return Answer(answers.about(f"You have set {name} to {status}.", incident))
    if comment:
        raise BadWords(
            f"#{identifier} {incident.title} is {status} already, so nothing was changed and your comment was"
            " not added. `comment` adds it.",
            f"comment {identifier} text",
        )
    return Answer(answers.about(f"{name} is {status} already; nothing was changed.", incident))


HANDLES = (
    Verb(
        name="resolve",
        usage=FORM,
        summary="Closes it, with a comment if you like.",
        examples=("resolve 12 rolled back the deploy",),
        group=Group.WORK,
        synonyms=("close", "closed", "done", "fix", "fixed", "end", "resolved"),
        command=command,
        pick=PICK,
        buttons={"resolve": press},  # Resolve
        forms={"resolve": submission},
    ),
    Verb(
        name="reopen",
        usage=REOPEN_FORM,
        summary="Opens it again, with the status that it had.",
        examples=("reopen 12 it is back",),
        group=Group.WORK,
        command=reopen,
        buttons={"reopen": reopen_press},  # Reopen
    ),
    Verb(
        name="severity",
        usage=SEVERITY_FORM,
        summary="Sets how bad it is, by hand.",
        examples=("severity 12 critical",),
        group=Group.WORK,
        synonyms=("sev", "priority", "escalate"),
        command=severity,
    ),
)
