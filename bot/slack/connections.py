"""The web sockets of Socket Mode. Each is replaced before Slack closes it.

One thread for each opens and renews it. The library websockets handles TLS, proxies, partial reads and pings, and
reports the end of a connection. Its thread that reads a connection also passes on the messages.
"""

from __future__ import annotations

import contextlib
import enum
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import structlog
from pydantic_core import from_json
from slack_sdk import WebClient
from tenacity import RetryCallState, RetryError, Retrying, sleep_using_event, stop_when_event_set
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event
from websockets.sync.client import ClientConnection, connect

from bot.slack.backoff import Backoff, reason_of
from bot.slack.tls_socket import TlsSocket
from bot.slack.transport import find_proxy, tls_context

log = structlog.get_logger(__name__)

OPEN_TIMEOUT_S = 5.0  # to open a connection, and to receive Slack's hello
PING_INTERVAL_S = 5.0  # detects connections that end without a close frame
PONG_TIMEOUT_S = 10.0  # without a pong for so long, a connection is dropped
CLOSE_TIMEOUT_S = 1.0  # for the other end to close too
RENEWAL_TIMEOUT_S = 1.0  # how long an answer waits for a new connection; Slack takes it over any
# A connection that ends sooner counts as a failed attempt, so that the backoff applies.
STABLE_AFTER_S = 10.0
# The backoff between attempts.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 30.0
# The backoff where Slack refuses connections: the app has too many, or Socket Mode is off.
FIRST_WAIT_AFTER_REFUSAL_S, LONGEST_WAIT_AFTER_REFUSAL_S = 1.0, 60.0
REFUSALS = frozenset({"too_many_websockets", "link_disabled"})

Message = Mapping[str, Any]
OnMessage = Callable[["WebSocket", Message], None]


class NotConnectedError(Exception):
    """No connection is open."""


class DisconnectRequested(Exception):
    """Slack sent a disconnect message. `reason` is Slack's word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Slack says {reason}")
        self.reason = reason


class State(enum.Enum):
    OPENING = enum.auto()
    OPEN = enum.auto()  # Slack has said hello
    CLOSING = enum.auto()  # Slack has sent a disconnect; usable until Slack closes it
    ENDED = enum.auto()


_USABLE = (State.OPEN, State.CLOSING)


class _Connection(ClientConnection):
    """Calls `on_text` with each message, in the thread that reads it. To wait in `recv` would need one more thread."""

    def __init__(
        self, on_text: Callable[[ClientConnection, bytes], None], sock: socket.socket, *given: Any, **named: Any
    ) -> None:
        self._on_text = on_text
        self._parts: list[bytes] = []  # of a message that has not arrived as a whole
        # A send without acknowledgement by TCP fails after this time. Otherwise every sender would wait.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PONG_TIMEOUT_S * 1000))
        super().__init__(sock, *given, **named)  # starts the thread that reads
        # The library warns unless `connect` is used in a `with`. It is, but an answer may be sent before that begins.
        self.pending_legacy_warning = False

    def process_event(self, event: Event) -> None:
        """Called by the library with each frame."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._parts.append(bytes(event.data))
        if event.fin:
            text, self._parts = b"".join(self._parts), []
            self._on_text(self, text)


