"""Outgoing HTTP calls: with a time-out for the whole call, through the proxy of the environment, without redirects.

A time-out of the standard library is for one read, so an answer that sends a byte a second would never end. Here every
read gets what is left of the time of the call.
"""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from bot import USER_AGENT


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response with any status."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; Slack's answers are UTF-8."""
        return self.body.decode("utf-8", "replace")


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> HttpAnswer:
    """Posts `body` and returns the response, within `timeout_s` seconds.

    Raises OSError (URLError, TimeoutError, ConnectionError).
    """
    opener = _build_opener(urlsplit(url).scheme, find_proxy(url))
    request = urllib.request.Request(url, body, {"User-Agent": USER_AGENT, **headers}, method="POST")
    try:
        with opener.open(request, timeout=timeout_s) as response:
            return HttpAnswer(response.status, dict(response.headers.items()), response.read())
    except HTTPException as error:
        raise ConnectionError(f"the answer broke off: {error or type(error).__name__}") from error


@lru_cache  # building it takes as long as a request to a machine nearby
def _build_opener(scheme: str, proxy: str | None) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    handlers = (urllib.request.ProxyHandler({scheme: proxy} if proxy else {}), _Http(), _Https())
    for handler in (*handlers, urllib.request.UnknownHandler()):
        opener.add_handler(handler)
    return opener


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
    """A connection for one request, which must end `timeout` seconds after it began."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        assert self.timeout is not None
        self._until = time.monotonic() + self.timeout
        # This class also reads a proxy's answer to CONNECT.
        self.response_class = partial(_DeadlineResponse, left=self._left)  # type: ignore[assignment]

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
    def __init__(self, sock: socket.socket, *given: Any, left: Callable[[], float], **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.fp = io.BufferedReader(_Reader(sock, self.fp, left))


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


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_DeadlineConnection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_DeadlineTlsConnection, req, context=tls_context())
