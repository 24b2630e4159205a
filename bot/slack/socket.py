"""Socket Mode: the same requests as over HTTP, brought by a web socket that the bot opens."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, cast

import structlog
from pydantic_core import to_json
from slack_bolt import BoltRequest, BoltResponse
from slack_sdk.errors import SlackApiError, SlackClientNotConnectedError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.builtin.connection import Connection, ConnectionState
from slack_sdk.socket_mode.request import SocketModeRequest
from websockets.frames import Frame, Opcode

from bot.slack.clients import web_client
from bot.slack.deadline import Pending, Watch
from bot.slack.events import EventsUnderWay, TooManyEvents, is_event
from bot.slack.line import Line, payload_of

log = structlog.get_logger(__name__)

CONCURRENCY = 10  # requests at once
RECEIVE_BUFFER_BYTES = 64 * 1024
DRAIN_S = 6  # of the ten seconds that a stop may take
# Nothing says how much an acknowledgement may carry; what is larger goes by response URL, as any answer may.
LARGEST_ACKNOWLEDGEMENT_BYTES = 60_000

RENEWAL_S = 1.0  # for which an answer waits while its connection is renewed; Slack takes it by another one too
PING_EVERY_S = 5.0  # finds connections that end without a word
# How long to wait before the connection is tried again: this, doubled each time, up to the last.
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 30.0


class _Ending:
    """A socket that says when the other side has hung up. The SDK reads on, and finds out at its next ping."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def recv(self, size: int) -> bytes:
        received: bytes = self._sock.recv(size)
        if not received:
            raise ConnectionResetError("the other side has hung up")
        return received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Client(SocketModeClient):
    """The SDK's client, which hands a request over when it arrives and not when a worker is free for it, and opens
    another connection when one has ended and not when it next looks.
    """

    on_request: Callable[[SocketModeRequest], None]

    def __init__(self, **settings: Any) -> None:
        self.hanging_up = threading.Event()
        self.closed = False  # looked at by threads that the SDK starts before it has set this
        self.current_session = None
        super().__init__(**settings)

    def connect(self) -> None:
        """Opens a connection at `wss_uri` in place of the present one. Raises OSError."""
        assert self.wss_uri is not None
        session = Connection(
            url=self.wss_uri,
            logger=self.logger,
            ping_interval=self.ping_interval,
            receive_buffer_size=self.receive_buffer_size,
            proxy=self.proxy,
            proxy_headers=self.proxy_headers,
            on_message_listener=self._on_message,
            on_error_listener=self._on_error,
            ssl_context=self.web_client.ssl,
        )
        session.connect()
        if session.sock is None:
            raise ConnectionError("Slack's web socket does not open")
        session.sock = cast(Any, _Ending(session.sock))
        former, self.current_session = self.current_session, session
        self.current_session_state.terminated = True
        self.current_session_state = ConnectionState()  # type: ignore[no-untyped-call]
        if former is not None:
            former.close()
        if not self.current_app_monitor_started:
            self.current_app_monitor_started = True
            self.current_app_monitor.start()

    def issue_new_wss_url(self) -> str:
        """Where to connect to. Raises SlackApiError, also where the SDK would sleep for as long as Slack says."""
        return str(self.web_client.apps_connections_open(app_token=self.app_token)["url"])

    def _run_current_session(self) -> None:
        # Called again and again, in a thread of its own. Returns when the connection has ended.
        super()._run_current_session()  # type: ignore[no-untyped-call]
        for wait in _growing(FIRST_WAIT_S, LONGEST_WAIT_S):
            if self.closed or self.current_session is None or self.is_connected():
                return
            try:
                self.connect_to_new_endpoint()
            except Exception as error:  # whatever it is: without this thread there would never be another connection
                log.warning("Slack cannot be reached", reason=str(error), next_try_s=round(wait, 1))
                self.hanging_up.wait(wait)

    def _on_error(self, error: Exception) -> None:
        if not self.closed:
            log.warning("the connection to Slack was lost", reason=str(error))

    def enqueue_message(self, message: str) -> None:
        """Takes what the socket brought, on the thread that reads it: a request needs no other to be handed over, and
        a goodbye and the end that follows it are answered by one new connection, not two.
        """
        try:
            found = json.loads(message) if message.startswith("{") else {}
            if request := SocketModeRequest.from_dict(found):
                self.on_request(request)
            elif found.get("type") == "disconnect" and not self.closed:
                self.connect_to_new_endpoint(force=True)
        except (SlackApiError, OSError) as error:  # the present one goes on for a while
            log.warning("Slack wants another connection, which does not open", reason=str(error))
        except Exception:  # the thread goes on reading
            log.exception("what the socket brought could not be taken")

    def send_text(self, text: bytes) -> None:
        """Sends a text in UTF-8, by the next connection where this one is lost. Raises SlackClientNotConnectedError.

        In place of the SDK's `send_message`, which masks byte by byte (0.3 ms for a list), cannot write the length of
        more than 65,535 bytes, and takes it that the socket takes everything at once.
        """
        frame = Frame(Opcode.TEXT, text).serialize(mask=True)
        session = self.current_session
        try:
            self._send(frame)
        except SlackClientNotConnectedError:
            deadline = time.monotonic() + RENEWAL_S
            while self.current_session is session or not self.is_connected():
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        session = self.current_session
        sock = session.sock if session else None
        if session is None or sock is None:
            raise SlackClientNotConnectedError("there is no connection")
        try:
            with session.sock_send_lock:
                sock.sendall(frame)
        except OSError as error:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # a part of the frame may be on its way
            raise SlackClientNotConnectedError(f"the connection was lost: {error}") from error


