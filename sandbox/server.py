"""The HTTP server of the workspace, on loopback, in a thread of its own: the Web API, the sockets, the
response URLs.
"""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from sandbox.api import dispatch
from sandbox.authorize import routes as authorize_routes
from sandbox.deliveries import Exchange
from sandbox.errors import SlackError
from sandbox.faults import RESPONSE_URL, UPLOAD, Fault
from sandbox.page import routes as page_routes
from sandbox.platform import Platform
from sandbox.terminal import routes as terminal_routes

START_SECONDS = 10.0
LOOPBACK = "127.0.0.1"

# A response that drips has at least so many bytes, with blanks in front of it: else the whole of `ok` is there while a
# busy machine still decides that its first byte was in time.
DRIPPING_BYTES = 100
# The time left at the end for sending closing frames.
GOODBYE_SECONDS = 0.01


class _Later:
    """An application that is created on its first request: most tests send none."""

    def __init__(self, make: Callable[[], FastAPI]) -> None:
        self._make = make
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)


def application(platform: Platform, control: Callable[[], FastAPI]) -> FastAPI:
    """The ASGI application of one workspace; `control` creates the application served below `/sandbox`."""

    async def web_api(request: HttpRequest) -> HttpResponse:
        method = request.path_params["method"]
        given = dispatch.Request(
            method=method,
            http_method=request.method,
            query=request.url.query,
            headers=request.headers,
            body=await request.body(),
        )
        fault = platform.faults.meet(method)

        def answer() -> HttpResponse:
            done = dispatch.call(platform, given, fault)
            return HttpResponse(done.body, done.status, done.headers)

        return await troubled(request, fault, answer)

    async def response_url(request: HttpRequest) -> HttpResponse:
        body = await request.body()
        fault = platform.faults.meet(RESPONSE_URL)
        if fault is not None and fault.error:
            headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            answer = json.dumps({"ok": False, "error": fault.error})
            return HttpResponse(answer, fault.status or 404, headers, media_type="application/json")
        return await troubled(request, fault, lambda: use_response_url(platform, request.url.path, body))

    async def upload(request: HttpRequest) -> HttpResponse:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form() as form:
                given = next((part for part in form.values() if not isinstance(part, str)), None)
                content = await given.read() if given is not None else b""
        else:
            content = await request.body()
        fault = platform.faults.meet(UPLOAD)
        return await troubled(request, fault, lambda: take_upload(platform, request.path_params["ticket"], content))

    async def private_file(request: HttpRequest) -> HttpResponse:
        file_id = request.path_params["place"].partition("-")[2]
        file = platform.files.by_private_url(file_id)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if file is None or platform.oauth.find(token) is None:
            return HttpResponse("Not found", 404)
        media_type = platform.files.render(file)["mimetype"] or "application/octet-stream"
        return HttpResponse(file.content, media_type=media_type, headers={"x-content-type-options": "nosniff"})

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes += [
        Route("/api/{method}", web_api, methods=["GET", "POST"]),
        WebSocketRoute("/link/", platform.sockets),
        Mount("/sandbox", _Later(control)),
        Route("/upload/v1/{ticket}", upload, methods=["POST"]),
        Route("/files-pri/{place}/{rest:path}", private_file),
        *(Route(f"/{kind}/{{rest:path}}", response_url, methods=["POST"]) for kind in ("commands", "actions", "app")),
        *page_routes(platform),
        *authorize_routes(platform),
        *terminal_routes(platform),
    ]
    return app


