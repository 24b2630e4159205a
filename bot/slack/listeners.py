"""The Bolt app: it turns each request of Slack into a value, calls the router, and sends the response.

Bolt runs with `process_before_response`, so the answer is part of the acknowledgement. This module makes sure that
every request is acknowledged: an uncaught error is answered with its id in the log, an unknown payload is acknowledged
empty, and a late request is answered that it is late.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import structlog
from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.authorize import Authorize
from slack_sdk.errors import SlackApiError

from bot import tracing
from bot.messages import answers
from bot.metrics import Metrics
from bot.request_ids import get_request_id, new_request_id
from bot.slack.acknowledgement import Acknowledgement
from bot.slack.background import Background
from bot.slack.bolt_environment import without_variables
from bot.slack.clients import Clients, web_client
from bot.slack.events import is_event
from bot.slack.manifest import INSTALLATION_EVENTS
from bot.slack.requests import (
    Command,
    Event,
    OptionsRequest,
    Payload,
    Press,
    Request,
    Shortcut,
    Submission,
    command_from,
    event_from,
    find_workspace,
    options_request_from,
    press_from,
    shortcut_from,
    submission_from,
)
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
)

log = structlog.get_logger(__name__)

Headers = dict[str, str | Sequence[str]]

_ANY = re.compile(".*")
# The kinds of requests that are counted by name; a client can make up others.
_KINDS = frozenset(
    {
        "command",
        "block_actions",
        "view_submission",
        "block_suggestion",
        "shortcut",
        "message_action",
        "event_callback",
    }
)
# Requests of features that this app does not have: buttons of old attachments, dialogs, workflow steps.
# Bolt would take them for actions and options.
_UNUSED = frozenset(
    {
        "interactive_message",
        "dialog_submission",
        "dialog_cancellation",
        "dialog_suggestion",
        "workflow_step_edit",
    }
)
# Slack's errors for a trigger that has expired or was used before.
_TRIGGER_ERRORS = frozenset({"expired_trigger_id", "exchanged_trigger_id", "trigger_expired", "invalid_trigger_id"})
# Slack's words for a conversation in which the bot cannot post ephemeral messages.
_NO_EPHEMERAL = frozenset({"channel_not_found", "not_in_channel", "user_not_in_channel", "is_archived"})


class RequestRouter(Protocol):
    """Handles the requests; `bot.handlers.router.Router` is one. It raises nothing that a person can cause."""

    def command(self, request: Command) -> Response: ...

    def press(self, request: Press) -> Response: ...

    def submission(self, request: Submission) -> Response: ...

    def shortcut(self, request: Shortcut) -> Response: ...

    def suggest(self, request: OptionsRequest) -> Sequence[Mapping[str, Any]]: ...

    def event(self, event: Event) -> Response: ...


def get_kind(body: Payload) -> str:
    """What kind of request this is, in Slack's words."""
    return "command" if "command" in body else str(body.get("type") or "other")


def trace_request(body: Payload, received_ns: int) -> AbstractContextManager[tracing.Span]:
    """The span of a request, from its arrival to its answer."""
    kind = get_kind(body)
    return tracing.span(f"slack {kind if kind in _KINDS else 'other'}", tracing.SERVER, began_ns=received_ns)


