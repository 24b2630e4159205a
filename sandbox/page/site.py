"""The files that make up the page, as they lie beside this module."""

import hashlib
import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"

# Named here, because what a system thinks of an ending is not the same everywhere.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def _answer(name: str, request: Request) -> Response:
    path = FOLDER / name
    if name not in {one.name for one in FOLDER.iterdir()}:
        return PlainTextResponse("There is no such file.\n", 404)
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)


async def index(scope: Scope, receive: Receive, send: Send) -> None:
    """The page itself."""
    await _answer("index.html", Request(scope))(scope, receive, send)


async def static(scope: Scope, receive: Receive, send: Send) -> None:
    """One of its parts; 404 for anything that is none."""
    await _answer(scope["path_params"]["name"], Request(scope))(scope, receive, send)