class WebSocket:
    """One connection, from its opening to its end. `changed` is notified of every change of its state."""

    def __init__(
        self, url: str, on_message: Callable[[WebSocket, Message], None], changed: threading.Condition
    ) -> None:
        self._url = url
        self._on_message = on_message
        self._changed = changed
        self._connection: ClientConnection | None = None
        self._closing = False
        self.state = State.OPENING
        self.problem: Exception | None = None  # why it ended or will end
        self._thread = threading.Thread(target=self._run, name="slack-socket", daemon=True)
        self._thread.start()

    def send(self, text: bytes) -> bool:
        """Sends a text in UTF-8. Returns False where the connection is closed."""
        connection = self._connection
        try:
            if connection is not None:
                connection.send(text, text=True)
                return True
        # RuntimeError: the thread that reads the connection cannot wait for its end, as other threads do.
        except (ConnectionClosed, RuntimeError):
            pass
        return False

    def close(self) -> None:
        """Closes the connection, within CLOSE_TIMEOUT_S seconds."""
        self._closing = True
        if self._connection is not None:
            self._connection.close()

    def join(self, seconds: float) -> None:
        """Returns when its thread has ended, or after so many seconds."""
        self._thread.join(seconds)

    def _run(self) -> None:
        problem: Exception = ConnectionError("Slack has hung up")
        try:
            with _connect(self._url, partial(_Connection, self._take)) as connection:
                self._connection = connection
                if not self._closing:
                    connection.recv()  # raises at the end; the messages go to `_take`
        except ConnectionClosedOK:
            pass
        except ConnectionClosed as error:
            problem = ConnectionError(f"the connection was lost: {error.__cause__ or error}")
        except (OSError, WebSocketException) as error:
            problem = error
        except Exception as error:
            log.exception("the connection to Slack failed")
            problem = error
        finally:
            self._set_state(State.ENDED, problem)

    def _take(self, connection: ClientConnection, text: bytes) -> None:
        try:
            message = _parse(text)
            match message.get("type"):
                case "hello":
                    self._connection = connection  # `_run` may not have it yet
                    self._set_state(State.OPEN)
                case "disconnect":
                    self._set_state(State.CLOSING, DisconnectRequested(str(message.get("reason"))))
                case _:
                    self._on_message(self, message)
        except Exception:  # the thread keeps reading
            log.exception("a message of the web socket could not be handled")

    def _set_state(self, state: State, problem: Exception | None = None) -> None:
        with self._changed:
            self.state = state
            self.problem = self.problem or problem
            self._changed.notify_all()


def _parse(text: bytes) -> Any:
    try:
        return from_json(text)  # several times as fast
    except ValueError:
        return json.loads(text)  # also takes lone surrogates


def _connect(url: str, create_connection: Callable[..., ClientConnection] = ClientConnection) -> ClientConnection:
    def create(sock: socket.socket, *given: Any, **named: Any) -> ClientConnection:
        usable = TlsSocket(sock) if isinstance(sock, ssl.SSLSocket) else sock
        return create_connection(usable, *given, **named)

    return connect(
        url,
        ssl=tls_context() if url.startswith("wss:") else None,
        proxy=find_proxy(url),
        compression=None,
        open_timeout=OPEN_TIMEOUT_S,
        ping_interval=PING_INTERVAL_S,
        ping_timeout=PONG_TIMEOUT_S,
        close_timeout=CLOSE_TIMEOUT_S,
        max_size=None,
        create_connection=cast("type[ClientConnection]", create),  # the library takes any callable
    )


def read_greeting(url: str) -> Message:
    """The first message of a new web socket: a hello, or a disconnect with its reason. The socket is closed again.

    Raises OSError, WebSocketException. Slack sends an envelope that arrives meanwhile again.
    """
    with _connect(url) as connection:
        greeting = json.loads(connection.recv(OPEN_TIMEOUT_S))
        return greeting if isinstance(greeting, dict) else {}


