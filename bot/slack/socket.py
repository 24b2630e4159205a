"""Socket Mode: the same requests as over HTTP, brought by a web socket that the bot opens."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import structlog
from slack_bolt import BoltRequest
from slack_sdk.errors import SlackClientNotConnectedError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.slack.clients import web_client
from bot.slack.deadline import Pending, Watch
from bot.slack.line import Line, payload_of

log = structlog.get_logger(__name__)

CONCURRENCY = 10  # requests at once
RECEIVE_BUFFER_BYTES = 64 * 1024
DRAIN_S = 6  # of the ten seconds that a stop may take
# Nothing says how much an acknowledgement may carry; what is larger goes by response URL, as any answer may.
LARGEST_ACKNOWLEDGEMENT_BYTES = 60_000

RENEWAL_S = 1.0  # for which an answer waits while its connection is renewed; Slack takes it by another one too
_TRY_AGAIN_S = 1.0  # between two attempts to renew a connection that was lost
_LOST = {"type": "disconnect", "reason": "lost"}  # as Slack says it when it does so in good order

_TEXT_FRAME = 0x81  # RFC 6455, 5.2: the only frame of its message, and text
_MASKED = 0x80


class _Socket:
    """The socket of a connection, which tells when the other side is gone.

    The SDK reads on from a connection that has ended, as fast as it can, until it misses an answer to its pings:
    half a minute in which nothing arrives.
    """

    def __init__(self, sock: Any, lost: Callable[[], None]) -> None:
        self._sock = sock
        self._lost = lost

    def recv(self, size: int) -> bytes:
        """What has arrived; nothing once the connection has ended."""
        try:
            data: bytes = self._sock.recv(size)
        except ConnectionError:
            data = b""
        if not data:
            self._lost()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Client(SocketModeClient):
    """The SDK's client, which hands a request over when it arrives and not when a worker is free for it, and renews
    a connection as soon as it is lost.
    """

    on_request: Callable[[SocketModeRequest], None]
    _renewed_at = 0.0

    def connect(self) -> None:
        super().connect()
        session = self.current_session
        if session is not None and session.sock is not None:
            session.sock = cast(Any, _Socket(session.sock, self._on_lost))

    def _on_lost(self) -> None:
        # Asked for again until there is another connection, as an attempt may fail.
        if not self.closed and time.monotonic() - self._renewed_at > _TRY_AGAIN_S:
            self._renewed_at = time.monotonic()
            log.warning("the connection to Slack was lost; it is renewed")
            self.message_queue.put(_LOST)
        time.sleep(0.02)  # its reader comes back at once

    def enqueue_message(self, message: str) -> None:
        """Takes what the socket brought, on the thread that reads it: a request needs no other to be handed over."""
        try:
            found = json.loads(message) if message.startswith("{") else {}
            if request := SocketModeRequest.from_dict(found):
                self.on_request(request)
            else:
                self.message_queue.put(found)
        except Exception:  # the thread goes on reading
            log.exception("what the socket brought could not be taken")

    def process_message(self) -> None:
        try:
            message = self.message_queue.get(timeout=1)
        except queue.Empty:
            return
        if message and message.get("type") == "disconnect":
            self.connect_to_new_endpoint(force=True)

    def send_message(self, message: str) -> None:
        """Sends a text, by the next connection where this one is lost. Raises SlackClientNotConnectedError.

        In place of the SDK's own, which masks byte by byte (0.3 ms for a list), cannot write the length of more
        than 65,535 bytes, and takes it that the socket takes everything at once.
        """
        frame = text_frame(message.encode())
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


def text_frame(payload: bytes) -> bytes:
    """A text as a web socket frame of a client (RFC 6455, 5.2 and 5.3)."""
    size = len(payload)
    if size <= 125:
        header = struct.pack("!BB", _TEXT_FRAME, _MASKED | size)
    elif size <= 0xFFFF:
        header = struct.pack("!BBH", _TEXT_FRAME, _MASKED | 126, size)
    else:
        header = struct.pack("!BBQ", _TEXT_FRAME, _MASKED | 127, size)
    key = secrets.token_bytes(4)
    mask = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
    return header + key + masked.to_bytes(size, "little")


class SocketLine:
    """Takes envelopes from a web socket, and acknowledges each of them exactly once."""

    def __init__(self, line: Line, *, app_token: str, api_url: str) -> None:
        self._line = line
        self._watch = Watch()
        self._closing = False
        self._client = _Client(
            app_token=app_token,
            web_client=web_client(api_url),
            logger=logging.getLogger("slack_sdk.socket_mode"),
            receive_buffer_size=RECEIVE_BUFFER_BYTES,
            concurrency=CONCURRENCY,
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
        client.closed = True  # ends the loop that hears Slack's goodbyes,
        client.message_queue.put(None)  # which may be waiting for one
        client.message_processor.shutdown()  # type: ignore[no-untyped-call]
        finished = threading.Thread(target=client.message_workers.shutdown, name="drain", daemon=True)
        finished.start()
        finished.join(DRAIN_S)
        client.current_session_state.terminated = True
        _wake_reader(client)
        client.disconnect()
        client.current_session_runner.shutdown()  # type: ignore[no-untyped-call]
        if client.current_app_monitor_started:
            client.current_app_monitor.shutdown()  # type: ignore[no-untyped-call]

    def _on_request(self, request: SocketModeRequest) -> None:
        def late(pending: Pending) -> None:
            if request.type == "events_api" and not pending.begun:
                return  # nothing has been done for it, and nobody waits: Slack sends it again
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

    def _answer(self, request: SocketModeRequest, pending: Pending) -> None:
        if not pending.begin():
            return
        try:
            body = BoltRequest(mode="socket_mode", body=request.payload, headers=_retry_headers(request))
            response = self._line.dispatch(body)
            payload = payload_of(response)
            if pending.claim():
                if response.status < 500:  # else it is left for Slack to send again
                    self._acknowledge(request, payload)
            elif payload and payload.get("text"):
                self._line.answer_late(request.payload, payload)
        except SlackClientNotConnectedError as error:
            log.warning("an answer was lost with its connection", type=request.type, error=str(error))
        except Exception:
            log.exception("a request could not be answered", type=request.type)

    def _acknowledge(self, request: SocketModeRequest, payload: Mapping[str, Any] | None) -> None:
        text = _encoded({"envelope_id": request.envelope_id, **({"payload": payload} if payload else {})})
        if payload and request.type == "slash_commands" and len(text.encode()) > LARGEST_ACKNOWLEDGEMENT_BYTES:
            self._line.answer_late(request.payload, payload)
            text = _encoded({"envelope_id": request.envelope_id})
        self._client.send_message(text)


def _encoded(answer: Mapping[str, Any]) -> str:
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    # Half a surrogate pair, which a payload can bring and an answer repeat, is no text to send.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


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
