"""HTTP calls out: an answer that drips ends with the call, and proxies are used where they should be."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from websockets.sync.client import ClientConnection

from bot import __version__
from bot.slack import background, files, transport
from bot.slack.clients import web_client
from bot.slack.connections import read_greeting
from bot.slack.files import PictureFailed, upload_picture
from bot.slack.transport import find_proxy, post, tls_context
from bot.slack.web_api import NOT_JSON
from sandbox import Sandbox
from sandbox.faults import RESPONSE_URL
from tests.patience import PATIENCE_S
from tests.slack.proxy import running_proxy
from tests.stories.conftest import OVER_TLS, WITH_AND_WITHOUT_TLS, World

# So far apart that each of them is in time, and all of them together are not.
DRIP_S = 0.1
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROXY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@WITH_AND_WITHOUT_TLS
def test_an_answer_of_the_web_api_that_drips_ends_with_the_call(slack: Sandbox) -> None:
    slack.faults.drip("auth.test", DRIP_S)
    with pytest.raises(TimeoutError):
        web_client(slack.api_url, slack.bot_token, timeout_s=1).auth_test()


def test_a_message_is_not_sent_twice_when_the_answer_drips(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outcome is unknown, and is looked for as after any other time-out."""
    drips = world.slack.faults.drip("chat.postMessage", DRIP_S, times=1)
    for client in world.bot.delivery._clients.values():
        monkeypatch.setattr(client.web, "_timeout_s", 1)
    world.declare("Payments fail")
    world.rest()
    assert drips.hits == 1
    assert [card.text.count("Payments fail") > 0 for card in world.slack.messages(world.cast.checkout)] == [True]


def test_an_answer_over_a_response_url_that_drips_is_given_up(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "CALL_TIMEOUT_S", 0.1)
    world.declare("Payments fail")
    shown = world.view(world.ada, 1)
    world.slack.faults.drip(RESPONSE_URL, DRIP_S)
    world.ada.press(shown, "Acknowledge")
    world.settle()
    assert "an answer could not be sent" in caplog.text


def test_an_upload_that_drips_is_given_up(slack: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "UPLOAD_TIMEOUT_S", 0.5)
    slack.faults.drip("upload", DRIP_S)
    with pytest.raises(PictureFailed, match="TimeoutError"):
        upload_picture(
            web_client(slack.api_url, slack.bot_token),
            b"png",
            name="a.png",
            title="A",
            alt="A",
            stopping=threading.Event(),
        )


def test_a_server_that_is_not_slacks_is_told_apart(slack: Sandbox) -> None:
    slack.faults.fail("auth.test", status=502)
    with pytest.raises(SlackApiError) as failed:
        web_client(slack.api_url, slack.bot_token).auth_test()
    assert str(failed.value.response["error"]).startswith(NOT_JSON)
    assert failed.value.response.status_code == 502


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    with _answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n") as port:
        assert post(f"http://127.0.0.1:{port}/", b"", {}, timeout_s=PATIENCE_S).status == 302


class _Server:
    """A server that answers on connections that stay open, and counts them. It closes them after each answer or not."""

    def __init__(self, *, closes: bool = False) -> None:
        self.connections = 0
        self._closes = closes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.closed = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionResetError):  # the client may end one that it no longer needs
            while connection.recv(65_536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                if self._closes:
                    break
        self.closed.release()

    def end(self) -> None:
        """Takes no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize(("closes", "kept_s", "expected"), [(False, 60.0, 1), (True, 60.0, 3), (False, 0.0, 3)])
def test_a_connection_is_used_again_while_it_is_fresh_and_open(
    closes: bool, kept_s: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_idle", transport._IdleConnections())
    monkeypatch.setattr(transport._IdleConnections, "KEPT_S", kept_s)
    server = _Server(closes=closes)
    for _ in range(3):
        assert post(server.url, b"x", {}, timeout_s=PATIENCE_S).text == "ok"
        if closes:
            assert server.closed.acquire(timeout=PATIENCE_S)
    assert server.connections == expected
    server.end()
    monkeypatch.setattr(transport._IdleConnections, "KEPT_S", 0.0)
    transport._idle.take(("http", server.url.split("/")[2], None))


def test_calls_name_the_bot_and_its_version() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}'
    requests: list[bytes] = []
    with _answering(answer, requests) as port:
        post(f"http://127.0.0.1:{port}/", b"", {}, timeout_s=PATIENCE_S)
    with _answering(answer, requests) as port:
        web_client(f"http://127.0.0.1:{port}/", "xoxb-1").auth_test()
    assert [request.count(f"User-Agent: tocsin/{__version__}".encode()) for request in requests] == [1, 1]


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", "ok!"),
        (b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok?", "ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\nto the end", "to the end"),
        (b"HTTP/1.0 200 OK\nServer: old\n\nto the end", "to the end"),
    ],
    ids=["in chunks", "continued", "empty", "without a length", "old"],
)
def test_an_answer_is_read_whatever_its_form(said: bytes, body: str) -> None:
    with _answering(said) as port:
        assert post(f"http://127.0.0.1:{port}/", b"", {}, timeout_s=PATIENCE_S).text == body


def test_headers_are_named_in_lower_case_and_those_of_one_name_are_joined() -> None:
    said = b"HTTP/1.1 429 Slow\r\nRetry-After:  7 \r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"
    with _answering(said) as port:
        answer = post(f"http://127.0.0.1:{port}/", b"", {}, timeout_s=PATIENCE_S)
    assert (answer.status, answer.headers["retry-after"], answer.headers["x-a"]) == (429, "7", "1, 2")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"nonsense\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "half", "nonsense", "another version", "half a header", "many headers", "a long header"],
)
def test_an_answer_that_breaks_off_is_an_error_of_the_connection(said: bytes) -> None:
    with _answering(said) as port, pytest.raises(OSError):
        post(f"http://127.0.0.1:{port}/", b"", {}, timeout_s=PATIENCE_S)


@contextlib.contextmanager
def _answering(said: bytes, requests: list[bytes] | None = None) -> Iterator[int]:
    """The port of a server that says this to the first that comes, and hangs up. `requests` gets what it received."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                received = _receive(connection)
                if requests is not None:
                    requests.append(received)
                connection.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE_S)


