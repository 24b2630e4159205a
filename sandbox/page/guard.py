"""Who may reach the page: a browser on this machine that shows the page itself.

A site somewhere else can make a browser ask this port (a form, an image, a socket), or give its own name this
machine's address (DNS rebinding). The name asked for must therefore be this machine's own, and what comes from a
site must come from this very one. A program that is no browser sends no Origin; it is on this machine already.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def refusal(headers: Headers) -> str | None:
    """Why a request may not come in; None where it may."""
    host = headers.get("host", "")
    if _name(f"//{host}") not in OWN_NAMES:
        return "This page answers only to the names of this machine: 127.0.0.1 and localhost."
    origin = headers.get("origin")
    # The scheme is the server's own either way: it serves one on its port.
    if origin is not None and origin.lower() not in {f"{scheme}://{host}".lower() for scheme in ("http", "https")}:
        return "This page answers no other site."
    return None


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class Guarded:
    """An ASGI application that lets in what belongs here, and says in each answer what a browser may do with
    it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = refusal(Headers(scope=scope))
        if reason is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before it was accepted: a 403
        else:
            await PlainTextResponse(reason + "\n", 403, SECURITY_HEADERS)(scope, receive, send)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            extra = [(n.encode(), v.encode()) for n, v in SECURITY_HEADERS.items() if n.encode() not in own]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sending