class _Authorization(Authorize):
    """The authorization of a workspace for Bolt. A function would do, but Bolt collects its arguments each time.

    It never fails: the router answers requests from workspaces without the bot. Bolt would answer that the app has to
    be installed again.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def __call__(self, *, team_id: str | None, **_other: Any) -> AuthorizeResult:
        installation = self._clients.find(team_id or "")
        return installation.authorization if installation else AuthorizeResult(enterprise_id=None, team_id=team_id)


class Listeners:
    """The Bolt app and what it needs to send responses."""

    def __init__(
        self,
        clients: Clients,
        router: RequestRouter,
        background: Background,
        *,
        api_url: str,
        command: str,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._clients = clients
        self._router = router
        self._background = background
        self._unused: set[str] = set()  # kinds of requests that the log has named
        with without_variables():
            self.app = App(
                name="tocsin",  # without a name, Bolt reads the source of every frame of the stack to find one
                client=web_client(api_url),
                authorize=_Authorization(clients),
                # Socket Mode and HTTP mode have verified where a request comes from.
                signing_secret="",
                request_verification_enabled=False,
                process_before_response=True,
                attaching_function_token_enabled=False,
                attaching_conversation_kwargs_enabled=False,
                logger=logging.getLogger("slack_bolt"),
            )
        self.app.error(self._on_bolt_error)
        # The most frequent kinds first: Bolt tries the listeners in this order.
        self.app.command(command)(self._on_command)
        self.app.action(_ANY)(self._on_press)
        self.app.event(_ANY)(self._on_event)
        self.app.view(_ANY)(self._on_submission)
        self.app.options(_ANY)(self._on_suggestion)
        self.app.shortcut(_ANY)(self._on_shortcut)

    def dispatch(self, body: Payload, headers: Headers | None = None) -> BoltResponse:
        """Handles a request. `headers` are those of HTTP. Returns an Acknowledgement, or a response of Bolt itself."""
        kind = get_kind(body)
        if kind in _UNUSED:
            if kind not in self._unused:
                self._unused.add(kind)
                log.info("requests of a kind that the bot does not offer are acknowledged and left", kind=kind)
            return Acknowledgement()
        workspace_id = find_workspace(body)
        self._clients.ensure(workspace_id)
        installation = self._clients.find(workspace_id)
        if installation is not None and (claim := installation.find_false_claim(body)):
            log.warning("a request names what is not of its workspace", workspace=workspace_id, kind=kind, what=claim)
            sentence = "This request names a workspace that it does not come from, so nothing was done."
            return Acknowledgement(_plain(sentence) if kind == "command" else None)
        counted = kind if kind in _KINDS else "other"
        with new_request_id() as request_id, self._metrics.time_acknowledgement(counted):
            tracing.annotate(request_id=request_id)
            response = self.app.dispatch(BoltRequest(mode="socket_mode", body=dict(body), headers=headers))
        if response.status == 404:
            return Acknowledgement()  # no listener: another slash command, an event without a subscription
        return response

    def too_late(self, body: Payload, *, begun: bool) -> Mapping[str, Any] | None:
        """The payload that acknowledges a late request. If the handler has started (`begun`), the answer may follow.

        An event is not acknowledged at all: see `bot.slack.events`.
        """
        self._metrics.late.inc()
        if is_event(body):
            kind = (body.get("event") or {}).get("type")
            log.warning("an event is late; Slack will send it again", kind=kind, begun=begun)
            return None
        log.error("a request was not answered in time", type=body.get("type") or body.get("command"), begun=begun)
        typed = str(body.get("text") or "")
        message = answers.render_late(
            begun=begun, typed=typed if len(typed.split()) > 2 else None, command=str(body.get("command") or "")
        )
        if "command" in body:
            return {"response_type": "ephemeral", **message}
        if body.get("type") == "view_submission":
            # An empty acknowledgement would close the form, and with it what was typed.
            inputs = [block for block in body["view"]["blocks"] if block["type"] == "input"]
            return {"response_action": "errors", "errors": {inputs[0]["block_id"]: message["text"]}} if inputs else None
        if body.get("type") == "block_actions":
            self.answer_late(body, {"response_type": "ephemeral", **message})
        return None

    def answer_late(self, body: Payload, message: Mapping[str, Any]) -> None:
        """Sends the answer to a request that has been acknowledged, over its response URL."""
        url = body.get("response_url")
        if url:
            self._background.respond(str(url), {"replace_original": False, **message})

    def _on_bolt_error(self, error: Exception, body: Payload) -> BoltResponse:
        # Bolt copies status and body of this response, so it has to be a BoltResponse.
        payload = _unexpected(error, str(body.get("command") or body.get("type")))
        return BoltResponse(status=200, body=payload if "command" in body else "")

    # --- one method for each kind of request ---------------------------------------------------------------

    def _on_command(self, body: Payload) -> BoltResponse:
        request = command_from(body)
        response = self._router.command(request)
        match response:
            case Answer(message=message, in_channel=in_channel):
                kind = "in_channel" if in_channel else "ephemeral"
                return Acknowledgement({"response_type": kind, **message})
            case OpenForm(view=view):
                return Acknowledgement(self._open(request, "views_open", view))
        return Acknowledgement()

    def _on_press(self, body: Payload) -> BoltResponse:
        request = press_from(body)
        response = self._router.press(request)
        match response:
            case Answer():
                self._send(request, response)
            case OpenForm(view=view):
                problem = self._open(request, "views_push" if request.surface == "modal" else "views_open", view)
                if problem:
                    self._send(request, Answer(problem))
            case UpdateForm(view=view, view_id=None) if request.view is not None:
                self._follow_up(request, UpdateForm(view, str(request.view["id"]), response.home))
            case _:
                self._follow_up(request, response)
        return Acknowledgement()

    def _on_submission(self, body: Payload) -> BoltResponse:
        request = submission_from(body)
        response = self._router.submission(request)
        match response:
            case FormErrors(errors=errors):
                return Acknowledgement({"response_action": "errors", "errors": dict(errors)})
            case UpdateForm(view=view):
                return Acknowledgement({"response_action": "update", "view": view})
            case Done(follow_up=follow_up) if follow_up is not None:
                self._follow_up(request, follow_up)
        return Acknowledgement()

    def _on_shortcut(self, body: Payload) -> BoltResponse:
        request = shortcut_from(body)
        response = self._router.shortcut(request)
        match response:
            case OpenForm(view=view):
                problem = self._open(request, "views_open", view)
                if problem:
                    self._send(request, Answer(problem))
            case Answer():
                self._send(request, response)
        return Acknowledgement()

    def _on_suggestion(self, body: Payload) -> BoltResponse:
        return Acknowledgement({"options": list(self._router.suggest(options_request_from(body)))})

    def _on_event(self, body: Payload) -> BoltResponse:
        event = event_from(body)
        if event.kind not in INSTALLATION_EVENTS and self._clients.find(event.workspace_id) is None:
            log.info("an event of a workspace without the bot was left", workspace=event.workspace_id, kind=event.kind)
            return Acknowledgement()
        response = self._router.event(event)
        if isinstance(response, Ephemeral | PublishHome):
            self._submit(event.workspace_id, response)
        return BoltResponse(status=503) if isinstance(response, RetryLater) else Acknowledgement()

    # --- sending responses ---------------------------------------------------------------------------------

    def _follow_up(self, request: Request, response: Response) -> None:
        match response:
            case Answer():
                self._send(request, response)
            case Ephemeral() | PublishHome() | UpdateForm():
                self._submit(request.person.workspace_id, response)

    def _send(self, request: Request, answer: Answer) -> None:
        url = answer.to or request.response_url
        if url:
            thread_ts = answer.thread_ts or (request.thread_ts if isinstance(request, Press) else None)
            self._background.respond(url, _body(answer, thread_ts))
        else:  # a button in Home or in a form: there is no message to answer
            user_id = request.person.user_id
            self._submit(request.person.workspace_id, Ephemeral(answer.message, user_id, user_id))

    def _submit(self, workspace_id: str, response: Ephemeral | PublishHome | UpdateForm) -> None:
        installation = self._clients.find(workspace_id)
        if installation is None:
            return
        client = installation.client
        match response:
            case Ephemeral():
                self._background.submit(lambda: _post_ephemeral(client, response))
            case PublishHome(view=view, user_id=user_id):
                self._background.submit(lambda: client.views_publish(user_id=user_id, view=dict(view)))
            case UpdateForm(view=view, view_id=view_id):
                self._background.submit(lambda: _update(client, str(view_id), view))
                if response.home is not None:
                    self._submit(workspace_id, response.home)

    def _open(self, request: Request, method: str, view: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Opens a form. Returns the message for the person where Slack refuses, else None."""
        installation = self._clients.find(request.person.workspace_id)
        if installation is None:
            return None
        if not request.trigger_id:
            return _plain("A form cannot be opened from here. Type the command in Slack.")
        call: Callable[..., Any] = getattr(installation.client, method)
        try:
            call(trigger_id=request.trigger_id, view=view)
        except SlackApiError as error:
            if error.response.get("error") in _TRIGGER_ERRORS:
                return _plain("That took too long for Slack to open the form. Try again.")
            return _unexpected(error, method)
        except OSError as error:
            log.warning("Slack could not be reached to open a form", error=str(error))
            return _plain("Slack did not open the form. Try again in a moment.")
        return None