def _growing(first: float, longest: float) -> Iterator[float]:
    """Seconds to wait, twice as long each time, and by chance up to a half less: not all of us at the same moment."""
    wait = first
    while True:
        yield wait * random.uniform(0.5, 1.0)
        wait = min(wait * 2, longest)


class SocketLine:
    """Takes envelopes from a web socket, and acknowledges each of them exactly once."""

    def __init__(self, line: Line, *, app_token: str, api_url: str) -> None:
        self._line = line
        self._watch = Watch()
        self._events: EventsUnderWay[BoltResponse] = EventsUnderWay()
        self._closing = False
        self._client = _Client(
            app_token=app_token,
            web_client=web_client(api_url),
            logger=logging.getLogger("slack_sdk.socket_mode"),
            receive_buffer_size=RECEIVE_BUFFER_BYTES,
            concurrency=CONCURRENCY,
            ping_interval=PING_EVERY_S,
        )
        self._client.on_request = self._on_request

    def connect(self) -> None:
        """Opens the connection; it is kept open and renewed from then on. Raises SlackApiError, OSError."""
        self._client.connect_to_new_endpoint()

    @property
    def connected(self) -> bool:
        """Whether requests can arrive now."""
        return bool(self._client.is_connected())

    def close(self) -> None:
        """Answers every request that has arrived, and hangs up. Takes DRAIN_S seconds at the most."""
        client = self._client
        client.auto_reconnect_enabled = False
        self._closing = True
        client.closed = True  # ends the loop of the SDK's queue,
        client.message_queue.put(None)  # which waits for what is never put there
        client.message_processor.shutdown()  # type: ignore[no-untyped-call]
        finished = threading.Thread(target=client.message_workers.shutdown, name="drain", daemon=True)
        finished.start()
        finished.join(DRAIN_S)
        client.hanging_up.set()
        client.current_session_state.terminated = True
        _wake_reader(client)
        client.current_session_runner.shutdown()  # type: ignore[no-untyped-call]
        client.disconnect()
        if client.current_app_monitor_started:
            client.current_app_monitor.shutdown()  # type: ignore[no-untyped-call]

    def _on_request(self, request: SocketModeRequest) -> None:
        if is_event(request.payload):
            self._on_event(request)
            return

        def late(pending: Pending) -> None:
            self._acknowledge(request, self._line.too_late(request.payload, begun=pending.begun))

        # From here on, not from when a worker takes it: where all of them are held up, nobody would be told.
        pending = self._watch.start(late)
        try:
            self._client.message_workers.submit(self._answer, request, pending)
        except RuntimeError:
            pending.claim()
            if not self._closing:
                raise
            log.info("a request came too late to be taken; Slack will bring it to another", type=request.type)

    def _on_event(self, request: SocketModeRequest) -> None:
        """Has an event worked at, and acknowledges it when its outcome is known; without that Slack sends it again."""
        try:
            workers = self._client.message_workers
            outcome = self._events.join(request.payload, lambda: workers.submit(self._dispatch, request))
        except (TooManyEvents, RuntimeError):
            log.info("an event cannot be taken; Slack will bring it again")
            return
        pending = self._watch.start(lambda _: self._report_late(request, outcome))
        outcome.add_done_callback(lambda _: self._settle_event(request, outcome, pending))

    def _report_late(self, request: SocketModeRequest, outcome: Future[BoltResponse]) -> None:
        self._line.too_late(request.payload, begun=outcome.running())

    def _settle_event(self, request: SocketModeRequest, outcome: Future[BoltResponse], pending: Pending) -> None:
        pending.claim()
        if outcome.cancelled() or outcome.result().status >= 500:
            return
        try:
            self._acknowledge(request, None)
        except SlackClientNotConnectedError as error:
            log.warning("an answer was lost with its connection", type=request.type, error=str(error))

    def _dispatch(self, request: SocketModeRequest) -> BoltResponse:
        """What the bot answers. It is 500 or more for what is left for Slack to send again."""
        try:
            body = BoltRequest(mode="socket_mode", body=request.payload, headers=_retry_headers(request))
            return self._line.dispatch(body)
        except Exception:
            log.exception("a request could not be answered", type=request.type)
            return BoltResponse(status=500)

    def _answer(self, request: SocketModeRequest, pending: Pending) -> None:
        if not pending.begin():
            return
        try:
            response = self._dispatch(request)
            payload = payload_of(response)
            if pending.claim():
                if response.status < 500:
                    self._acknowledge(request, payload)
            elif payload and payload.get("text"):
                self._line.answer_late(request.payload, payload)
        except SlackClientNotConnectedError as error:
            log.warning("an answer was lost with its connection", type=request.type, error=str(error))

    def _acknowledge(self, request: SocketModeRequest, payload: Mapping[str, Any] | None) -> None:
        text = _encoded({"envelope_id": request.envelope_id, **({"payload": payload} if payload else {})})
        if payload and request.type == "slash_commands" and len(text) > LARGEST_ACKNOWLEDGEMENT_BYTES:
            self._line.answer_late(request.payload, payload)
            text = _encoded({"envelope_id": request.envelope_id})
        self._client.send_text(text)


def _encoded(answer: Mapping[str, Any]) -> bytes:
    try:
        return to_json(answer)
    except ValueError:  # half a surrogate pair, which a payload can bring and an answer repeat, is no text to send
        return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")


def _wake_reader(client: SocketModeClient) -> None:
    # Its thread sits in a read of up to three seconds, holding the lock without which nothing can be closed.
    sock = client.current_session.sock if client.current_session else None
    if sock is not None:
        with contextlib.suppress(OSError):  # hung up already
            sock.shutdown(socket.SHUT_RDWR)


def _retry_headers(request: SocketModeRequest) -> dict[str, str | Sequence[str]] | None:
    if request.retry_attempt is None:
        return None
    return {
        "x-slack-retry-num": str(request.retry_attempt),
        "x-slack-retry-reason": str(request.retry_reason or ""),
    }
