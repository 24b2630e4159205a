"""Files that people put into a channel from the page, and the files they look at there."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.driver.person import Person
from sandbox.driver.surface import SeenMessage
from sandbox.errors import SandboxError, SlackError
from sandbox.platform import Platform
from sandbox.records import User

SIZE_LIMIT = 20_000_000  # bytes

# What a browser may show as a picture. Anything else could be a page with scripts, and is only to be saved.
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


class Uploads:
    """The two routes of files."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The bytes of one file, with `as` and `name` in the query: to be posted where there are `channel`, `text`
        and `thread` beside, else for a form.
        """
        request = Request(scope, receive)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > SIZE_LIMIT:
                refused = JSONResponse({"error": f"A file may have {SIZE_LIMIT // 1_000_000} MB here."}, 413)
                await refused(scope, receive, send)
                return
        answer = await asyncio.to_thread(self._post, dict(request.query_params), bytes(content))
        await answer(scope, receive, send)

    def _post(self, given: dict[str, str], content: bytes) -> Response:
        workspace = self._platform.workspace
        try:
            user = workspace.user(given.get("as", ""))
            if "channel" not in given:
                return JSONResponse({"id": self._keep(user, given.get("name") or "file", content)})
            channel = workspace.channel(given.get("channel", ""))
            thread = given.get("thread")
            root = SeenMessage(self._platform, workspace.message(channel, thread)) if thread else None
            person = Person(self._platform, user)
            person.upload(channel, given.get("name") or "file", content, given.get("text", ""), thread=root)
        except SlackError as refusal:
            return JSONResponse({"error": refusal.error}, 400)
        except SandboxError as refusal:
            return JSONResponse({"error": str(refusal)}, 400)
        return JSONResponse({"ok": True})

    def _keep(self, user: User, name: str, content: bytes) -> str:
        with self._platform.workspace.changing():
            file, _ = self._platform.files.ticket(name, user)
            self._platform.files.receive(file.ticket, content)
            return self._platform.files.complete(file.id, None).id

    async def download(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The bytes of a file, shown where they are a picture, else saved."""
        with self._platform.workspace.lock:
            file = self._platform.files.by_private_url(scope["path_params"]["file_id"])
            kind = self._platform.files.render(file)["mimetype"] if file else ""
        if file is None:
            await PlainTextResponse("There is no such file.\n", 404)(scope, receive, send)
            return
        shown = kind in _PICTURES
        headers = {"cache-control": "private, max-age=3600", "content-security-policy": "sandbox"}
        if not shown:
            headers["content-disposition"] = "attachment"
        media_type = kind if shown else "application/octet-stream"
        await Response(file.content, media_type=media_type, headers=headers)(scope, receive, send)
