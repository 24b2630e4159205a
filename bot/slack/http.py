"""HTTP mode: Slack posts its requests to `/slack/events`, signed.

Bolt runs synchronously, so each request goes to a thread; the event loop, which also serves intake and health, is
never held. Signature and age are checked by Bolt before anything is believed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from slack_bolt import BoltRequest, BoltResponse

from bot.slack.deadline import DEADLINE_S, Pending
from bot.slack.line import Line, payload_of
from bot.slack.manifest import PATH

log = structlog.get_logger(__name__)

WORKERS = 10  # requests at once, as in Socket Mode
MAX_BODY = 1024 * 1024  # bytes; the largest form with everything filled in is a tenth of it

Headers = dict[str, str | Sequence[str]]


class HttpLine:
    """Takes requests over HTTP, and answers each of them within Slack's three seconds."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="slack-http")

    def add_to(self, app: FastAPI) -> None:
        """Adds the route to the HTTP application."""
        app.add_api_route(PATH, self.receive, methods=["POST"], include_in_schema=False)

    def close(self) -> None:
        """Returns when the requests under way have been answered. The server has stopped taking them by then."""
        self._workers.shutdown(wait=True)

    async def receive(self, request: Request) -> Response:
        """One request of Slack."""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return JSONResponse({"error": "too_large"}, status_code=413)
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return JSONResponse({"error": "not_utf8"}, status_code=400)
        headers: Headers = {name: [value] for name, value in request.headers.items()}
        pending = Pending()
        work = asyncio.wrap_future(self._workers.submit(self._answer, text, headers, pending))
        try:
            return await asyncio.wait_for(asyncio.shield(work), DEADLINE_S)
        except TimeoutError:
            if not pending.claim():
                return await work
            late = self._line.too_late(_request_in(text), begun=pending.begun)
            return JSONResponse(late) if late else Response("")

    def _answer(self, text: str, headers: Headers, pending: Pending) -> Response:
        if not pending.begin():
            return Response("")
        try:
            response = self._line.dispatch(BoltRequest(mode="http", body=text, headers=headers))
        except Exception:
            log.exception("a request could not be read")
            response = BoltResponse(status=400, body="")
        payload = payload_of(response) if response.status == 200 else None
        if not pending.claim() and payload and payload.get("text"):
            self._line.answer_late(_request_in(text), payload)
        if payload is not None:
            return JSONResponse(payload)
        kind = response.first_headers().get("content-type", "text/plain")
        return Response(response.body, status_code=response.status, media_type=kind.partition(";")[0])


def _request_in(text: str) -> Mapping[str, Any]:
    """The request in a body whose signature was good: a command is a form, an interaction JSON in a form."""
    if text.startswith("{"):
        found: Mapping[str, Any] = json.loads(text)
        return found
    fields = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
    if "payload" not in fields:
        return fields
    interaction: Mapping[str, Any] = json.loads(fields["payload"])
    return interaction
