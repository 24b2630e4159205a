"""Where every request is received: who asks is found out, the right handler is called, mistakes become answers.

Nothing that a person can cause leaves here as an exception, and nothing that nobody expected leaves without an
entry in the log whose id the person is given.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from bot.handlers import help, home, ownership, talk
from bot.handlers.call import AlreadyDone, Call, Tools
from bot.handlers.place import CardOnItsWay
from bot.handlers.verb import EventHandler, Registry, Verb
from bot.incidents.errors import BadWords, Refusal
from bot.incidents.markup import readable, storable
from bot.incidents.words import first_word, shortened
from bot.messages import answers, forms
from bot.messages import home as home_messages
from bot.messages.blocks import Message
from bot.metrics import Metrics
from bot.slack.outcomes import Answer, Done, DrawHome, FormErrors, NotNow, OpenForm, Outcome, UpdateForm, Whisper
from bot.slack.requests import Ask, Command, Event, Press, Shortcut, Submission, Suggestion
from storage.errors import Contended, DatabaseAway
from storage.queries.access import Ahead

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Mishap:
    """Why a request was not carried out; each way of asking is told in its own way."""

    message: Message
    sentence: str
    field: str | None = None  # of a form, where one is at fault


class Desk:
    """Receives what the line brings. Fulfils `bot.slack.line.Desk`."""

    def __init__(self, tools: Tools, metrics: Metrics) -> None:
        self._tools = tools
        self._metrics = metrics
        self.registry = Registry.collect()

    def command(self, ask: Command) -> Outcome:
        """A slash command, or the same words said to the bot."""
        commands = self.registry.commands
        verb, words = first_word(ask.text)
        if verb not in commands and readable(verb).removeprefix("#").isdigit():
            verb, words = "view", ask.text

        def work() -> Outcome:
            storable(ask.text)
            if verb in ("", "help"):
                return help.answer(self.registry, words, self._tools.command)
            found = commands.get(verb)
            if found is None:
                raise help.unknown(self.registry, verb)
            return self._call(ask, lambda call: found.command(call, ask, words), _ahead(found, words))

        # A lone number that is wrong is quickly typed again; a text is not.
        rest = readable(words).split()
        typed = ask.text if rest and not (len(rest) == 1 and rest[0].removeprefix("#").isdigit()) else None
        known = verb if verb in commands or verb == "help" else "other"
        started = time.perf_counter()
        outcome, result = self._guarded(work, verb, typed)
        self._metrics.commands.labels(known, result).inc()
        self._metrics.command_seconds.labels(known).observe(time.perf_counter() - started)
        return Answer(outcome.message) if isinstance(outcome, _Mishap) else outcome

    def press(self, ask: Press) -> Outcome:
        """A button, or a choice in a menu."""
        handler = self.registry.buttons.get(ask.action_id)
        outcome = (
            self._unhandled("button", ask.action_id)
            if handler is None
            else self._counted("button", ask.action_id, lambda: self._call(ask, lambda call: handler(call, ask)))
        )
        if not isinstance(outcome, _Mishap):
            return outcome
        if ask.surface in ("modal", "home"):
            return OpenForm(forms.gone(outcome.sentence))
        return Answer(outcome.message)

    def submission(self, ask: Submission) -> Outcome:
        """A form sent off. What goes wrong is said in the form, and what was typed stays in it."""
        handler = self.registry.forms.get(ask.callback_id)
        outcome = (
            self._unhandled("form", ask.callback_id)
            if handler is None
            else self._counted("form", ask.callback_id, lambda: self._call(ask, lambda call: handler(call, ask)))
        )
        if not isinstance(outcome, _Mishap):
            return outcome
        fields = [block["block_id"] for block in ask.payload["view"]["blocks"] if block["type"] == "input"]
        if fields:
            at_fault = outcome.field if outcome.field is not None and outcome.field in fields else fields[0]
            return FormErrors({at_fault: outcome.sentence})
        return UpdateForm(forms.gone(outcome.sentence))

    def shortcut(self, ask: Shortcut) -> Outcome:
        """A shortcut. What goes wrong is said in a form: there may be no conversation to say it in."""
        handler = self.registry.shortcuts.get(ask.callback_id)
        outcome = (
            self._unhandled("shortcut", ask.callback_id)
            if handler is None
            else self._counted("shortcut", ask.callback_id, lambda: self._call(ask, lambda call: handler(call, ask)))
        )
        return OpenForm(forms.gone(outcome.sentence)) if isinstance(outcome, _Mishap) else outcome

    def suggest(self, ask: Suggestion) -> Sequence[Mapping[str, Any]]:
        """The options of a menu for what has been typed into it; none for who may see none."""
        lookup = self.registry.lookups.get(ask.action_id)
        if lookup is None:
            self._unhandled("menu", ask.action_id)
            return ()
        found: Sequence[Mapping[str, Any]] = ()

        def work() -> Outcome:
            nonlocal found
            found = self._call(ask, lambda call: lookup(call, ask))
            return Done()

        self._counted("menu", ask.action_id, work)
        return found

    def event(self, event: Event) -> Outcome:
        """Something that happened in the workspace."""
        if event.kind in ("app_mention", "message"):
            said = talk.command_in(event, self._tools.clients)
            if said:
                return self._said(said)
        if event.kind == "app_home_opened" and event.event.get("tab") == "home":
            return self._home(event)
        handler = self.registry.events.get(event.kind)
        return self._happened(event, handler) if handler else Done()

    def _happened(self, event: Event, handler: EventHandler) -> Outcome:
        """What nobody waits for an answer to: where it cannot be taken now, Slack is left to send it again."""
        try:
            return handler(self._tools, event, self._tools.store.clock.now())
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

    def _call(self, ask: Ask, handler: Callable[[Call], T], ahead: Ahead | None = None) -> T:
        now = self._tools.store.clock.now()
        with self._tools.store.reading() as reading:
            who = self._tools.identity.access(reading, ask.person, now, ahead)
            ownership.check(ask, who, now)
            once = ask.key if isinstance(ask, Command) and ask.said else None
            outcome = handler(Call(self._tools, who, now, reading, once, ahead))
        return ownership.mark(outcome, who.organization_id)

    def _unhandled(self, kind: str, name: str) -> _Mishap:
        """Something that the bot has drawn and no module handles: a defect, or it is of another version."""
        log.error("nothing handles what was drawn", kind=kind, id=shortened(name))
        self._metrics.interactions.labels(kind, "other", "unhandled").inc()
        sentence = (
            f"I do not know that {kind}, so nothing was done. Another version of me may have made it;"
            f" `{self._tools.command} help` shows what I can do."
        )
        return _Mishap(answers.refused(sentence, command=self._tools.command), sentence)

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
            verb = self.registry.commands.get(what)
            if form is None and verb is not None and isinstance(refusal, BadWords):
                form = verb.usage
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


def _ahead(verb: Verb, words: str) -> Ahead | None:
    try:
        return verb.ahead(words) if verb.ahead else None
    except BadWords:  # to be told once it is known that they may ask at all
        return None
