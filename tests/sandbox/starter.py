"""A small Bolt app laid out as Slack's starter templates are, for a test: it knows of the workspace what its
environment says, and nothing of the sandbox. `python -m tests.sandbox.starter`.
"""

from __future__ import annotations

import os
import re
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond, Say
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

MANIFEST: dict[str, Any] = {
    "display_information": {"name": "Starter"},
    "features": {
        "app_home": {"home_tab_enabled": True},
        "bot_user": {"display_name": "Starter", "always_online": True},
        "shortcuts": [{"name": "Ask", "type": "global", "callback_id": "ask", "description": "Opens a form"}],
        "slash_commands": [{"command": "/echo", "description": "Says it again", "should_escape": False}],
    },
    "oauth_config": {"scopes": {"bot": ["channels:history", "chat:write", "commands"]}},
    "settings": {
        "event_subscriptions": {"bot_events": ["app_home_opened", "message.channels"]},
        "interactivity": {"is_enabled": True},
        "socket_mode_enabled": True,
    },
}


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def form(answer: str) -> dict[str, Any]:
    element = {"type": "plain_text_input", "action_id": "it"}
    place = {"type": "conversations_select", "action_id": "it", "response_url_enabled": True}
    button = {"type": "button", "action_id": "suggest", "text": plain("Suggest")}
    return {
        "type": "modal",
        "callback_id": "asked",
        "title": plain("Ask"),
        "submit": plain("Submit"),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": answer}, "accessory": button},
            {"type": "input", "block_id": "question", "label": plain("Question"), "element": element},
            {"type": "input", "block_id": "place", "label": plain("Where"), "element": place},
        ],
    }


def echo(ack: Ack, respond: Respond, command: dict[str, Any]) -> None:
    ack()
    respond(f"You said {command['text']}")


def greet(context: BoltContext, say: Say) -> None:
    say(f"{context['matches'][0]}, how are you?")


def ask(ack: Ack, body: dict[str, Any], client: WebClient) -> None:
    ack()
    client.views_open(trigger_id=body["trigger_id"], view=form("What is it?"))


def suggest(ack: Ack, body: dict[str, Any], client: WebClient) -> None:
    ack()
    view = body["view"]
    client.views_update(view_id=view["id"], hash=view["hash"], view=form("Whether it rains."))


def asked(ack: Ack, body: dict[str, Any], view: dict[str, Any], client: WebClient) -> None:
    ack()
    question = view["state"]["values"]["question"]["it"]["value"]
    channel = body["response_urls"][0]["channel_id"]
    client.chat_postMessage(channel=channel, text=f"<@{body['user']['id']}> asks: {question}")


def home(event: dict[str, Any], client: WebClient) -> None:
    if event["tab"] == "home":
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": f"*Welcome, <@{event['user']}>*"}}]
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})


def main() -> None:
    """Runs until it is ended."""
    app = App(client=WebClient(os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"]))
    app.command("/echo")(echo)
    app.message(re.compile("(hi|hello)"))(greet)
    app.shortcut("ask")(ask)
    app.action("suggest")(suggest)
    app.view("asked")(asked)
    app.event("app_home_opened")(home)
    SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
