"""Socket Mode: the same requests as over HTTP, brought by a web socket that the bot opens."""

from __future__ import annotations

import logging
import threading
import time
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

LATE = (
    "That is taking longer than Slack lets me wait, and I do not know yet whether it was done."
    " Please look again in a moment."
)


class SocketLine:
    """Takes envelopes from a web socket, and acknowledges each of them exactly once."""

    def __init__(self, line: Line, *, app_token: str, api_url: str) -> None:
        self._line = line
        self._watch = Watch()
        self._under_way = 0
        self._idle = threading.Condition()
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
        """Takes no more requests, answers those under way, and hangs up."""
        self._client.auto_reconnect_enabled = False
        self._client.closed = True  # stops the loop that takes requests off the queue
        deadline = time.monotonic() + DRAIN_S
        with self._idle:
            while self._under_way and (left := deadline - time.monotonic()) > 0:
                self._idle.wait(left)
        self._client.close()

    def _on_request(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        with self._idle:
            self._under_way += 1
        try:
            self._answer(client, request)
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def _answer(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        def late() -> None:
            log.error("a request was not answered in time", type=request.type)
            self._acknowledge(client, request, _late_payload(request))
            if request.payload.get("type") == "block_actions":
                self._line.answer_late(request.payload, {"response_type": "ephemeral", "text": LATE})

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


def _late_payload(request: SocketModeRequest) -> dict[str, Any] | None:
    if request.type == "slash_commands":
        return {"response_type": "ephemeral", "text": LATE}
    if request.payload.get("type") == "view_submission":
        # An empty acknowledgement would close the form, and with it what was typed.
        inputs = [block for block in request.payload["view"]["blocks"] if block["type"] == "input"]
        if inputs:
            return {"response_action": "errors", "errors": {inputs[0]["block_id"]: LATE}}
    return None


def _retry_headers(request: SocketModeRequest) -> dict[str, str | Sequence[str]] | None:
    if request.retry_attempt is None:
        return None
    return {
        "x-slack-retry-num": str(request.retry_attempt),
        "x-slack-retry-reason": str(request.retry_reason or ""),
    }
