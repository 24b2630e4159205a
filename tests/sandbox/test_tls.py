"""The workspace over TLS, and answers and sockets that make trouble."""

from __future__ import annotations

import json
import socket
import ssl
from datetime import UTC, datetime
from typing import Any, cast
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from slack_sdk import WebClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bot.slack.tls_socket import TlsSocket
from sandbox import Sandbox
from tests.patience import PATIENCE_S
from tests.sandbox.bare import receive, socket_url


def connection_over_tls(sock: ssl.SSLSocket, *given: Any, **named: Any) -> ClientConnection:
    """The library's connection, without one thread reading inside of OpenSSL while another writes."""
    return ClientConnection(cast(socket.socket, TlsSocket(sock)), *given, **named)


@pytest.fixture
def secure() -> Sandbox:
    return Sandbox(tls=True)


def test_everything_is_reached_over_tls_by_who_trusts_the_authority(secure: Sandbox) -> None:
    with secure as slack:
        trusting = ssl.create_default_context(cafile=str(slack.authority))
        client = WebClient(slack.bot_token, base_url=slack.api_url, ssl=trusting)
        assert slack.api_url.startswith("https://")
        assert client.auth_test()["team_id"] == slack.team_id
        url = str(
            WebClient(base_url=slack.api_url, ssl=trusting).apps_connections_open(app_token=slack.app_token)["url"]
        )
        assert url.startswith("wss://")
        with connect(url, ssl=trusting, create_connection=cast(Any, connection_over_tls)) as opened:
            assert receive(opened)["type"] == "hello"
            slack.drop_sockets()
            with pytest.raises(ConnectionClosed):
                opened.recv(PATIENCE_S)
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(Request(slack.api_url + "api.test", method="POST"), timeout=60)
    assert not slack.authority.exists()


def test_its_certificate_is_good_for_all_times(secure: Sandbox) -> None:
    with secure as slack:
        authority = x509.load_pem_x509_certificate(slack.authority.read_bytes())
    assert authority.not_valid_before_utc <= datetime(2020, 1, 1, tzinfo=UTC)
    assert authority.not_valid_after_utc >= datetime(2999, 1, 1, tzinfo=UTC)


def test_an_answer_that_drips_is_whole_in_the_end(slack: Sandbox) -> None:
    drips = slack.faults.drip("api.test", 0.001)
    with urlopen(Request(slack.api_url + "api.test", method="POST"), timeout=60) as answer:
        assert json.load(answer)["ok"] is True
    assert drips.hits == 1


def test_sockets_can_be_refused(slack: Sandbox) -> None:
    slack.refuse_sockets("link_disabled")
    with connect(socket_url(slack)) as socket:
        goodbye = receive(socket)
        assert (goodbye["type"], goodbye["reason"]) == ("disconnect", "link_disabled")
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE_S)
    slack.refuse_sockets(None)
    with connect(socket_url(slack)) as socket:
        assert receive(socket)["type"] == "hello"