def _receive(connection: socket.socket) -> bytes:
    """A whole request, head and body: who hangs up before all is read resets the connection, and the answer is lost."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            return received
        more = connection.recv(65_536)
        if not more:
            return received
        received += more


# --- proxies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://slack.com/api/", {}, None),
        ("https://slack.com/api/", {"HTTPS_PROXY": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ("https://slack.com/api/", {"https_proxy": "proxy.test:3128"}, "http://proxy.test:3128"),
        ("wss://wss.slack.com/link/", {"HTTPS_PROXY": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ("https://slack.com/api/", {"HTTP_PROXY": "http://proxy.test:3128"}, None),
        ("http://slack.test/api/", {"HTTP_PROXY": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ("wss://wss.slack.com/", {"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": "slack.com"}, None),
        ("https://slack.com/", {"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": "a.test,.slack.com"}, None),
        ("https://127.0.0.1:8484/", {"HTTPS_PROXY": "http://proxy.test:3128"}, None),
        ("wss://localhost:8484/", {"HTTPS_PROXY": "http://proxy.test:3128"}, None),
        ("http://[::1]:8484/", {"HTTP_PROXY": "http://proxy.test:3128"}, None),
    ],
)
def test_which_proxy_is_used(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == proxy


def test_a_proxy_that_is_none_of_http_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://ada:secret@proxy.test:1080")
    with pytest.raises(OSError, match="HTTPS_PROXY should look like") as failed:
        find_proxy("https://slack.com/")
    assert "secret" not in str(failed.value)


@OVER_TLS
def test_web_api_and_web_socket_go_by_the_proxy(slack: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """`slack.test` is a name that only the proxy can reach."""
    slack.platform.base_url = f"https://slack.test:{slack.port}"
    with running_proxy(slack.port) as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        url = web_client(slack.api_url).apps_connections_open(app_token=slack.app_token)["url"]
        assert read_greeting(str(url))["type"] == "hello"
        assert asked == [f"CONNECT slack.test:{slack.port}"] * 2
        monkeypatch.setenv("NO_PROXY", "slack.test")
        with pytest.raises(OSError):
            web_client(slack.api_url).apps_connections_open(app_token=slack.app_token)
        assert len(asked) == 2


@OVER_TLS
def test_one_thread_at_a_time_uses_the_tls_of_a_web_socket(slack: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL allows no more. The session tickets that the server sends first are read while the request is sent."""
    at_work, together, has_read = threading.Lock(), list[str](), threading.Event()

    @contextlib.contextmanager
    def alone(what: str) -> Iterator[None]:
        free = at_work.acquire(blocking=False)
        if not free:
            together.append(what)
        try:
            yield
        finally:
            if free:
                at_work.release()

    class Watched(ssl.SSLSocket):
        def recv(self, *how: int) -> bytes:
            with alone("recv"):
                has_read.set()
                return super().recv(*how)

        def send(self, *what: Any) -> int:
            with alone("send"):
                return super().send(*what)

    handshake = ClientConnection.handshake

    def late_handshake(self: ClientConnection, *how: Any) -> None:
        assert has_read.wait(PATIENCE_S)
        handshake(self, *how)

    monkeypatch.setattr(tls_context(), "sslsocket_class", Watched)
    monkeypatch.setattr(ClientConnection, "handshake", late_handshake)
    url = web_client(slack.api_url).apps_connections_open(app_token=slack.app_token)["url"]
    has_read.clear()
    assert read_greeting(str(url))["type"] == "hello"
    assert not together


def test_nothing_else_in_the_bot_calls_out() -> None:
    """The standard library's ways bound a wait and not a call; what `send-test` posts goes to the bot itself."""
    own = {"slack/transport.py", "intake/trial.py"}
    source = Path(transport.__file__).parents[1]
    words = ("urlopen", "WebhookClient(", "HTTPConnection(", "import httpx", "SocketModeClient", " WebClient(")
    found = {
        str(path.relative_to(source)): word
        for path in source.rglob("*.py")
        for word in words
        if word in path.read_text("utf-8") and str(path.relative_to(source)) not in own
    }
    assert not found
