"""Where every request is received: who asks is found out, the right handler is called, mistakes become answers.

Nothing that a person can cause leaves here as an exception, and nothing that nobody expected leaves without an
entry in the log whose id the person is given.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from bot.handlers import acknowledge, activity, comment, declare, help, list, resolve, subscribe, view
from bot.handlers.call import AlreadyDone, Call, Tools
from bot.incidents.errors import BadWords, Refusal
from bot.incidents.markup import readable
from bot.incidents.words import closest, first_word, shortened
from bot.messages import answers, forms
from bot.messages.blocks import Message
from bot.messages.help import TOPICS
from bot.slack.outcomes import Answer, Done, FormErrors, Outcome, UpdateForm
from bot.slack.requests import Ask, Command, Press, Submission
from storage.errors import Contended, DatabaseAway

log = structlog.get_logger(__name__)

COMMANDS: Mapping[str, Callable[[Call, Command, str], Outcome]] = {
    "list": list.command,
    "view": view.command,
    "ack": acknowledge.command,
    "acknowledge": acknowledge.command,
    "seen": acknowledge.command,
    "resolve": resolve.command,
    "reopen": resolve.reopen,
    "severity": resolve.severity,
    "comment": comment.command,
    "activity": activity.command,
    "subscribe": subscribe.command,
    "unsubscribe": subscribe.unsubscribe,
    "declare": declare.command,
    "whoami": help.whoami,
}

# By action_id; the label of the button stands behind it.
BUTTONS: Mapping[str, Callable[[Call, Press], Outcome]] = {
    "view": view.press,  # View
    "details": view.in_place,  # View, below a log
    "acknowledge": acknowledge.press,  # Acknowledge
    "resolve": resolve.press,  # Resolve
    "reopen": resolve.reopen_press,  # Reopen
    "comment": comment.press,  # Comment
    "comment_edit": comment.edit_press,  # Edit
    "comment_delete": comment.delete_press,  # Delete
    "activity": activity.press,  # Activity
    "activity_previous": activity.newer,  # Previous
    "activity_next": activity.older,  # Next
    "subscribe": subscribe.press,  # Subscribe
    "unsubscribe": subscribe.unsubscribe_press,  # Unsubscribe
    "list_previous": list.turn,  # Previous
    "list_next": list.turn,  # Next
}

# By callback_id.
FORMS: Mapping[str, Callable[[Call, Submission], Outcome]] = {
    "resolve": resolve.submission,
    "comment": comment.submission,
    "comment_edit": comment.edit_submission,
}


@dataclass(frozen=True, slots=True)
class _Mishap:
    """Why a request was not carried out; each way of asking is told in its own way."""

    message: Message
    sentence: str


class Desk:
    """Receives what the line brings. Fulfils `bot.slack.line.Desk`."""

    def __init__(self, tools: Tools, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tools = tools
        self._clock = clock

    def command(self, ask: Command) -> Outcome:
        """A slash command, or the same words said to the bot."""
        verb, words = first_word(ask.text)

        def work() -> Outcome:
            if verb in ("", "help"):
                return help.say(words, self._tools.command)
            if readable(verb).removeprefix("#").isdigit():
                return self._call(ask, lambda call: view.command(call, ask, ask.text))
            handler = COMMANDS.get(verb)
            if handler is None:
                raise _unknown_command(verb)
            return self._call(ask, lambda call: handler(call, ask, words))

        # A number that is wrong is quickly typed again; a text is not.
        typed = ask.text if len(ask.text.split()) > 2 else None
        outcome = self._guarded(work, verb, typed)
        return Answer(outcome.message) if isinstance(outcome, _Mishap) else outcome

    def press(self, ask: Press) -> Outcome:
        """A button."""
        handler = BUTTONS.get(ask.action_id)
        if handler is None:
            return Done()
        outcome = self._guarded(
            lambda: self._call(ask, lambda call: handler(call, ask)), f"button {ask.action_id}", None
        )
        return Answer(outcome.message) if isinstance(outcome, _Mishap) else outcome

    def submission(self, ask: Submission) -> Outcome:
        """A form sent off. What goes wrong is said in the form, and what was typed stays in it."""
        handler = FORMS.get(ask.callback_id)
        if handler is None:
            return Done()
        try:
            outcome = self._guarded(
                lambda: self._call(ask, lambda call: handler(call, ask)), f"form {ask.callback_id}", None
            )
        except AlreadyDone:
            return Done()
        if not isinstance(outcome, _Mishap):
            return outcome
        fields = [block for block in ask.payload["view"]["blocks"] if block["type"] == "input"]
        if fields:
            return FormErrors({fields[0]["block_id"]: outcome.sentence})
        return UpdateForm(forms.gone(outcome.sentence))

    def event(self, workspace_id: str, event: Mapping[str, Any]) -> None:
        """Something that happened in the workspace."""

    def _call(self, ask: Ask, handler: Callable[[Call], Outcome]) -> Outcome:
        now = self._clock()
        with self._tools.store.read() as connection:
            access = self._tools.identity.access(connection, ask.person, now)
            return handler(Call(self._tools, access, now, connection))

    def _guarded(self, work: Callable[[], Outcome], what: str, typed: str | None) -> Outcome | _Mishap:
        command = self._tools.command
        try:
            return work()
        except Refusal as refusal:
            form = refusal.form if isinstance(refusal, BadWords) else None
            return _Mishap(
                answers.refused(refusal.sentence, form=form, typed=typed, command=command), refusal.sentence
            )
        except DatabaseAway as error:
            log.warning("the database is away", what=what, error=str(error.__cause__ or error))
            message = answers.database_away(typed, command)
        except Contended:
            message = answers.contended(typed, command)
        except Exception:
            error_id = secrets.token_hex(4)
            log.exception("unexpected error", error_id=error_id, what=what)
            message = answers.broken(error_id, typed, command)
        return _Mishap(message, message["text"])


def _unknown_command(verb: str) -> BadWords:
    meant = closest(verb, COMMANDS)
    hint = f"Did you mean “{meant}”?" if meant else "There are " + ", ".join(TOPICS) + "."
    return BadWords(f"There is no command “{shortened(readable(verb))}”. {hint}", "help")