async def troubled(request: HttpRequest, fault: Fault | None, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """Send the response, with the effects of a fault."""
    if fault is None:
        return answer()
    answered = answer() if fault.performed or fault.error else HttpResponse("Something is wrong here.", 500)
    if fault.seconds:
        await asyncio.sleep(fault.seconds)
    while fault.held and not fault.held.is_set():
        await asyncio.sleep(0.01)
    if fault.cut:
        request.scope["sandbox.transport"].abort()
    elif fault.status and not fault.error:
        return HttpResponse("Something is wrong here.", fault.status, media_type="text/html")
    elif fault.drip:
        body = bytes(answered.body).rjust(DRIPPING_BYTES)
        headers = {**answered.headers, "content-length": str(len(body))}
        return StreamingResponse(_dripping(body, fault.drip), answered.status_code, headers)
    return answered


async def _dripping(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for byte in body:
        yield bytes([byte])
        await asyncio.sleep(seconds)


class _CutOff:
    """A protocol whose requests and sockets know their transport, so that a connection can be cut."""

    app: Any
    raw_socket: Any

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self.raw_socket = transport.get_extra_info("socket")
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["sandbox.transport"] = transport
            await inner(scope, receive, send)

        self.app = app


class _Http(_CutOff, H11Protocol):
    """HTTP/1.1."""


class _WebSocket(_CutOff, WebSocketsSansIOProtocol):
    """WebSocket."""

    def shutdown(self) -> None:
        """End the connection with the server; if the client is already closing it, no closing frame is needed."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()


def use_response_url(platform: Platform, path: str, body: bytes) -> HttpResponse:
    """Answer a POST to a response URL: `ok`, or Slack's error with what it means for HTTP."""
    exchange = Exchange(kind="response_url", name=path.split("/")[1], sent={}, at=platform.clock.now())
    platform.deliveries.traffic.append(exchange)
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
        # Slack returns 404 both for an expired URL and for invalid blocks.
        status = 400 if refusal.error == "invalid_payload" else 404
        return HttpResponse(json.dumps(exchange.answer), status, media_type="application/json")
    finally:
        exchange.answered_at = platform.clock.now()
    exchange.answer = {"ok": True}
    return HttpResponse("ok", media_type="text/plain")


def take_upload(platform: Platform, ticket: str, content: bytes) -> HttpResponse:
    """Handle the POST of a file's bytes."""
    try:
        with platform.workspace.lock:
            file = platform.files.receive(ticket, content)
    except SlackError as refusal:
        platform.problem(refusal.error, "a file was sent to an upload URL that is none, or was used before")
        return HttpResponse(refusal.error, 400)
    return HttpResponse(f"OK - {len(file.content or b'')}", media_type="text/plain")


class _Server(uvicorn.Server):
    """A server that signals when it has started, and stops at once on request."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything, without the tenth of a second that uvicorn gives to clients."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(GOODBYE_SECONDS)
        for connection in list(self.server_state.connections):  # those with slow responses
            assert isinstance(connection, _CutOff)
            with contextlib.suppress(OSError):  # a transport that waits for the end of TLS cannot be aborted
                connection.raw_socket.shutdown(socket.SHUT_RDWR)
        await asyncio.sleep(GOODBYE_SECONDS)


class ServerThread:
    """Runs the application from `start` to `stop`."""

    def __init__(self, platform: Platform, app: FastAPI, tls: ssl.SSLContext | None = None) -> None:
        self._platform = platform
        self._server = _Server(
            uvicorn.Config(
                app,
                ws=_WebSocket,
                http=_Http,
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                date_header=False,
                server_header=False,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=1,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, port: int) -> int:
        """Listen on loopback and return the port (`port` 0: any free one); raises OSError when it is taken."""
        # asyncio disables Nagle's algorithm only for sockets whose protocol is set to TCP.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
        self._platform.deliveries.loop = self._platform.timers.loop = self._loop
        with listener:
            await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        """Close every connection and end the thread; a second time does nothing."""
        if self._thread is None or self._loop is None:
            return

        def stop() -> None:
            self._server.should_exit = self._server.force_exit = True
            self._server.stopping.set()

        self._loop.call_soon_threadsafe(stop)
        self._thread.join(START_SECONDS)
        self._thread = None
