"""The router: it finds the caller of each request, calls the handler, and turns errors into answers.

No error of a person leaves the router as an exception. An unexpected error is logged with an id, which the
person gets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from bot import tracing
from bot.handlers import card_links, help, home, joining, message_commands, ownership, unknown, view
from bot.handlers.context import Context, Services
from bot.handlers.verb import EventHandler, PressHandler, Registry, Verb
from bot.incidents import cards
from bot.incidents.cards import CardNotPostedYet
from bot.incidents.errors import InvalidInput, NotFound, PartlyDone, Refusal, StatusChanged
from bot.incidents.markup import decode_slack_text, encode_entities, require_storable
from bot.incidents.words import shorten
from bot.messages import answers, forms, small_talk
from bot.messages import home as home_messages
from bot.messages.blocks import Message, text_message
from bot.metrics import Metrics
from bot.people.identity import NotMember, SlackAway
from bot.people.joining import AskedBefore, explain_not_member
from bot.request_ids import get_request_id
from bot.slack.requests import Command, Event, OptionsRequest, Person, Press, Request, Shortcut, Submission
from bot.slack.responses import (
    Answer,
    Done,
    Ephemeral,
    FormErrors,
    OpenForm,
    PublishHome,
    Response,
    RetryLater,
    UpdateForm,
    View,
)
from storage.errors import AlreadyHandled, Contended, DatabaseAway, NoAnswerInTime, OrganizationMoving
from storage.prefetch import Prefetch

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a request was not carried out. Each kind of request shows it in its own way."""

    message: Message
    sentence: str
    field: str | None = None  # the field at fault, in a form
    window: View | None = None  # where it has a button, too

    def render_window(self) -> View:
        """A window that says so, where there is no conversation to answer in."""
        return self.window or forms.render_error(self.sentence)


