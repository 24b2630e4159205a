"""Outgoing HTTP calls: with a time-out for the whole call, through the proxy of the environment, without redirects.

A time-out of the standard library is for one read, so an answer that sends a byte a second would never end. Here every
read gets what is left of the time of the call.

A connection is kept for the next call for a short time, because a handshake takes longer than most calls.
"""

from __future__ import annotations

import base64
import io
import ipaddress
import os
import select
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from http import HTTPStatus
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
    LineTooLong,
    UnknownProtocol,
)
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from bot import USER_AGENT

_MOST_HEADERS, _LONGEST_HEADER = 100, 65_536


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response with any status."""

    status: int
    headers: dict[str, str]  # by their names in lower case
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; Slack's answers are UTF-8."""
        return self.body.decode("utf-8", "replace")


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> HttpAnswer:
    """Posts `body` and returns the response, within `timeout_s` seconds.

    Raises OSError (TimeoutError, ConnectionError, socket.gaierror).
    """
    return call("POST", url, body, headers, timeout_s=timeout_s)


def call(method: str, url: str, body: bytes | None, headers: Mapping[str, str], *, timeout_s: float) -> HttpAnswer:
    """Makes an HTTP request and returns the response, within `timeout_s` seconds.

    Raises OSError (TimeoutError, ConnectionError, socket.gaierror).
    """
    parts, proxy = urlsplit(url), find_proxy(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    sent = {"User-Agent": USER_AGENT, **headers}
    if proxy and parts.scheme == "http":
        target, sent = url, {**sent, **_authorization(urlsplit(proxy))}
    place = (parts.scheme, parts.netloc, proxy)
    connection = _idle.take(place) or _open(parts, proxy, timeout_s)
    try:
        connection.begin(timeout_s)
        connection.request(method, target, body, sent)
        with connection.getresponse() as response:
            answer = HttpAnswer(response.status, dict(response.headers), response.read())
            reusable = not response.will_close
    except HTTPException as error:
        connection.close()
        raise ConnectionError(f"the answer broke off: {error or type(error).__name__}") from error
    except BaseException:
        connection.close()
        raise
    if reusable:
        _idle.put(place, connection)
    else:
        connection.close()
    return answer


def _open(parts: SplitResult, proxy: str | None, timeout_s: float) -> _DeadlineConnection:
    """A connection that is not open yet. Raises OSError for a URL that is not one of HTTP."""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OSError(f"not a URL of HTTP: {parts.scheme}://{parts.hostname or ''}")
    via = urlsplit(proxy) if proxy else parts
    host = str(via.hostname)
    if parts.scheme == "http":
        return _DeadlineConnection(host, via.port, timeout=timeout_s)
    connection = _DeadlineTlsConnection(
        host, via.port or (80 if proxy else 443), timeout=timeout_s, context=tls_context()
    )
    if proxy:
        connection.set_tunnel(parts.hostname, parts.port or 443, _authorization(via))
    return connection


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    return {"Proxy-Authorization": build_basic_credentials(unquote(proxy.username), unquote(proxy.password or ""))}


def build_basic_credentials(name: str, password: str) -> str:
    """The value of a header that identifies a client by a name and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


_PROXY_VARIABLES = (
    *(name for lower in ("http_proxy", "https_proxy", "no_proxy") for name in (lower, lower.upper())),
    "REQUEST_METHOD",  # where it is set, the standard library ignores HTTP_PROXY
)


def find_proxy(url: str) -> str | None:
    """The proxy for an address (`http`, `https`, `ws`, `wss`), by HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

    Loopback addresses need no proxy: None. Raises OSError for a proxy that does not speak HTTP.
    """
    parts = urlsplit(url)
    variable = "https" if parts.scheme in ("https", "wss") else "http"
    host = parts.netloc.rpartition("@")[2]
    return _find_proxy(variable, host, parts.hostname or "", tuple(map(os.environ.get, _PROXY_VARIABLES)))


@lru_cache  # the standard library goes through the whole environment each time
def _find_proxy(variable: str, host: str, hostname: str, _environment: tuple[str | None, ...]) -> str | None:
    proxy = urllib.request.getproxies().get(variable)
    if not proxy or _is_loopback(hostname) or urllib.request.proxy_bypass(host):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme != "http" or not urlsplit(proxy).hostname:
        raise OSError(f"{variable.upper()}_PROXY should look like http://proxy.example:3128")
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls_context() -> ssl.SSLContext:
    """The TLS context: trusts the system's certificates, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
    return _trusting(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache  # loading the system's certificates takes longer than a call
def _trusting(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return ssl.create_default_context()


class _DeadlineConnection(HTTPConnection):
    """A connection whose requests must each end within a time."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # This class also reads a proxy's answer to CONNECT.
        self.response_class = partial(_DeadlineResponse, left=self._left)  # type: ignore[assignment]

    def begin(self, timeout_s: float) -> None:
        """Has the next request end within `timeout_s` seconds from now."""
        self.timeout = timeout_s
        self._until = time.monotonic() + timeout_s

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.timeout:g} s")
        return left

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._left())  # for the TLS handshake

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self._left())
        super().send(data)


class _DeadlineTlsConnection(HTTPSConnection, _DeadlineConnection):
    """The same over TLS: the first base does the handshake after the second has connected."""


class _DeadlineResponse(HTTPResponse):
    """A response that is read within the time of its call."""

    def __init__(self, sock: socket.socket, *given: Any, left: Callable[[], float], **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.fp = io.BufferedReader(_Reader(sock, self.fp, left))

    def begin(self) -> None:
        """Reads the status and the headers.

        The base has the headers parsed as those of an e-mail, which takes longer than everything else of a call.
        """
        status = 0
        while status in (0, HTTPStatus.CONTINUE):
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            headers = self._read_headers()
        if not version.startswith("HTTP/1."):
            raise UnknownProtocol(version)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version == "HTTP/1.0" else 11
        self.headers = self.msg = headers  # type: ignore[assignment]
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = headers.get("content-length", "")
        self.length = int(length) if length.isascii() and length.isdigit() and not self.chunked else None
        if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED) or status < HTTPStatus.OK:
            self.length = 0
        endless = not self.chunked and self.length is None
        self.will_close = endless or self._check_close()  # type: ignore[attr-defined]

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = self.fp.readline(_LONGEST_HEADER + 1)
            if len(line) > _LONGEST_HEADER:
                raise LineTooLong("header")
            if line in (b"\r\n", b"\n"):
                return headers
            if not line:
                raise IncompleteRead(b"")
            name, _, value = line.decode("latin-1").partition(":")
            name = name.lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        raise LineTooLong("headers")


class _Reader(io.RawIOBase):
    """Reads from a socket. Each read has the time-out that is left of the call."""

    def __init__(self, sock: socket.socket, file: io.BufferedIOBase, left: Callable[[], float]) -> None:
        self._sock, self._file, self._left = sock, file, left  # the socket is open as long as its file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._left())
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _IdleConnections:
    """Connections that wait for the next call to the same place. Thread-safe."""

    # Servers close idle connections, at the earliest after some seconds. A call that meets the close would have an
    # unknown outcome.
    KEPT_S = 2.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[object, _DeadlineConnection, float]] = []  # the one that was used last is the last

    def take(self, place: object) -> _DeadlineConnection | None:
        """Returns a connection to the place that is still open, or None."""
        while True:
            with self._lock:
                found = next((one for one in reversed(self._waiting) if one[0] == place), None)
                if found is None:
                    return None
                self._waiting.remove(found)
            _, connection, since = found
            if time.monotonic() - since < self.KEPT_S and not _has_input(connection.sock):
                return connection
            connection.close()

    def put(self, place: object, connection: _DeadlineConnection) -> None:
        """Keeps a connection, and closes those that have waited too long."""
        now = time.monotonic()
        with self._lock:
            old = [one for one in self._waiting if now - one[2] >= self.KEPT_S]
            self._waiting = [*self._waiting[len(old) :], (place, connection, now)]
        for _, one, _ in old:
            one.close()


def _has_input(sock: socket.socket) -> bool:
    """Whether something arrived that nobody asked for: most likely the end of the connection."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


_idle = _IdleConnections()
