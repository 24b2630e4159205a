"""For people at a terminal: `curl -d '/incident list' http://127.0.0.1:8100/type/ada` types in Ada's name, and prints
what she reads then. Everything else is in `control`, as JSON.
"""

import asyncio
import re
import unicodedata

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from sandbox.driver.person import Person
from sandbox.errors import NotThere, SandboxError, SlackError
from sandbox.page.guard import Guarded
from sandbox.platform import Platform
from sandbox.records import Channel

LONGEST = 200_000  # bytes of what is typed
# Slack's names of emoji that Unicode calls otherwise.
_EMOJI = {
    "red_circle": "🔴",
    "white_check_mark": "✅",
    "white_circle": "⚪",
    "warning": "⚠️",
    "no_bell": "🔕",
    "loudspeaker": "📢",
    "speech_balloon": "💬",
    "telephone_receiver": "📞",
}
NO_ANSWER = "The app acknowledged it, without a message."


def routes(platform: Platform) -> list[BaseRoute]:
    """`POST /type/HANDLE` for the direct messages with the app, `/type/HANDLE/CHANNEL` for a channel."""
    typing = Guarded(Terminal(platform))
    return [
        Route("/type/{handle}", typing, methods=["POST"]),
        Route("/type/{handle}/{channel}", typing, methods=["POST"]),
    ]


class Terminal:
    """The ASGI application of these routes."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                await PlainTextResponse("That is too long.\n", 413)(scope, receive, send)
                return
        given = request.path_params
        try:
            text = await asyncio.to_thread(self._type, given["handle"], given.get("channel"), body.decode())
        except UnicodeDecodeError:
            answer = PlainTextResponse("That is not UTF-8.\n", 422)
        except NotThere as error:
            answer = PlainTextResponse(f"{error}\n", 404)
        except (SandboxError, SlackError) as error:
            answer = PlainTextResponse(f"{error}\n", 409)
        else:
            answer = PlainTextResponse(f"{text}\n")
        await answer(scope, receive, send)

    def _type(self, handle: str, channel_name: str | None, typed: str) -> str:
        """Types it. Returns what the person reads: the answer to a command, else their message."""
        person, channel = self._find_person(handle), self._find_channel(channel_name)
        text = typed.strip()
        if not text.startswith("/"):
            return person.say(channel or self._platform.workspace.direct(person.id), text).text
        command, _, words = text.partition(" ")
        before = person.form
        answer = person.command(command, words.strip(), channel=channel)
        form = person.form
        if not answer.text and form is not None and (before is None or form.view.id != before.view.id):
            return f"A form is open on the page: {form.title}"
        return _with_emoji(answer.text) or NO_ANSWER

    def _find_person(self, handle: str) -> Person:
        users = self._platform.workspace.users.values()
        user = next((one for one in users if handle in (one.name, one.id) and not one.is_bot), None)
        if user is None:
            raise NotThere(f"Nobody here is called {handle[:50]}.")
        return Person(self._platform, user)

    def _find_channel(self, name: str | None) -> Channel | None:
        if name is None:
            return None
        found = (one for one in self._platform.workspace.channels.values() if name in (one.name, one.id))
        channel = next(found, None)
        if channel is None:
            raise NotThere(f"There is no channel {name[:50]}.")
        return channel


def _with_emoji(text: str) -> str:
    """The text with its emoji in place of their names, as far as Unicode knows them."""
    return re.sub(r":([a-z_]+):", lambda match: _EMOJI.get(match[1]) or _find_emoji(match[1]) or match[0], text)


def _find_emoji(name: str) -> str | None:
    try:
        return unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return None
