"""Where every request is received: who asks is found out, the right handler is called, mistakes become answers.

Nothing that a person can cause leaves here as an exception, and nothing that nobody expected leaves without an
entry in the log whose id the person is given.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from bot.handlers import (
    acknowledge,
    activity,
    add_to_incident,
    channel,
    comment,
    declare,
    digest,
    help,
    home,
    list,
    notify,
    pick,
    reaction,
    resolve,
    subscribe,
    talk,
    thread,
    view,
)
from bot.handlers.call import AlreadyDone, Call, Tools
from bot.handlers.place import CardOnItsWay
from bot.incidents.errors import BadWords, Refusal
from bot.incidents.markup import readable, storable
from bot.incidents.words import first_word, shortened
from bot.messages import answers, forms
from bot.messages import home as home_messages
from bot.messages.blocks import Message
from bot.messages.help import TOPICS
from bot.messages.home import SEVERITIES, Tab
from bot.messages.picks import PICK
from bot.metrics import Metrics
from bot.slack.outcomes import Answer, Done, DrawHome, FormErrors, NotNow, OpenForm, Outcome, UpdateForm, Whisper
from bot.slack.requests import Ask, Command, Event, Press, Shortcut, Submission, Suggestion
from storage.errors import Contended, DatabaseAway
from storage.queries import access
from storage.queries.access import Ahead

log = structlog.get_logger(__name__)

T = TypeVar("T")

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
    "notify": notify.command,
    "declare": declare.command,
    "digest": digest.command,
    "whoami": help.whoami,
}

# What reads one thing looks it up together with who asks: None where that cannot be. Raises BadWords.
AHEAD: Mapping[str, Callable[[str], Ahead | None]] = {"list": list.ahead, "view": view.ahead}

# By action_id; the label of the button stands behind it. Home's tabs and menus are matched by how they begin.
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
    "digest_preview": digest.press_preview,  # Preview
    "digest_form_preview": digest.form_preview,  # Preview, in the form
    "digest_pause": digest.press_pause,  # Pause
    "digest_resume": digest.press_resume,  # Resume
    "digest_edit": digest.press_edit,  # Edit
    "digest_remove": digest.press_remove,  # Remove
    "digest_previous": digest.turn,  # Previous
    "digest_next": digest.turn,  # Next
    "list_share": list.share,  # Share
    "list_filter": list.filter_press,  # Filter
    "declare": declare.press,  # Declare, in Home
    "home_previous": home.turn,  # Previous
    "home_next": home.turn,  # Next
    **{f"home_tab_{tab}": home.turn for tab in Tab},  # My teams, Following, Not acknowledged, All open
    **{f"home_severity_{shown}": home.turn for shown in SEVERITIES},  # Any severity, Warning, Critical
    # The menus of incidents, where a number was left out: choosing there is pressing the verb's button.
    PICK + "view": view.press,
    PICK + "acknowledge": acknowledge.press,
    PICK + "resolve": resolve.press,
    PICK + "comment": comment.press,
}

# By callback_id.
FORMS: Mapping[str, Callable[[Call, Submission], Outcome]] = {
    "resolve": resolve.submission,
    "comment": comment.submission,
    "comment_edit": comment.edit_submission,
    "declare": declare.submission,
    "add_to_incident": add_to_incident.submission,
    "list_filter": list.filter_submission,
    "digest": digest.submission,
}

# By callback_id, as the app manifest has them.
SHORTCUTS: Mapping[str, Callable[[Call, Shortcut], Outcome]] = {
    "declare_incident": declare.shortcut,  # Declare an incident
    "add_to_incident": add_to_incident.shortcut,  # Add to incident
}


# By action_id: the menus whose options are looked up while somebody types.
_MENUS = frozenset({"project", "team", "incident", *(name for name in BUTTONS if name.startswith(PICK))})

# What happens in the workspace, by the type of its event.
EVENTS: Mapping[str, Callable[[Tools, Event, datetime], Outcome]] = {
    "message": thread.message,
    "reaction_added": reaction.added,
    "channel_left": channel.left,
    "group_left": channel.left,
    "channel_unarchive": channel.opened,
    "group_unarchive": channel.opened,
    "member_joined_channel": channel.joined,
}


@dataclass(frozen=True, slots=True)
class _Mishap:
    """Why a request was not carried out; each way of asking is told in its own way."""

    message: Message
    sentence: str
    field: str | None = None  # of a form, where one is at fault


class Desk:
    """Receives what the line brings. Fulfils `bot.slack.line.Desk`."""

    def __init__(
        self, tools: Tools, metrics: Metrics, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._tools = tools
        self._metrics = metrics
        self._clock = clock

    def command(self, ask: Command) -> Outcome:
        """A slash command, or the same words said to the bot."""
        verb, words = first_word(ask.text)

        def work() -> Outcome:
            storable(ask.text)
            if verb in ("", "help"):
                return help.say(words, self._tools.command)
            if readable(verb).removeprefix("#").isdigit():
                return self._call(ask, lambda call: view.command(call, ask, ask.text), _ahead("view", ask.text))
            handler = COMMANDS.get(verb)
            if handler is None:
                raise _unknown_command(verb)
            return self._call(ask, lambda call: handler(call, ask, words), _ahead(verb, words))

        # A lone number that is wrong is quickly typed again; a text is not.
        rest = readable(words).split()
        typed = ask.text if rest and not (len(rest) == 1 and rest[0].removeprefix("#").isdigit()) else None
        known = verb if verb in COMMANDS or verb == "help" else "view" if verb.removeprefix("#").isdigit() else "other"
        started = time.perf_counter()
        outcome, result = self._guarded(work, verb, typed)
        self._metrics.commands.labels(known, result).inc()
        self._metrics.command_seconds.labels(known).observe(time.perf_counter() - started)
        return Answer(outcome.message) if isinstance(outcome, _Mishap) else outcome

    def press(self, ask: Press) -> Outcome:
        """A button, or a choice in a menu."""
        handler = BUTTONS.get(ask.action_id)
        if handler is None:
            return Done()
        outcome = self._counted("button", ask.action_id, lambda: self._call(ask, lambda call: handler(call, ask)))
        if not isinstance(outcome, _Mishap):
            return outcome
        if ask.surface in ("modal", "home"):
            return OpenForm(forms.gone(outcome.sentence))
        return Answer(outcome.message)

    def submission(self, ask: Submission) -> Outcome:
        """A form sent off. What goes wrong is said in the form, and what was typed stays in it."""
        handler = FORMS.get(ask.callback_id)
        if handler is None:
            return Done()
        outcome = self._counted("form", ask.callback_id, lambda: self._call(ask, lambda call: handler(call, ask)))
        if not isinstance(outcome, _Mishap):
            return outcome
        fields = [block["block_id"] for block in ask.payload["view"]["blocks"] if block["type"] == "input"]
        if fields:
            at_fault = outcome.field if outcome.field is not None and outcome.field in fields else fields[0]
            return FormErrors({at_fault: outcome.sentence})
        return UpdateForm(forms.gone(outcome.sentence))

    def shortcut(self, ask: Shortcut) -> Outcome:
        """A shortcut. What goes wrong is said in a form: there may be no conversation to say it in."""
        handler = SHORTCUTS.get(ask.callback_id)
        if handler is None:
            return Done()
        outcome = self._counted("shortcut", ask.callback_id, lambda: self._call(ask, lambda call: handler(call, ask)))
        return OpenForm(forms.gone(outcome.sentence)) if isinstance(outcome, _Mishap) else outcome

    def suggest(self, ask: Suggestion) -> Sequence[Mapping[str, Any]]:
        """The options of a menu for what has been typed into it; none for who may see none."""
        found: Sequence[Mapping[str, Any]] = ()

        def work() -> Outcome:
            nonlocal found
            found = self._call(ask, lambda call: _options(call, ask))
            return Done()

        self._counted("menu", ask.action_id if ask.action_id in _MENUS else "other", work)
        return found

    def event(self, event: Event) -> Outcome:
        """Something that happened in the workspace."""
        if event.kind in ("app_mention", "message"):
            said = talk.command_in(event, self._tools.clients)
            if said:
                return self._said(said)
        if event.kind == "app_home_opened" and event.event.get("tab") == "home":
            return self._home(event)
        if event.kind == "user_change":
            self._counted("event", event.kind, lambda: self._changed_person(event))
        handler = EVENTS.get(event.kind)
        return self._happened(event, handler) if handler else Done()

    def _happened(self, event: Event, handler: Callable[[Tools, Event, datetime], Outcome]) -> Outcome:
        """What nobody waits for an answer to: where it cannot be taken now, Slack is left to send it again."""
        try:
            return handler(self._tools, event, self._clock())
        except (DatabaseAway, Contended, CardOnItsWay) as error:
            log.warning("an event has to come again", kind=event.kind, error=str(error))
            return NotNow()
        except Exception:
            log.exception("unexpected error", error_id=secrets.token_hex(4), what=f"event {event.kind}")
            return Done()

    def _said(self, ask: Command) -> Outcome:
        outcome = self.command(ask)
        message = outcome.message if isinstance(outcome, Answer) else None
        if message is None or ask.channel_id is None:
            return Done()
        return Whisper(message, ask.channel_id, ask.person.user_id, ask.thread_ts)

    def _home(self, event: Event) -> Outcome:
        person = event.person()
        if person is None:
            return Done()
        shown = str((event.event.get("view") or {}).get("private_metadata") or "")
        ask = Ask(person, None, None, None, None, event.event)
        outcome = self._counted(
            "event", event.kind, lambda: self._call(ask, lambda call: home.opened(call, person.user_id, shown))
        )
        if isinstance(outcome, _Mishap):
            return DrawHome(home_messages.closed(outcome.message), person.user_id)
        return outcome

    def _changed_person(self, event: Event) -> Outcome:
        person = event.person()
        if person is not None:
            with self._tools.store.write() as tx:
                access.people_to_ask_again(tx, person.workspace_id, person.user_id)
        return Done()

    def _call(self, ask: Ask, handler: Callable[[Call], T], ahead: Ahead | None = None) -> T:
        now = self._clock()
        with self._tools.store.reading() as reading:
            who = self._tools.identity.access(reading, ask.person, now, ahead)
            once = ask.key if isinstance(ask, Command) and ask.said else None
            return handler(Call(self._tools, who, now, reading, once, ahead))

    def _counted(self, kind: str, name: str, work: Callable[[], Outcome]) -> Outcome | _Mishap:
        outcome, result = self._guarded(work, f"{kind} {name}", None)
        self._metrics.interactions.labels(kind, name, result).inc()
        return outcome

    def _guarded(self, work: Callable[[], Outcome], what: str, typed: str | None) -> tuple[Outcome | _Mishap, str]:
        """Does the work, or says why not; and in a word, for the metrics, how it ended."""
        command = self._tools.command
        try:
            return work(), "ok"
        except AlreadyDone:
            return Done(), "repeated"  # whoever asked has been answered then
        except Refusal as refusal:
            form, field = (refusal.form, refusal.field) if isinstance(refusal, BadWords) else (None, None)
            topic = TOPICS.get(help.ALIASES.get(what, what))  # of a command
            if form is None and topic is not None and isinstance(refusal, BadWords):
                form = topic.form
            message = answers.refused(refusal.sentence, form=form, typed=typed, command=command)
            return _Mishap(message, refusal.sentence, field), "refused"
        except DatabaseAway as error:
            log.warning("the database is away", what=what, error=str(error.__cause__ or error))
            message, result = answers.database_away(typed, command), "database_away"
        except Contended:
            message, result = answers.contended(typed, command), "contended"
        except Exception:
            error_id = secrets.token_hex(4)
            log.exception("unexpected error", error_id=error_id, what=what)
            message, result = answers.broken(error_id, typed, command), "error"
        return _Mishap(message, message["text"]), result


def _ahead(verb: str, words: str) -> Ahead | None:
    try:
        return AHEAD[verb](words) if verb in AHEAD else None
    except BadWords:  # to be told once it is known that they may ask at all
        return None


def _options(call: Call, ask: Suggestion) -> Sequence[Mapping[str, Any]]:
    typed = storable(ask.typed)
    if ask.action_id in ("project", "team"):
        return declare.suggest(call, ask.action_id, typed)
    return pick.suggest(call, typed)


def _unknown_command(verb: str) -> BadWords:
    meant = help.meant(verb, COMMANDS)
    hint = f"Did you mean “{meant}”?" if meant else "There are " + ", ".join(TOPICS) + "."
    form = TOPICS[help.ALIASES.get(meant, meant)].form if meant else "help"
    return BadWords(f"There is no command “{shortened(readable(verb))}”. {hint}", form)
