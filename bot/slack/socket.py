"""Socket Mode: the same requests as over HTTP, brought by a web socket that the bot opens."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from slack_bolt import BoltRequest
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.slack.clients import web_client
from bot.slack.deadline import Watch
from bot.slack.line import Line, payload_of

log = structlog.get_logger(__name__)

CONCURRENCY = 10  # requests at once
RECEIVE_BUFFER_BYTES = 64 * 1024
DRAIN_S = 6  # of the ten seconds that a stop may take


class SocketLine:
    """Takes envelopes from a web socket, and acknowledges each of them exactly once."""

    def __init__(self, line: Line, *, app_token: str, api_url: str) -> None:
        self._line = line
        self._watch = Watch()
        self._client = SocketModeClient(
            app_token=app_token,
            web_client=web_client(api_url),
            logger=logging.getLogger("slack_sdk.socket_mode"),
            receive_buffer_size=RECEIVE_BUFFER_BYTES,
            concurrency=CONCURRENCY,
        )
        self._client.socket_mode_request_listeners.append(self._on_request)

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
        client.closed = True  # ends the loop that takes requests off the queue,
        client.message_queue.put(None)  # which may be waiting for one
        client.message_processor.shutdown()  # type: ignore[no-untyped-call]
        while not client.message_queue.empty():
            client.process_message()  # type: ignore[no-untyped-call]
        finished = threading.Thread(target=client.message_workers.shutdown, name="drain", daemon=True)
        finished.start()
        finished.join(DRAIN_S)
        client.current_session_state.terminated = True
        _wake_reader(client)
        client.disconnect()
        client.current_session_runner.shutdown()  # type: ignore[no-untyped-call]
        if client.current_app_monitor_started:
            client.current_app_monitor.shutdown()  # type: ignore[no-untyped-call]

    def _on_request(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        def late() -> None:
            self._acknowledge(client, request, self._line.too_late(request.payload))

        pending = self._watch.start(late)
        response = self._line.dispatch(
            BoltRequest(mode="socket_mode", body=request.payload, headers=_retry_headers(request))
        )
        payload = payload_of(response)
        if pending.claim():
            self._acknowledge(client, request, payload)
        elif payload and payload.get("text"):
            self._line.answer_late(request.payload, payload)

    @staticmethod
    def _acknowledge(
        client: BaseSocketModeClient, request: SocketModeRequest, payload: Mapping[str, Any] | None
    ) -> None:
        client.send_socket_mode_response(
            SocketModeResponse(envelope_id=request.envelope_id, payload=dict(payload) if payload else None)
        )


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
