"""What people at a terminal type with curl, and what they read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from slack_bolt import App

from sandbox import Person, Sandbox
from tests.sandbox.conftest import Connect


@pytest.fixture
def ada(slack: Sandbox) -> Person:
    ada = slack.person("U0001", "Ada Obi", "ada@acme.test")
    slack.channel("C0001", "checkout")
    return ada


def type_text(slack: Sandbox, path: str, text: str | bytes, **headers: str) -> httpx.Response:
    """Sends what curl would send for `-d`."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    content = text if isinstance(text, bytes) else text.encode()
    return httpx.post(f"{slack.platform.base_url}/type/{path}", content=content, headers={**form, **headers})


def test_a_command_is_answered_with_what_the_person_reads(
    slack: Sandbox, ada: Person, app: App, connect: Connect
) -> None:
    @app.command("/incident")
    def incident(ack: Any, command: dict[str, Any], client: Any) -> None:
        if command["text"] == "form":
            ack()
            view = {
                "type": "modal",
                "title": {"type": "plain_text", "text": "Declare"},
                "blocks": [{"type": "divider"}],
            }
            client.views_open(trigger_id=command["trigger_id"], view=view)
        elif command["text"] == "nothing":
            ack()
        else:
            ack(text=f":eyes: :red_circle: :no_such: *{command['channel_name']}* {command['text']}")

    connect(app)
    answer = type_text(slack, "ada/checkout", "/incident list <all>")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "👀 🔴 :no_such: checkout list <all>\n"
    assert "directmessage" in type_text(slack, ada.id, "/incident list").text
    assert type_text(slack, "ada", "/incident nothing").text == "The app acknowledged it, without a message.\n"
    assert type_text(slack, "ada", "/incident form").text == "A form is open on the page: Declare\n"
    assert type_text(slack, "ada/checkout", "Good morning").text == "Good morning\n"
    assert [message.text for message in ada.sees("C0001")][-1] == "Good morning"


@pytest.mark.usefixtures("ada")
def test_a_mistake_is_a_sentence(slack: Sandbox) -> None:
    assert type_text(slack, "zoe", "/incident").text == "Nobody here is called zoe.\n"
    assert type_text(slack, "ada/none", "/incident").text == "There is no channel none.\n"
    assert type_text(slack, "ada", b"\xff").status_code == 422
    assert type_text(slack, "ada", "x" * 200_001).status_code == 413
    slack.platform.deliveries.acknowledge_seconds = 0.1
    assert "no app is there" in type_text(slack, "ada", "/incident list").text


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("headers", [{"Origin": "http://evil.test"}, {"Origin": "null"}, {"Host": "evil.test"}])
def test_no_other_site_types_anything(slack: Sandbox, headers: dict[str, str]) -> None:
    assert type_text(slack, "ada/checkout", "hello", **headers).status_code == 403
    assert slack.messages("C0001") == []