class Connections:
    """The connections of one app, from `start` to `close`."""

    def __init__(self, client: WebClient, app_token: str, on_message: OnMessage, count: int = 1) -> None:
        """`on_message` is called by the threads that read a connection, and must not block them.

        `count` is how many connections are kept open. Slack sends each request over one of them.
        """
        self._client = client
        self._app_token = app_token
        self._on_message = on_message
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._slots: list[_Slot] = []
        for _ in range(count):
            self._slots.append(_Slot(self._connect, self._changed, self._stopping, after=self._slots[-1:]))

    def start(self) -> None:
        """Starts to open the connections, one after the other, and from then on keeps them open."""
        for slot in self._slots:
            slot.start()

    def wait_until_open(self, seconds: float) -> bool:
        """Waits up to `seconds` for the first connection. Returns whether there has been one."""
        with self._changed:
            return self._changed.wait_for(lambda: self._slots[0].ever_open, seconds)

    @property
    def open(self) -> bool:
        """Whether requests can arrive now."""
        return self._find_usable() is not None

    def count_open(self) -> int:
        """How many connections are open: one more for a moment while one replaces another."""
        return sum(one.state in _USABLE for one in self._list_sockets())

    @property
    def problem(self) -> BaseException | None:
        """Why there is no connection; None while there is one, and before the first attempt."""
        if self.open:
            return None
        return next((slot.problem for slot in self._slots if slot.problem), None)

    def send(self, text: bytes, by: WebSocket) -> None:
        """Sends a text in UTF-8 over `by`, or where that is lost over another connection. Raises NotConnectedError."""
        if by.send(text):
            return
        with self._changed:
            other = self._changed.wait_for(lambda: self._find_usable(but=by), RENEWAL_TIMEOUT_S)
        if other is None or not other.send(text):
            raise NotConnectedError("the connection was lost, and there is no other")

    def close(self) -> None:
        """Closes every connection, all at once; takes up to twice CLOSE_TIMEOUT_S seconds."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
            sockets = self._list_sockets()
        closing = [threading.Thread(target=one.close, name="slack-socket-close", daemon=True) for one in sockets]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + 2 * CLOSE_TIMEOUT_S
        for join in [waited.join for waits in (closing, sockets, self._slots) for waited in waits]:
            join(max(0.0, deadline - time.monotonic()))

    def _list_sockets(self) -> list[WebSocket]:
        return [one for slot in self._slots for one in list(slot.sockets)]

    def _find_usable(self, but: WebSocket | None = None) -> WebSocket | None:
        return next((one for one in reversed(self._list_sockets()) if one.state in _USABLE and one is not but), None)

    def _connect(self) -> WebSocket:
        url = str(self._client.apps_connections_open(app_token=self._app_token)["url"])
        return WebSocket(url, self._on_message, self._changed)


class _Slot:
    """Keeps one connection open: opens the next one before Slack closes it, and after it was lost."""

    def __init__(
        self,
        connect: Callable[[], WebSocket],
        changed: threading.Condition,
        stopping: threading.Event,
        after: Sequence[_Slot],
    ) -> None:
        """It opens its first connection once the slots of `after` have theirs: Slack limits the rate."""
        self._connect = connect
        self._changed = changed
        self._stopping = stopping
        self._after = tuple(after)
        self.sockets: list[WebSocket] = []  # those that have not ended, the newest last
        self.problem: BaseException | None = None
        self.ever_open = False
        self._thread = threading.Thread(target=self._maintain, name="slack-connections", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _maintain(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: all(slot.ever_open for slot in self._after) or self._stopping.is_set())
        while not self._stopping.is_set():
            trying = Retrying(
                wait=_wait,
                stop=stop_when_event_set(self._stopping),
                sleep=sleep_using_event(self._stopping),
                before_sleep=self._report,
            )
            with contextlib.suppress(RetryError):  # stopping
                trying(self._run_one)

    def _run_one(self) -> None:
        """Opens a connection and returns before it ends. Raises the problem where it did not open or did not last."""
        one = self._open_one()
        began = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: one.state is not State.OPEN or self._stopping.is_set())
        if self._stopping.is_set():
            return
        self.problem = one.problem
        if one.problem and time.monotonic() - began < STABLE_AFTER_S:
            raise one.problem
        log.info("the connection to Slack is renewed", reason=reason_of(one.problem))

    def _open_one(self) -> WebSocket:
        one = self._connect()
        with self._changed:
            self._changed.wait_for(
                lambda: one.state is not State.OPENING or self._stopping.is_set(), 2 * OPEN_TIMEOUT_S
            )
            opened = one.state is State.OPEN
            if opened:
                self.sockets = [other for other in self.sockets if other.state is not State.ENDED]
                # Slack closes the previous connection itself. An older one that is still open is closed here.
                outdated, self.sockets = self.sockets[:-1], [*self.sockets[-1:], one]
                self.ever_open = True
                self._changed.notify_all()
        for other in outdated if opened else [one]:
            other.close()
        if not opened:
            raise one.problem or TimeoutError("Slack accepted a connection and sent no hello")
        return one

    def _report(self, retry_state: RetryCallState) -> None:
        assert retry_state.outcome is not None and retry_state.next_action is not None
        self.problem = retry_state.outcome.exception()
        next_try_s = round(retry_state.next_action.sleep, 1)
        log.warning("reconnecting to Slack", reason=reason_of(self.problem), next_try_s=next_try_s)


_usual = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
_unwanted = Backoff(FIRST_WAIT_AFTER_REFUSAL_S, LONGEST_WAIT_AFTER_REFUSAL_S)


def _wait(retry_state: RetryCallState) -> float:
    error = retry_state.outcome.exception() if retry_state.outcome else None
    unwanted = isinstance(error, DisconnectRequested) and error.reason in REFUSALS
    return _unwanted(retry_state) if unwanted else _usual(retry_state)
