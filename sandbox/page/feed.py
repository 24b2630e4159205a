"""The connections to the windows: one WebSocket for each, over which a person acts and hears what changed.

A window sends `{"id": 7, "do": "say", …}` and gets `{"re": 7, "ok": true, …}` or `{"re": 7, "error": "why"}`.
In between it gets what changed, as `{"what": "message", …}`: messages of the conversations that its person is
in, the forms in front of that person, unread marks, and, while it asks for them, the lines of the inspector.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from sandbox.errors import SandboxError, SlackError
from sandbox.page import page_values
from sandbox.page.actions import Actions
from sandbox.page.inspector import Watch
from sandbox.platform import Platform
from sandbox.records import Channel, Json, Message, User

log = logging.getLogger(__name__)

# Actions wait for the app, some for seconds; so many may do so at once.
ACTS_AT_ONCE = 32
# The actions whose answers the page shows, and keeps up to date with the news that follow.
_READINGS = ("open", "thread")
# How often an open inspector looks for what crossed the wire, in seconds.
WATCH_SECONDS = 0.25


class Window:
    """One open page."""

    def __init__(self, user: User, send: Send) -> None:
        self.user = user
        self.actions: Actions | None = None
        self.watch: Watch | None = None
        self._send = send
        self._outbox: asyncio.Queue[str] = asyncio.Queue()

    def put(self, value: Json) -> None:
        """Hand something over, on the server's loop."""
        self._outbox.put_nowait(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    async def write(self) -> None:
        """Send what is put, until cancelled."""
        while True:
            await self._send({"type": "websocket.send", "text": await self._outbox.get()})


class Feed:
    """Every window, as an ASGI application. Windows live on the server's loop; what changes is noted from any
    thread.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._windows: list[Window] = []
        self._threads = ThreadPoolExecutor(ACTS_AT_ONCE, "page")
        self._noting = threading.Lock()
        self._changed: dict[int, Message | Channel | User] = {}
        self._watching: asyncio.Task[None] | None = None
        platform.workspace.watchers.append(self._note)

    # -- what changed

    def _note(self, thing: Message | Channel | User) -> None:
        """Called with the workspace's lock held, in whatever thread the change was made."""
        loop = self._platform.deliveries.loop
        if loop is None or loop.is_closed() or not self._windows:
            return
        with self._noting:
            first = not self._changed
            self._changed[id(thing)] = thing
        if first:
            loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._noting:
            changed, self._changed = list(self._changed.values()), {}
        with self._platform.workspace.lock:
            for thing in changed:
                if isinstance(thing, Message):
                    self._tell_of_message(thing)
                elif isinstance(thing, Channel):
                    self._to(lambda _: True, {"what": "channel", "channel": page_values.channel(thing)})
                else:
                    views = page_values.views(self._platform, thing.id)
                    self._to(lambda w, user=thing: w.user is user, {"what": "views", **views})  # type: ignore[misc]
                    self._to(lambda _: True, {"what": "person", "person": page_values.person(thing)})

    def _tell_of_message(self, message: Message) -> None:
        channel = self._platform.workspace.channels[message.channel_id]
        gone = message.deleted and not message.replies
        value: Json = (
            {"what": "gone", "channel": channel.id, "ts": message.ts, "in_thread": message.thread_ts}
            if gone
            else {"what": "message", "message": page_values.message(message)}
        )
        for window in self._windows:
            if window.user.id in channel.members and message.ephemeral_to in (None, window.user.id):
                window.put(value)
                window.put({"what": "unread", "channel": channel.id, **self._platform.unread.of(window.user, channel)})

    def _to(self, whom: Callable[[Window], bool], value: Json) -> None:
        for window in self._windows:
            if whom(window):
                window.put(value)

    # -- windows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application behind `/page/feed?as=U…`."""
        await receive()  # websocket.connect
        workspace = self._platform.workspace
        asked = QueryParams(scope["query_string"]).get("as", "")
        people = [user for user in workspace.users.values() if not user.is_bot and not user.deleted]
        user = next((one for one in people if one.id == asked), people[0] if people else None)
        await send({"type": "websocket.accept"})
        if user is None:
            await send({"type": "websocket.close", "code": 4004, "reason": "there is nobody in this workspace"})
            return
        window = Window(user, send)
        window.actions = Actions(self._platform, user)
        self._windows.append(window)
        writer = asyncio.get_running_loop().create_task(window.write())
        try:
            with workspace.lock:
                window.put({"what": "hello", **self._hello(user)})
            if self._watching is None or self._watching.done():
                self._watching = asyncio.get_running_loop().create_task(self._keep_watch())
            await self._listen(window, receive)
        finally:
            self._windows.remove(window)
            writer.cancel()

    def _hello(self, user: User) -> Json:
        """All that a window needs to begin with. With the workspace's lock held."""
        platform, workspace = self._platform, self._platform.workspace
        workspace.direct(user.id)
        mine = [channel for channel in workspace.channels.values() if user.id in channel.members]
        return {
            "me": user.id,
            "team": {"id": workspace.team_id, "name": workspace.name, "domain": workspace.domain},
            "app": {
                "id": platform.app.app_id,
                "name": platform.app.name,
                "user": platform.app.bot_user_id,
                "home_tab": platform.app.home_tab,
                "messages_tab": platform.app.messages_tab,
                "commands": platform.menu.commands,
                "shortcuts": platform.menu.shortcuts,
            },
            "connected": page_values.connected(platform),
            "now": platform.clock.now(),
            "people": [page_values.person(one) for one in workspace.users.values()],
            "groups": [
                {"id": group.id, "handle": group.handle, "name": group.name, "users": group.users}
                for group in workspace.usergroups.values()
                if group.enabled
            ],
            "channels": [page_values.channel(channel) for channel in mine],
            "unread": {channel.id: self._platform.unread.of(user, channel) for channel in mine},
            "views": page_values.views(platform, user.id),
            "guide": platform.guide,
        }

    async def _listen(self, window: Window, receive: Receive) -> None:
        loop = asyncio.get_running_loop()
        doing: set[asyncio.Task[None]] = set()
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            task = loop.create_task(self._act(window, event.get("text")))
            doing.add(task)
            task.add_done_callback(doing.discard)

    async def _act(self, window: Window, text: str | None) -> None:
        try:
            asked: Any = json.loads(text or "")
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict) or not isinstance(asked.get("id"), int):
            window.put({"what": "error", "error": "What this window sent is no act."})
            return
        assert window.actions is not None
        answer: Json
        try:
            if asked.get("do") == "watch":
                window.watch = Watch(self._platform) if asked.get("on") else None
                answer = {}
            else:
                loop = asyncio.get_running_loop()
                if asked.get("do") in _READINGS:
                    await loop.run_in_executor(self._threads, self._read, window, asked, loop)
                    return
                answer = await loop.run_in_executor(self._threads, window.actions.perform, asked)
            window.put({"re": asked["id"], "ok": True, **answer})
        except SlackError as refusal:
            window.put({"re": asked["id"], "error": refusal.error})
        except (SandboxError, ValueError) as refusal:
            window.put({"re": asked["id"], "error": str(refusal)})
        except Exception:
            log.exception("the page asked for %r", asked.get("do"))
            window.put({"re": asked["id"], "error": "Something is wrong with the sandbox; see its log."})

    def _read(self, window: Window, asked: Json, loop: asyncio.AbstractEventLoop) -> None:
        """Answer a reading before the news of any later change: the page shows what it heard last."""
        assert window.actions is not None
        with self._platform.workspace.lock:
            answer = window.actions.perform(asked)
            loop.call_soon_threadsafe(window.put, {"re": asked["id"], "ok": True, **answer})

    # -- the inspector, the app's presence, the clock, the guide

    async def _keep_watch(self) -> None:
        """While there is a window: tell what nobody is told of otherwise."""
        platform = self._platform
        before: Json = {}
        while self._windows:
            state = {
                "connected": page_values.connected(platform),
                "ahead": round(platform.clock.ahead),
                "guide": platform.guide,
                "problems": len(platform.problems),
            }
            if state != before:
                before = json.loads(json.dumps(state))
                self._to(lambda _: True, {"what": "state", "now": platform.clock.now(), **state})
            for window in self._windows:
                if window.watch is not None and (lines := window.watch.news()):
                    window.put({"what": "traffic", "lines": lines})
            await asyncio.sleep(WATCH_SECONDS)