class Router:
    """Handles the requests of the listeners. Implements `bot.slack.listeners.RequestRouter`."""

    def __init__(self, services: Services, metrics: Metrics) -> None:
        self._services = services
        self._metrics = metrics
        self.registry = Registry.collect()

    def command(self, request: Command) -> Response:
        """A slash command, or the same words in a message to the bot."""
        commands = self.registry.commands
        verb, words = unknown.find_command(self.registry, request.text, self._services.command)

        def work() -> Response:
            require_storable(request.text)
            if verb in ("", "help"):
                return help.handle_help(self.registry, words, self._services.command)
            found = commands.get(verb)
            if found is None:
                reply = small_talk.find_reply(decode_slack_text(request.text))
                if reply:
                    return Answer(text_message(reply))
                raise unknown.explain(self.registry, request.text, self._services.command)
            return self._with_context(
                request, lambda context: _carry_out(found, context, request, words), _prefetch(found, words)
            )

        # The answer to a mistake repeats what was typed, unless it is only a number.
        rest = decode_slack_text(words).split()
        typed = request.text if rest and not (len(rest) == 1 and rest[0].removeprefix("#").isdigit()) else None
        known = verb if verb in commands or verb == "help" else "other"
        started = time.perf_counter()
        with tracing.span(f"command {known}") as span:
            response, result = self._guarded(work, verb, typed)
            _record_result(span, result)
        self._metrics.commands.labels(known, result).inc()
        self._metrics.command_seconds.labels(known).observe(time.perf_counter() - started)
        return Answer(response.message) if isinstance(response, _Failure) else response

    def press(self, request: Press) -> Response:
        """A button, or a choice in a menu."""
        handler = self.registry.buttons.get(request.action_id)
        response = (
            self._unhandled("button", request.action_id)
            if handler is None
            else self._counted(
                "button",
                request.action_id,
                lambda: self._carry_out_press(request, handler),
            )
        )
        if not isinstance(response, _Failure):
            return response
        if request.surface in ("modal", "home"):
            return OpenForm(response.render_window())
        return Answer(response.message)

    def _carry_out_press(self, request: Press, handler: PressHandler) -> Response:
        try:
            return self._with_context(request, lambda context: handler(context, request))
        except StatusChanged as changed:
            identifier, notice = changed.identifier, encode_entities(changed.sentence)
            return self._with_context(request, lambda context: view.show_present(context, request, identifier, notice))
        except (NotMember, AskedBefore):
            if request.action_id != joining.ASK:
                raise
            return joining.handle_ask(self._services, request)
        except NotFound as error:
            if request.surface != "message":
                raise
            raise cards.explain_not_found(
                self._services.store,
                request.person.workspace_id,
                request.channel_id or "",
                request.message_ts or "",
                error,
            ) from error

    def submission(self, request: Submission) -> Response:
        """A submitted form. An error is shown in the form, and what was typed stays in it."""
        handler = self.registry.forms.get(request.callback_id)
        response = (
            self._unhandled("form", request.callback_id)
            if handler is None
            else self._counted(
                "form",
                request.callback_id,
                lambda: self._with_context(request, lambda context: handler(context, request)),
            )
        )
        if isinstance(response, _Failure):
            return _place_errors(request, {response.field or "": response.sentence})
        return _place_errors(request, response.errors) if isinstance(response, FormErrors) else response

    def shortcut(self, request: Shortcut) -> Response:
        """A shortcut. An error is shown in a form, because there may be no conversation."""
        handler = self.registry.shortcuts.get(request.callback_id)
        response = (
            self._unhandled("shortcut", request.callback_id)
            if handler is None
            else self._counted(
                "shortcut",
                request.callback_id,
                lambda: self._with_context(request, lambda context: handler(context, request)),
            )
        )
        return OpenForm(response.render_window()) if isinstance(response, _Failure) else response

    def suggest(self, request: OptionsRequest) -> Sequence[Mapping[str, Any]]:
        """The options of a menu for what was typed into it; none after an error."""
        lookup = self.registry.lookups.get(request.action_id)
        if lookup is None:
            self._unhandled("menu", request.action_id)
            return ()
        found: Sequence[Mapping[str, Any]] = ()

        def work() -> Response:
            nonlocal found
            found = self._with_context(request, lambda context: lookup(context, request))
            return Done()

        self._counted("menu", request.action_id, work)
        return found

    def event(self, event: Event) -> Response:
        """An event of the workspace."""
        if event.kind in ("app_mention", "message"):
            command = message_commands.find_command(event, self._services.clients)
            if command:
                return self._handle_message_command(command)
        if event.kind == "app_home_opened" and event.event.get("tab") == "home":
            return self._handle_home_opened(event)
        handler = self.registry.events.get(event.kind)
        return self._handle_event(event, handler) if handler else Done()

    def _handle_event(self, event: Event, handler: EventHandler) -> Response:
        """Calls the handler of an event. Where it cannot be handled now, Slack sends it again."""
        try:
            with tracing.span(f"event {event.kind}"):
                return handler(self._services, event, self._services.store.clock.now())
        except (DatabaseAway, Contended, CardNotPostedYet) as error:
            log.warning("an event could not be handled; Slack will send it again", kind=event.kind, error=str(error))
            return RetryLater()
        except Exception:
            log.exception("unexpected error", request_id=get_request_id(), what=f"event {event.kind}")
            return Done()

    def _handle_message_command(self, request: Command) -> Response:
        response = self.command(request)
        message = response.message if isinstance(response, Answer) else None
        if message is None or request.channel_id is None:
            return Done()
        return Ephemeral(message, request.channel_id, request.person.user_id, request.thread_ts)

    def _handle_home_opened(self, event: Event) -> Response:
        person = event.person()
        if person is None:
            return Done()
        shown = str((event.event.get("view") or {}).get("private_metadata") or "")
        request = Request(person, None, None, None, None, event.event)
        response = self._counted(
            "event",
            event.kind,
            lambda: self._with_context(request, lambda context: home.handle_opened(context, person.user_id, shown)),
        )
        self._services.identity.note_home_opened(person)
        if isinstance(response, _Failure):
            return PublishHome(home_messages.render_closed_home(response.message), person.user_id)
        return response

    def render_home(self, person: Person) -> View:
        """Home as somebody sees it when they open it. Raises SlackAway, DatabaseAway, Contended."""
        request = Request(person, None, None, None, None, {})
        try:
            return self._with_context(request, lambda context: home.render(context.connection, context, ""))
        except SlackAway:
            raise
        except Refusal as refusal:
            return home_messages.render_closed_home(self._refuse(refusal, "home", None).message)

    def _with_context(self, request: Request, handler: Callable[[Context], T], prefetch: Prefetch | None = None) -> T:
        now = self._services.store.clock.now()
        with self._services.store.reading() as reading:
            try:
                who = self._services.identity.access(reading, request.person, now, prefetch)
            except NotMember as error:
                raise explain_not_member(reading.connection, request.person, error, now) from None
            ownership.check(request, who, now)
            once = request.key if isinstance(request, Command) and request.in_message else None
            response = handler(Context(self._services, who, now, reading, once, prefetch))
        return ownership.mark(response, who.organization_id)

    def _unhandled(self, kind: str, name: str) -> _Failure:
        """The answer for an id without a handler: a defect, or the button is of another version."""
        log.error("no handler for an id that the bot rendered", kind=kind, id=shorten(name))
        self._metrics.interactions.labels(kind, "other", "unhandled").inc()
        sentence = (
            f"I do not know this {kind}, so nothing was changed. It may be from another version of me."
            f" `{self._services.command} help` shows what I can do."
        )
        return _Failure(answers.render_refusal(sentence, command=self._services.command), sentence)

    def _counted(self, kind: str, name: str, work: Callable[[], Response]) -> Response | _Failure:
        with tracing.span(f"{kind} {name}") as span:
            response, result = self._guarded(work, f"{kind} {name}", None)
            _record_result(span, result)
        self._metrics.interactions.labels(kind, name, result).inc()
        return response

    def _guarded(self, work: Callable[[], Response], what: str, typed: str | None) -> tuple[Response | _Failure, str]:
        """Calls `work`. Returns its response or a failure, and the result as one word for the metrics."""
        command = self._services.command
        try:
            return work(), "ok"
        except AlreadyHandled:
            return Done(), "repeated"  # the first delivery was answered
        except Refusal as refusal:
            return self._refuse(refusal, what, typed), "refused"
        except PartlyDone as error:
            _, why = self._guarded(error.raise_error, what, None)  # is logged as in any other request
            log.warning("a change was made in part", what=what, why=why)
            error_id = f" Error ID: {get_request_id()}." if why == "error" else ""
            message, result = answers.render_refusal(f"{error.sentence}{error_id}", command=command), "partly_done"
        except NoAnswerInTime:
            log.warning("a statement took longer than its time-out", what=what)
            message, result = answers.render_no_answer_in_time(typed, command), "no_answer_in_time"
        except DatabaseAway as error:
            log.warning("the database is away", what=what, error=str(error.__cause__ or error))
            message, result = answers.render_database_away(typed, command), "database_away"
        except OrganizationMoving:
            message, result = answers.render_moving(typed, command), "moving"
        except Contended:
            message, result = answers.render_contended(typed, command), "contended"
        except Exception:
            error_id = get_request_id()
            log.exception("unexpected error", request_id=error_id, what=what)
            message, result = answers.render_unexpected_error(error_id, typed, command), "error"
        return _Failure(message, message["text"]), result

    def _refuse(self, refusal: Refusal, what: str, typed: str | None) -> _Failure:
        command = self._services.command
        if isinstance(refusal, NotMember | AskedBefore):
            message = joining.render_refusal(refusal, typed, command)
            return _Failure(message, refusal.sentence, window=forms.render_window(message, title="Tocsin"))
        if not isinstance(refusal, InvalidInput):
            message = answers.render_refusal(refusal.sentence, typed=typed, command=command)
            return _Failure(message, refusal.sentence)
        verb = self.registry.commands.get(what)
        right = unknown.correct_word(typed, refusal)
        form = right or refusal.form
        if form is None and verb is not None:
            form = verb.form or verb.usage
        message = answers.render_refusal(
            refusal.mistake if right else refusal.sentence,
            form=form,
            is_guess=right is not None or refusal.is_guess,
            typed=typed,
            command=command,
            offered=refusal.button if isinstance(refusal, unknown.UnknownCommand) else None,
        )
        return _Failure(message, refusal.sentence, refusal.field)


def _record_result(span: tracing.Span, result: str) -> None:
    span.set(result=result)
    if result in ("error", "database_away", "no_answer_in_time", "contended", "partly_done"):
        span.fail(result)


def _carry_out(verb: Verb, context: Context, request: Command, words: str) -> Response:
    return verb.command(context, request, card_links.replace_link(context, words) if verb.takes_number else words)


def _prefetch(verb: Verb, words: str) -> Prefetch | None:
    try:
        return verb.prefetch(words) if verb.prefetch else None
    except InvalidInput:  # the handler raises it again, after the caller is known
        return None


def _place_errors(request: Submission, errors: Mapping[str, str]) -> Response:
    """The form with each error below its field; below the first field if the form does not have it."""
    fields = [block["block_id"] for block in request.payload["view"]["blocks"] if block["type"] == "input"]
    if not fields:
        return UpdateForm(forms.render_error(" ".join(errors.values())))
    return FormErrors({field if field in fields else fields[0]: sentence for field, sentence in errors.items()})
