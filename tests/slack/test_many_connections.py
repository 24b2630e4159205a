"""More connections than the process may have files, from somebody without a token: people and health are answered."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import httpx
import pytest

from tests.slack.serving import Serve
from tests.stories.conftest import COMMAND, Cast

OF_THE_TEST = 500  # files that it needs beside the connections
_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
MANY = 1100 if HARD == resource.RLIM_INFINITY else min(1100, HARD - OF_THE_TEST)
SENT = (
    b"",
    b"POST /intake/events HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"POST /intake/sentry/1 HTTP/1.1\r\nHost: x\r\nSentry-Hook-Signature: 0\r\nContent-Length: 100000\r\n\r\n{",
    b"this is no HTTP\r\n\r\n",
)


@pytest.fixture
def _files() -> Iterator[None]:
    """As many as were allowed, after the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("over_http", [False, True])
def test_people_and_health_are_answered_beside_more_than_a_thousand_slow_connections(
    serve: Serve, cast: Cast, over_http: bool
) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, HARD))  # the usual number, for the process that is started
    bot = serve(over_http=over_http)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MANY + OF_THE_TEST, HARD))
    port = urlsplit(bot.url).port
    with ExitStack() as opened:
        for number in range(MANY):
            line = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port), 60)))
            line.sendall(SENT[number % len(SENT)])
        assert httpx.get(f"{bot.url}/healthz").status_code == 200
        assert httpx.get(f"{bot.url}/readyz").json()["database"] == "ok"
        cast.ben.command(COMMAND, "declare Payments fail", channel=cast.checkout)
        assert "Payments fail" in cast.ben.command(COMMAND, "list", channel=cast.checkout).text
        cast.ben.command(COMMAND, "ack 1", channel=cast.checkout)
    assert len(bot.lines) < MANY / 10, "no line for each of them"
    assert not any("out of system resource" in str(line["event"]) for line in bot.lines)
