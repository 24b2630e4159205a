"""Driving the workspace over HTTP, as a test in another language would, and who is kept out."""

import json
import os
import signal
import subprocess
import sys
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from slack_bolt import App
from slack_sdk import WebClient

from sandbox import Sandbox
from tests.ending import SHOWS_STACKS, read_to_end, run_to_end
from tests.sandbox.conftest import Connect


class Remote:
    """A client of the control routes."""

    def __init__(self, base: str) -> None:
        self._base = base

    def send(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """POST when there is a body, else GET; gives status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            with urlopen(Request(f"{self._base}/sandbox{path}", data, sent)) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def do(self, path: str, body: Any = None) -> Any:
        status, answer = self.send(path, body)
        assert status == 200, answer
        return answer


@pytest.fixture
def remote(slack: Sandbox) -> Remote:
    return Remote(slack.platform.base_url)


def text(words: str) -> dict[str, str]:
    return {"type": "plain_text", "text": words}


def test_a_whole_story_over_http(slack: Sandbox, app: App, connect: Connect, client: WebClient, remote: Remote) -> None:
    @app.command("/incident")
    def incident(ack: Any, command: dict[str, Any]) -> None:
        button = {"type": "button", "text": text("Comment"), "action_id": "comment"}
        ack(text=f"you said {command['text']}", blocks=[{"type": "actions", "elements": [button]}])

    @app.action("comment")
    def comment(ack: Any, body: dict[str, Any]) -> None:
        element = {"type": "plain_text_input", "action_id": "text"}
        block = {"type": "input", "block_id": "b", "label": text("Comment"), "element": element}
        view = {"type": "modal", "callback_id": "f", "title": text("Say"), "submit": text("Go"), "blocks": [block]}
        client.views_open(trigger_id=body["trigger_id"], view=view)
        ack()

    @app.view("f")
    def submitted(ack: Any, view: dict[str, Any]) -> None:
        words = view["state"]["values"]["b"]["text"]["value"]
        ack(response_action="errors", errors={"b": "Longer."}) if len(words) < 3 else ack()

    for event in ("message", "reaction_added"):
        app.event(event)(lambda: None)
    connect(app)
    remote.do("/people", {"id": "U0001", "name": "Ada Obi", "email": "ada@acme.test"})
    remote.do("/people", {"id": "U0002", "name": "Bob Ray"})
    remote.do("/channels", {"id": "C0001", "name": "checkout"})
    remote.do("/usergroups", {"id": "S0001", "handle": "pay", "name": "Pay", "users": ["U0001"]})
    state = remote.do("/state")
    assert [person["handle"] for person in state["people"]] == ["tocsin", "ada", "bob"]
    assert state["sockets"] == 1

    command = {"command": "/incident", "text": "hi @bob", "channel": "C0001"}
    answer = remote.do("/people/U0001/command", command)
    message = answer["message"]
    assert message["buttons"] == ["Comment"] and message["ephemeral"]
    place = {"channel": "C0001", "ts": message["ts"]}
    remote.do("/people/U0001/press", {"on": place, "label": "Comment"})
    assert remote.do("/people/U0001/form")["title"] == "Say"
    remote.do("/people/U0001/form/fill", {"label": "Comment", "text": "no"})
    assert remote.do("/people/U0001/form/submit", {})["errors"] == {"Comment": "Longer."}
    remote.do("/people/U0001/form/fill", {"label": "Comment", "text": "longer"})
    assert remote.do("/people/U0001/form/submit", {})["closed"]
    assert remote.do("/people/U0001/form") is None

    said = remote.do("/people/U0002/say", {"channel": "C0001", "text": "hello"})
    here = {"channel": "C0001", "ts": said["ts"]}
    remote.do("/people/U0001/say", {"channel": "C0001", "text": "reply", "thread": said["ts"]})
    remote.do("/people/U0001/react", {**here, "name": "eyes"})
    remote.do("/people/U0002/edit", {**here, "text": "hello all"})
    seen = remote.do("/people/U0001/sees?channel=C0001")["messages"]
    assert [(m["text"], m["reactions"], m["replies"]) for m in seen if not m["ephemeral"]] == [
        ("hello all", {"eyes": ["U0001"]}, 1)
    ]
    query = f"/people/U0002/thread?channel=C0001&ts={said['ts']}"
    assert [m["text"] for m in remote.do(query)["messages"]] == ["reply"]
    remote.do("/people/U0002/delete", here)
    slack.settle()
    assert remote.do("/problems") == {"problems": []}
    assert any(one["name"] == "/incident" for one in remote.do("/traffic")["traffic"])
    now = remote.do("/state")["now"]
    assert remote.do("/clock/advance", {"seconds": 100})["now"] >= now + 100


def test_mistakes_are_told(slack: Sandbox, remote: Remote) -> None:
    slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    slack.platform.deliveries.acknowledge_seconds = 0.1
    status, answer = remote.send("/people/U0404/command", {"command": "/x"})
    assert (status, answer["error"]) == (409, "there is nobody with the id U0404")
    status, answer = remote.send("/people/U0001/command", {"command": "/x"})
    assert (status, answer["kind"]) == (503, "NotConnected")
    status, answer = remote.send("/people/U0001/say", {"channel": "C0404", "text": "x"})
    assert (status, answer["error"]) == (409, "channel_not_found")
    status, answer = remote.send("/people/U0001/press", {"on": "form", "label": "x"})
    assert (status, answer["kind"]) == (404, "NotThere")
    status, answer = remote.send("/people/U0001/press", {"on": {"channel": "C0001", "ts": "1.1"}, "label": "x"})
    assert (status, answer["kind"]) == (404, "NotThere")
    wrongs: list[Any] = [{}, {"command": 3}, {"command": "/x", "more": 1}, []]
    for wrong in wrongs:
        assert remote.send("/people/U0001/command", wrong)[0] == 422


def test_trouble_by_remote(slack: Sandbox, client: WebClient, remote: Remote) -> None:
    remote.do("/faults", {"kind": "refuse", "methods": "auth.test", "error": "internal_error", "times": None})
    assert client.api_call("api.test")["ok"]
    with pytest.raises(Exception, match="internal_error"):
        client.auth_test()
    remote.do("/faults/clear", {})
    assert client.auth_test()["ok"]
    remote.do("/sockets", {"do": "refresh"})
    client.token = "xoxb-wrong"
    with pytest.raises(Exception, match="invalid_auth"):
        client.auth_test()
    assert [p["kind"] for p in remote.do("/problems")["problems"]] == ["invalid_auth"]
    remote.do("/problems/clear", {})
    assert len(slack.problems) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.test"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_other_sites_are_kept_out(slack: Sandbox, remote: Remote, headers: dict[str, str], status: int) -> None:
    slack.person("U0001", "Ada Obi")
    assert remote.send("/clock/advance", {"seconds": 1}, **headers)[0] == status
    if status == 403:
        assert remote.send("/state", **headers)[0] == status


def test_the_page_s_own_origin_is_let_in(slack: Sandbox, remote: Remote) -> None:
    for host in (f"127.0.0.1:{slack.port}", f"localhost:{slack.port}"):
        assert remote.send("/clock/advance", {"seconds": 0}, Host=host, Origin=f"http://{host}")[0] == 200


def test_the_sandbox_alone() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"],
        env={**os.environ, **SHOWS_STACKS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(4)]
        settings = dict(line.split("=", 1) for line in lines)
        client = WebClient(token=settings["SLACK_BOT_TOKEN"], base_url=settings["SLACK_API_URL"])
        assert client.auth_test()["team"] == "Acme"
        remote = Remote(settings["SLACK_API_URL"].removesuffix("/api/"))
        assert remote.do("/people/U0001/sees?channel=C0001") == {"messages": []}
        port = settings["SLACK_API_URL"].split(":")[2].split("/")[0]
        second = run_to_end(["-m", "sandbox", "--port", port], env=os.environ)
        assert second.returncode == 2
        assert second.stderr.startswith(f"Port {port} cannot be used: Address already in use.")
    finally:
        process.send_signal(signal.SIGTERM)
        code, _, errors = read_to_end(process)
    assert (code, errors) == (0, "")
