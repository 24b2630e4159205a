"""Socket Mode: Slack sends its requests over a web socket that the bot opens."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import structlog
from pydantic_core import to_json
from slack_bolt import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot import tracing
from bot.metrics import SlackCallMetrics
from bot.saturation import PoolUse
from bot.slack.acknowledgement import payload_of
from bot.slack.backoff import reason_of
from bot.slack.clients import web_client
from bot.slack.connections import Connections, Message, NotConnectedError, WebSocket
from bot.slack.deadline import DeadlineWatch, Pending
from bot.slack.entry import Entry
from bot.slack.events import PendingEvents, TooManyEvents, is_event
from bot.slack.listeners import Headers, trace_request
from bot.slack.thread_pool import ThreadPool

log = structlog.get_logger(__name__)

CONCURRENCY = 10  # requests at once
# Slack documents no limit. A larger answer is sent to the response URL instead.
LARGEST_ACKNOWLEDGEMENT_BYTES = 60_000


class SocketListener:
    """Handles the envelopes of the web socket and acknowledges each exactly once."""

    def __init__(
        self,
        listeners: Entry,
        *,
        app_token: str,
        api_url: str,
        deadline_s: float,
        metrics: SlackCallMetrics | None = None,
        sockets: int = 1,
    ) -> None:
        """`sockets` is how many connections are kept open."""
        self._listeners = listeners
        self._watch = DeadlineWatch(deadline_s)
        self._events: PendingEvents[BoltResponse] = PendingEvents()
        self._workers = ThreadPool(CONCURRENCY, "slack-socket-worker")
        self.connections = Connections(web_client(api_url, metrics=metrics), app_token, self._on_message, sockets)

    def start(self) -> None:
        """Starts to open the connection, and from then on keeps one open."""
        self.connections.start()

    @property
    def problem(self) -> str | None:
        """Why requests cannot arrive now; None while they can."""
        if self.connections.open:
            return None
        problem = self.connections.problem
        return f"not connected: {reason_of(problem)}" if problem else "not connected"

    def measure_use(self) -> PoolUse:
        """How many of the workers are busy, and how many requests wait for one."""
        return self._workers.measure_use()

    def close(self, seconds: float) -> None:
        """Waits up to `seconds` for pending requests to be answered, then closes the connections."""
        if not self._workers.close(seconds):
            log.warning("requests were not answered: they take too long")
        self.connections.close()

    def _on_message(self, socket: WebSocket, message: Message) -> None:
        request = SocketModeRequest.from_dict(dict(message))
        if request is not None and is_event(request.payload):
            self._on_event(socket, request)
        elif request is not None:
            self._on_request(socket, request)

    def _on_request(self, socket: WebSocket, request: SocketModeRequest) -> None:
        def late(pending: Pending) -> None:
            self._acknowledge(socket, request, self._listeners.too_late(request.payload, begun=pending.begun))

        # The deadline starts here and not with a worker: all workers may be busy.
        pending = self._watch.start(late)
        try:
            self._workers.submit(self._answer, socket, request, pending)
        except RuntimeError:
            pending.claim()
            log.info("a request arrived while the bot stops; Slack will send it to another replica", type=request.type)

    def _on_event(self, socket: WebSocket, request: SocketModeRequest) -> None:
        """Has a worker handle an event, and acknowledges it when the result is known, else Slack sends it again."""
        received_ns = time.time_ns()
        try:
            outcome = self._events.join(
                request.payload, lambda: self._workers.submit(self._dispatch_event, request, received_ns)
            )
        except (TooManyEvents, RuntimeError):
            log.info("an event was not accepted; Slack will send it again")
            return
        pending = self._watch.start(lambda _: self._report_late(request, outcome))
        outcome.add_done_callback(lambda _: self._settle_event(socket, request, outcome, pending))

    def _report_late(self, request: SocketModeRequest, outcome: Future[BoltResponse]) -> None:
        self._listeners.too_late(request.payload, begun=outcome.running())

    def _settle_event(
        self, socket: WebSocket, request: SocketModeRequest, outcome: Future[BoltResponse], pending: Pending
    ) -> None:
        pending.claim()
        if outcome.cancelled() or outcome.result().status >= 500:
            return
        try:
            self._acknowledge(socket, request, None)
        except NotConnectedError as error:
            log.warning("an answer was lost with its connection", type=request.type, error=str(error))

    def _dispatch_event(self, request: SocketModeRequest, received_ns: int) -> BoltResponse:
        with trace_request(request.payload, received_ns):
            return self._dispatch(request)

    def _dispatch(self, request: SocketModeRequest) -> BoltResponse:
        """The response of the bot. With a status of 500 or more, the request is not acknowledged."""
        try:
            return self._listeners.dispatch(request.payload, _retry_headers(request))
        except Exception:
            log.exception("a request could not be answered", type=request.type)
            return BoltResponse(status=500)

    def _answer(self, socket: WebSocket, request: SocketModeRequest, pending: Pending) -> None:
        if not pending.begin():
            return
        with trace_request(request.payload, pending.received_ns):
            self._answer_begun(socket, request, pending)

    def _answer_begun(self, socket: WebSocket, request: SocketModeRequest, pending: Pending) -> None:
        try:
            response = self._dispatch(request)
            payload = payload_of(response)
            if pending.claim():
                if response.status < 500:
                    with tracing.span("acknowledge"):
                        self._acknowledge(socket, request, payload)
            elif payload and payload.get("text"):
                self._listeners.answer_late(request.payload, payload)
        except NotConnectedError as error:
            log.warning("an answer was lost with its connection", type=request.type, error=str(error))
        except Exception:
            log.exception("an answer could not be sent", type=request.type)

    def _acknowledge(self, socket: WebSocket, request: SocketModeRequest, payload: Mapping[str, Any] | None) -> None:
        text = _encoded({"envelope_id": request.envelope_id, **({"payload": payload} if payload else {})})
        if payload and request.type == "slash_commands" and len(text) > LARGEST_ACKNOWLEDGEMENT_BYTES:
            self._listeners.answer_late(request.payload, payload)
            text = _encoded({"envelope_id": request.envelope_id})
        self.connections.send(text, by=socket)


def _encoded(answer: Mapping[str, Any]) -> bytes:
    try:
        return to_json(answer)
    except ValueError:  # a lone surrogate, from the payload, cannot be encoded
        return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")


def _retry_headers(request: SocketModeRequest) -> Headers | None:
    if request.retry_attempt is None:
        return None
    return {
        "x-slack-retry-num": str(request.retry_attempt),
        "x-slack-retry-reason": str(request.retry_reason or ""),
    }
