"""The HTTP server of the workspace, on loopback, in a thread of its own: the Web API, the sockets, the
response URLs.
"""

import asyncio
import json
import logging
import socket
import threading

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route, WebSocketRoute

from sandbox.api import dispatch
from sandbox.errors import SlackError
from sandbox.line import Exchange
from sandbox.platform import Platform

START_SECONDS = 10.0
LOOPBACK = "127.0.0.1"

# What a response URL answers to a payload that it does not take; a URL that is no more is a 404.
_GONE = frozenset(["invalid_url", "expired_url", "used_url"])


def application(platform: Platform) -> FastAPI:
    """The ASGI application of one workspace."""

    async def web_api(request: HttpRequest) -> HttpResponse:
        answer = dispatch.call(
            platform,
            dispatch.Request(
                method=request.path_params["method"],
                http_method=request.method,
                query=request.url.query,
                headers=request.headers,
                body=await request.body(),
            ),
        )
        return HttpResponse(answer.body, answer.status, answer.headers)

    async def response_url(request: HttpRequest) -> HttpResponse:
        return use_response_url(platform, request.url.path, await request.body())

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes += [
        Route("/api/{method}", web_api, methods=["GET", "POST"]),
        WebSocketRoute("/link/", platform.sockets),
        *(
            Route(f"/{kind}/{{rest:path}}", response_url, methods=["POST"])
            for kind in ("commands", "actions", "app")
        ),
    ]
    return app


def use_response_url(platform: Platform, path: str, body: bytes) -> HttpResponse:
    """Answer a POST to a response URL: `ok`, or Slack's error with what it means for HTTP."""
    exchange = Exchange(kind="response_url", name=path.split("/")[1], sent={}, at=platform.clock.now())
    platform.line.traffic.append(exchange)
    try:
        try:
            payload = json.loads(body)
        except ValueError:
            raise SlackError("invalid_payload") from None
        if not isinstance(payload, dict):
            raise SlackError("invalid_payload")
        exchange.sent = payload
        platform.response_urls.use(path, payload)
    except SlackError as refusal:
        details = "; ".join(refusal.messages)
        platform.problem(refusal.error, f"a response_url was refused. {details}".rstrip())
        exchange.answer = {"ok": False, "error": refusal.error, **refusal.extra}
        status = 404 if refusal.error in _GONE else 400
        return HttpResponse(json.dumps(exchange.answer), status, media_type="application/json")
    finally:
        exchange.answered_at = platform.clock.now()
    exchange.answer = {"ok": True}
    return HttpResponse("ok", media_type="text/plain")


class _Server(uvicorn.Server):
    """A server that says when it is up and stops at once when told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stopping.wait()


class ServerThread:
    """Runs the application from `start` to `stop`."""

    def __init__(self, platform: Platform, app: FastAPI) -> None:
        self._platform = platform
        self._server = _Server(
            uvicorn.Config(
                app,
                ws="websockets-sansio",
                http="h11",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                date_header=False,
                server_header=False,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, port: int) -> int:
        """Listen on loopback and give the port (`port` 0: any free one); raises OSError when it is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            listener.close()
            raise
        self._thread = threading.Thread(target=self._run, args=(listener,), name="sandbox", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(START_SECONDS):
            raise TimeoutError("the sandbox's server did not start")
        number: int = listener.getsockname()[1]
        return number

    def _run(self, listener: socket.socket) -> None:
        asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._platform.line.loop = self._platform.agenda.loop = self._loop
        with listener:
            await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._thread is None or self._loop is None:
            return

        def stop() -> None:
            self._server.should_exit = self._server.force_exit = True
            self._server.stopping.set()

        self._loop.call_soon_threadsafe(stop)
        self._thread.join(START_SECONDS)