def _post_ephemeral(client: Any, ephemeral: Ephemeral) -> None:
    direct = ephemeral.channel_id.startswith(("D", "U", "W"))
    try:
        if direct:
            client.chat_postMessage(channel=ephemeral.channel_id, thread_ts=ephemeral.thread_ts, **ephemeral.message)
        else:
            client.chat_postEphemeral(
                channel=ephemeral.channel_id,
                user=ephemeral.user_id,
                thread_ts=ephemeral.thread_ts,
                **ephemeral.message,
            )
    except SlackApiError as error:
        if direct or error.response.get("error") not in _NO_EPHEMERAL:
            raise
        client.chat_postMessage(channel=ephemeral.user_id, **ephemeral.message)


def _update(client: Any, view_id: str, view: Mapping[str, Any]) -> None:
    try:
        client.views_update(view_id=view_id, view=dict(view))
    except SlackApiError as error:
        if error.response.get("error") != "not_found":  # the person has closed it
            raise


def _body(answer: Answer, thread_ts: str | None) -> dict[str, Any]:
    kind = "in_channel" if answer.in_channel else "ephemeral"
    thread = {"thread_ts": thread_ts} if thread_ts and not answer.replace else {}
    return {"response_type": kind, "replace_original": answer.replace, **thread, **answer.message}


def _plain(text: str) -> dict[str, Any]:
    return {"response_type": "ephemeral", "text": text}


def _unexpected(error: Exception, what: str) -> dict[str, Any]:
    error_id = get_request_id()
    log.error("unexpected error", request_id=error_id, what=what, exc_info=error)
    return _plain(
        f"Something went wrong on my side. Check whether it was done before you try again. Error ID: {error_id}."
    )
