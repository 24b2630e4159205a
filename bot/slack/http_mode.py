"""HTTP mode: Slack posts signed requests to `/slack/events`.

Signature and age are verified first, so that a request of anybody else takes no worker. Bolt is synchronous, so a
worker thread handles each request. The event loop, which also serves intake and health, never waits for one.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from slack_bolt import BoltResponse
from slack_sdk.signature import Clock, SignatureVerifier
from starlette.requests import ClientDisconnect

from bot.request_bodies import BodyTooLarge, MemoryLimit, MemoryLimitReached
from bot.saturation import PoolUse
from bot.slack.acknowledgement import payload_of
from bot.slack.deadline import Pending
from bot.slack.entry import Entry
from bot.slack.events import PendingEvents, TooManyEvents, is_event
from bot.slack.listeners import Headers, trace_request
from bot.slack.manifest import PATH
from bot.slack.thread_pool import ThreadPool

log = structlog.get_logger(__name__)

WORKERS = 10  # requests at once, as in Socket Mode
MAX_BODY = 1024 * 1024  # bytes; the largest form with everything filled in is a tenth of it
MAX_UNSIGNED_BODY = 4096
# Bytes of bodies in memory at once. A body has to be read before its signature can be verified.
BODY_MEMORY = 32 * 1024 * 1024

# The format of Slack's two headers. The SDK's verifier raises for some other values.
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_SSL_CHECK = re.compile(r"\A(?:[^&]*&){0,3}ssl_check=1(?:&|\Z)")


class _Seconds(Clock):
    """The clock of the SDK's verifier."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def now(self) -> float:
        return self._now().timestamp()


class HttpListener:
    """Handles requests over HTTP, each within Slack's three seconds."""

    def __init__(self, listeners: Entry, signing_secret: str, now: Callable[[], datetime], deadline_s: float) -> None:
        self._listeners = listeners
        self._deadline_s = deadline_s
        self._verifier = SignatureVerifier(signing_secret, _Seconds(now))
        self._events: PendingEvents[BoltResponse] = PendingEvents()
        self._memory = MemoryLimit(BODY_MEMORY, BODY_MEMORY)
        self._workers = ThreadPool(WORKERS, "slack-http")

    def add_to(self, app: FastAPI) -> None:
        """Adds the route to the HTTP application."""
        app.add_api_route(PATH, self.receive, methods=["POST"], include_in_schema=False)

    def measure_use(self) -> PoolUse:
        """How many of the workers are busy, and how many requests wait for one."""
        return self._workers.measure_use()

    def close(self, seconds: float) -> None:
        """Returns when the pending requests are answered, or after `seconds`.

        The server accepts no requests any more by then.
        """
        self._workers.close(seconds)

    async def receive(self, request: Request) -> Response:
        """The route: verifies, handles and answers one request."""
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        signed = bool(_TIMESTAMP.fullmatch(timestamp) and _SIGNATURE.fullmatch(signature))
        with self._memory.body("slack", MAX_BODY if signed else MAX_UNSIGNED_BODY) as reading:
            try:
                body = await reading.read(request)
            except BodyTooLarge:
                return _refused(413, "too_large")
            except MemoryLimitReached:
                return _refused(503, "busy")
            except ClientDisconnect:
                return Response("")  # nobody receives it
            return await self._respond(body, timestamp, signature, request.headers, signed=signed)

    async def _respond(
        self, body: bytes, timestamp: str, signature: str, sent: Mapping[str, str], *, signed: bool
    ) -> Response:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return _refused(400, "not_utf8")
        if not signed or not self._verifier.is_valid(text, timestamp, signature):
            # Slack sends an unsigned request to check the server's certificate.
            return Response("") if _SSL_CHECK.search(text) else _refused(401, "not_signed_by_slack")
        try:
            payload = _request_in(text)
        except (ValueError, RecursionError):
            log.warning("a signed request could not be read", bytes=len(body))
            return _refused(400, "not_understood")
        headers: Headers = {name: [value] for name, value in sent.items()}
        if is_event(payload):
            return await self._event(payload, headers)
        pending = Pending()
        work = asyncio.wrap_future(self._workers.submit(self._answer, payload, headers, pending))
        try:
            return await asyncio.wait_for(asyncio.shield(work), self._deadline_s)
        except TimeoutError:
            if not pending.claim():
                return await work
            late = self._listeners.too_late(payload, begun=pending.begun)
            return JSONResponse(late) if late else Response("")

    async def _event(self, payload: Mapping[str, Any], headers: Headers) -> Response:
        """Handles an event. Where its result is late, the request is refused, so that Slack sends it again."""
        received_ns = time.time_ns()
        try:
            outcome = self._events.join(
                payload, lambda: self._workers.submit(self._dispatch_event, payload, headers, received_ns)
            )
        except TooManyEvents:
            return _refused(503, "busy")
        try:
            return _response(await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(outcome)), self._deadline_s))
        except TimeoutError:
            self._listeners.too_late(payload, begun=outcome.running())
            return _refused(503, "not_done_yet")

    def _dispatch_event(self, payload: Mapping[str, Any], headers: Headers, received_ns: int) -> BoltResponse:
        with trace_request(payload, received_ns):
            return self._dispatch(payload, headers)

    def _dispatch(self, payload: Mapping[str, Any], headers: Headers) -> BoltResponse:
        try:
            return self._listeners.dispatch(payload, headers)
        except Exception:
            log.exception("a request could not be answered")
            return BoltResponse(status=400, body="")

    def _answer(self, payload: Mapping[str, Any], headers: Headers, pending: Pending) -> Response:
        if not pending.begin():
            return Response("")
        with trace_request(payload, pending.received_ns):
            return self._answer_begun(payload, headers, pending)

    def _answer_begun(self, payload: Mapping[str, Any], headers: Headers, pending: Pending) -> Response:
        response = self._dispatch(payload, headers)
        answer = payload_of(response) if response.status == 200 else None
        if not pending.claim() and answer and answer.get("text"):
            self._listeners.answer_late(payload, answer)
        return _response(response)


def _response(response: BoltResponse) -> Response:
    answer = payload_of(response) if response.status == 200 else None
    if answer is not None:
        return JSONResponse(answer)
    kind = response.first_headers().get("content-type", "text/plain")
    return Response(response.body, status_code=response.status, media_type=kind.partition(";")[0])


def _refused(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status_code=status)


def _request_in(text: str) -> Mapping[str, Any]:
    """The request in a body: a command is a form, an interaction JSON in a form, an event JSON.

    Raises ValueError and RecursionError for what is none of these.
    """
    if text.startswith("{"):
        return _object(text)
    fields = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
    return _object(fields["payload"]) if "payload" in fields else fields


def _object(text: str) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found
