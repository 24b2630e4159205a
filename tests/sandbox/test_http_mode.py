"""HTTP mode: a Bolt app behind a plain HTTP server gets everything as signed requests."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from slack_bolt import App, BoltRequest
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier

from sandbox import NotAcknowledged, NotConnected, Sandbox, SandboxError
from sandbox.clock import Clock

Serve = Callable[[App], str]


class Requests:
    """What the app's server was sent."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.bodies: list[str] = []
        self.broken = 0  # how many requests are to fail
        self.no_retry = False
        self.dropped = 0  # how many are to be cut off


@pytest.fixture(autouse=True)
def _at_the_machines_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bolt and the SDK check the age of a signature by the machine's clock."""
    monkeypatch.setattr(Clock, "base_s", 0.0)


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def serve(requests: Requests) -> Iterator[Serve]:
    """Put an app behind HTTP, and give its URL."""
    servers = []

    def serve(app: App) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                requests.headers.append({key.lower(): value for key, value in self.headers.items()})
                requests.bodies.append(body)
                if requests.dropped:
                    requests.dropped -= 1
                    self.close_connection = True
                    return
                if requests.broken:
                    requests.broken -= 1
                    extra = {"X-Slack-No-Retry": ["1"]} if requests.no_retry else {}
                    self.answer(503, extra, "sorry")
                    return
                headers: dict[str, str | Sequence[str]] = dict(self.headers.items())
                response = app.dispatch(BoltRequest(body=body, headers=headers))
                self.answer(response.status, response.headers, response.body or "")

            def answer(self, status: int, headers: Any, body: str) -> None:
                self.send_response(status)
                for key, values in headers.items():
                    self.send_header(key, values[0])
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments: object) -> None:
                """Keep the tests' output clean."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/slack/events"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def http_app(slack: Sandbox, client: WebClient) -> App:
    return App(client=client, signing_secret=slack.signing_secret, process_before_response=True)


def test_everything_travels_signed(slack: Sandbox, http_app: App, serve: Serve, requests: Requests) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    heard: list[str] = []
    blocks = [
        {
            "type": "actions",
            "elements": [
                {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "go"},
                {"type": "external_select", "action_id": "pick", "min_query_length": 0},
            ],
        }
    ]

    @http_app.command("/incident")
    def incident(ack: Any, command: dict[str, Any]) -> None:
        if command["text"] == "plain":
            ack("only text")
        else:
            ack(text="list", blocks=blocks)

    @http_app.action("go")
    def go(ack: Any, respond: Any) -> None:
        ack()
        respond(text="gone", replace_original=True)

    @http_app.options("pick")
    def pick(ack: Any) -> None:
        ack(options=[{"text": {"type": "plain_text", "text": "One"}, "value": "1"}])

    @http_app.event("message")
    def message(event: dict[str, Any]) -> None:
        heard.append(event["text"])

    slack.use_http(serve(http_app))
    answer = ada.command("/incident", "list", channel="C0001")
    assert answer.message is not None
    assert ada.options(answer.message, "pick") == ["One"]
    ada.press(answer.message, "Go")
    assert answer.message.text == "gone"
    assert ada.command("/incident", "plain", channel="C0001").text == "only text"
    ada.say("C0001", "äöü & more")
    slack.settle()
    assert heard == ["äöü &amp; more"]
    verifier = SignatureVerifier(slack.signing_secret)
    for headers, body in zip(requests.headers, requests.bodies, strict=True):
        assert verifier.is_valid_request(body, headers)
        assert headers["user-agent"].startswith("Slackbot 1.0")
        assert "x-slack-retry-num" not in headers
    kinds = [headers["content-type"] for headers in requests.headers]
    assert kinds == ["application/json", *["application/x-www-form-urlencoded"] * 4, "application/json"]


def test_events_are_tried_again_with_headers(slack: Sandbox, http_app: App, serve: Serve, requests: Requests) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    http_app.event("message")(lambda: None)
    slack.use_http(serve(http_app))
    requests.broken = 2
    ada.say("C0001", "hello")
    slack.settle()
    assert len(requests.bodies) == 3
    slack.clock.advance(60)
    slack.wait_until(lambda: len(requests.bodies) == 4)
    slack.settle()
    assert [headers.get("x-slack-retry-num") for headers in requests.headers[1:]] == [None, "1", "2"]
    assert requests.headers[-1]["x-slack-retry-reason"] == "http_error"
    assert len(set(requests.bodies[1:])) == 1
    assert len(slack.problems.take("http_error")) == 2
    requests.broken, requests.no_retry = 1, True
    ada.say("C0001", "please not again")
    slack.settle()
    slack.clock.advance(1_000)
    slack.settle()
    assert len(requests.bodies) == 5
    assert slack.problems.take("http_error")


def test_an_interaction_is_not_tried_again(slack: Sandbox, http_app: App, serve: Serve, requests: Requests) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.use_http(serve(http_app))
    requests.broken = 1
    with pytest.raises(NotAcknowledged):
        ada.command("/incident")
    assert len(requests.bodies) == 2
    assert slack.problems.take("http_error")


def test_a_url_at_which_nobody_listens_is_named(slack: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/slack/events"
        with pytest.raises(SandboxError, match=f"{url} takes no connection"):
            slack.use_http(url)


def test_a_url_must_answer_the_challenge_and_be_there(
    slack: Sandbox, http_app: App, serve: Serve, requests: Requests
) -> None:
    ada = slack.person("U0001", "Ada Obi")
    url = serve(http_app)
    requests.broken = 1
    with pytest.raises(SandboxError, match="challenge"):
        slack.use_http(url)
    slack.use_http(url)
    requests.dropped = 1
    with pytest.raises(NotConnected):
        ada.command("/incident")
    assert len(requests.bodies) == 3  # two challenges, and a command that was sent once


def test_an_app_with_another_secret_refuses_everything(slack: Sandbox, client: WebClient, serve: Serve) -> None:
    stranger = App(client=client, signing_secret="another", process_before_response=True)
    with pytest.raises(SandboxError, match="401"):
        slack.use_http(serve(stranger))
