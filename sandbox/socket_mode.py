"""Socket Mode: tickets for a socket, up to ten sockets of one app, the hello, envelopes to exactly one of
them, and the disconnect.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from sandbox.clock import Clock
from sandbox.deliveries import Deliveries, Delivery
from sandbox.records import App, Json

SOCKET_LIMIT = 10
SENT_KEPT = 1000  # the latest deliveries of a socket, which may be unanswered when it ends

AsgiReceive = Callable[[], Awaitable[Any]]
AsgiSend = Callable[[Any], Awaitable[None]]


class Socket:
    """One open connection of the app."""

    def __init__(self, send: AsgiSend, transport: asyncio.Transport) -> None:
        self._send = send
        self._transport = transport
        self._outbox: asyncio.Queue[str | int | None] = asyncio.Queue()
        self.leaving = False  # asked to reconnect; gets no new envelopes
        self.envelopes = 0
        self.sent: deque[Delivery] = deque(maxlen=SENT_KEPT)

    def put(self, message: Json) -> None:
        self._outbox.put_nowait(json.dumps(message, separators=(",", ":")))

    def put_text(self, text: str) -> None:
        self._outbox.put_nowait(text)

    def close(self, code: int = 1000) -> None:
        self._outbox.put_nowait(code)

    def cut(self) -> None:
        """Cut the connection without a closing frame."""
        self.leaving = True
        self._transport.abort()

    async def write(self) -> None:
        """Send the queued messages, until closed."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, str):
                await self._send({"type": "websocket.send", "text": item})
            else:
                await self._send({"type": "websocket.close", "code": item or 1000})
                return


class SocketMode:
    """The sockets of the app. Everything but `ticket` and `connected` runs on the server's event loop."""

    timeout_reason = "timeout"

    def __init__(self, app: App, deliveries: Deliveries, clock: Clock) -> None:
        self._app = app
        self._deliveries = deliveries
        self._clock = clock
        self._tickets: set[str] = set()
        self._turn = 0
        self.sockets: list[Socket] = []
        self.refusing: str | None = None  # the reason sent when every new socket is disconnected
        self.on_change: Callable[[], None] = lambda: None

    def ticket(self) -> str:
        """The query string of a URL that opens one socket."""
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return f"ticket={ticket}&app_id={self._app.app_id}"

    @property
    def connected(self) -> int:
        """The number of sockets that can receive an envelope."""
        return sum(not socket.leaving for socket in self.sockets)

    def dispatch(self, delivery: Delivery) -> bool:
        """Send an envelope to one of the sockets, in turn; returns False when there is none."""
        able = [socket for socket in self.sockets if not socket.leaving]
        if not able:
            return False
        self._turn += 1
        socket = able[self._turn % len(able)]
        socket.envelopes += 1
        socket.sent.append(delivery)
        socket.put(delivery.envelope())
        return True

    async def __call__(self, scope: Any, receive: AsgiReceive, send: AsgiSend) -> None:
        """The ASGI application behind the socket's URL."""
        await receive()  # websocket.connect
        query = parse_qs(scope["query_string"].decode())
        ticket = query.get("ticket", [""])[0]
        if ticket not in self._tickets:
            await send({"type": "websocket.close", "code": 4001})
            return
        self._tickets.discard(ticket)
        await send({"type": "websocket.accept"})
        socket = Socket(send, scope["sandbox.transport"])
        refusal = "too_many_websockets" if len(self.sockets) >= SOCKET_LIMIT else self.refusing
        if refusal is not None:
            await send({"type": "websocket.send", "text": json.dumps(self._goodbye(refusal))})
            await send({"type": "websocket.close", "code": 1000})
            return
        writer = asyncio.get_running_loop().create_task(socket.write())
        socket.put(self._hello())
        self._add(socket)
        try:
            await self._listen(receive)
        finally:
            self._remove(socket)
            writer.cancel()

    def _add(self, socket: Socket) -> None:
        self.sockets.append(socket)
        self.on_change()
        self._deliveries.reconnected()

    def _remove(self, socket: Socket) -> None:
        self.sockets.remove(socket)
        self._deliveries.lose(socket.sent)
        self.on_change()

    async def _listen(self, receive: AsgiReceive) -> None:
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            self._take(event.get("text") or "")

    def _take(self, text: str) -> None:
        arrived = self._clock.now()  # before reading it, whose time is not the app's
        try:
            message = json.loads(text)
        except ValueError:
            self._deliveries.problem("invalid_acknowledgement", f"not JSON: {text[:200]!r}")
            return
        if not isinstance(message, dict) or not isinstance(message.get("envelope_id"), str):
            self._deliveries.problem("invalid_acknowledgement", f"without an envelope_id: {text[:200]!r}")
            return
        self._deliveries.acknowledge(message["envelope_id"], message.get("payload"), arrived)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.sockets) + 1,
            "debug_info": {
                "host": "applink-sandbox",
                "build_number": 1,
                "approximate_connection_time": 18060,
            },
            "connection_info": {"app_id": self._app.app_id},
        }

    def _goodbye(self, reason: str) -> Json:
        return {
            "type": "disconnect",
            "reason": reason,
            "num_connections": len(self.sockets),
            "debug_info": {"host": "applink-sandbox"},
            "connection_info": {"app_id": self._app.app_id},
        }

    def disconnect(self, reason: str, *, close: bool) -> None:
        """Ask every socket to reconnect (`warning`, `refresh_requested`, `link_disabled`), and optionally
        close it.
        """
        for socket in self.sockets:
            socket.put(self._goodbye(reason))
            if close:
                socket.leaving = True
                socket.close()
        self.on_change()

    def hang_up(self) -> None:
        """Close every socket with a closing frame."""
        for socket in self.sockets:
            socket.leaving = True
            socket.close()
        self.on_change()

    def drop(self) -> None:
        """Cut every socket without a closing frame."""
        for socket in self.sockets:
            socket.cut()
        self.on_change()
