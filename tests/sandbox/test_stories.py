"""The main way through the sandbox: people type, press, fill in and see; a real Bolt app answers."""

from typing import Any

import pytest
from slack_bolt import App
from slack_sdk import WebClient

from sandbox import NotAcknowledged, NotThere, Sandbox
from tests.sandbox.conftest import Connect


def section(text: str, button: str | None = None, value: str = "") -> dict[str, Any]:
    block: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    if button:
        block["accessory"] = {
            "type": "button",
            "text": {"type": "plain_text", "text": button},
            "action_id": "view",
            "value": value,
        }
    return block


def test_a_command_is_answered_in_its_acknowledgement(slack: Sandbox, app: App, connect: Connect) -> None:
    ada = slack.person("U0001", name="Ada Obi", email="ada@acme.test")
    ops = slack.channel("C0001", name="checkout")

    @app.command("/incident")
    def incident(ack: Any, command: dict[str, Any]) -> None:
        assert command["channel_name"] == "checkout"
        ack(text="2 incidents", blocks=[section("#1 Fire", "View", "1"), section("#12 Flood", "View", "12")])

    pressed: list[str] = []

    @app.action("view")
    def view(ack: Any, action: dict[str, Any], respond: Any) -> None:
        pressed.append(action["value"])
        ack()
        respond(text="seen", replace_original=True, blocks=[section("seen by Ada")])

    connect(app)
    answer = ada.command("/incident", "list", channel=ops)
    assert answer.buttons == ["View", "View"]
    assert answer.message is not None and answer.message.ephemeral
    assert "#12 Flood" in answer.text

    ada.press(answer.message, "View", containing="#1")
    answer.message.wait_for(lambda m: "seen by Ada" in m.text)
    assert pressed == ["1"]
    with pytest.raises(NotThere, match="no 'View'"):
        ada.press(answer.message, "View")


def test_a_form_is_opened_filled_refused_and_closed(slack: Sandbox, app: App, connect: Connect) -> None:
    ada = slack.person("U0001", name="Ada Obi")
    bob = slack.person("U0002", name="Bob Ray")
    slack.channel("C0001", name="checkout")
    comments: list[dict[str, Any]] = []

    @app.command("/incident")
    def incident(ack: Any, command: dict[str, Any], client: WebClient) -> None:
        client.views_open(
            trigger_id=command["trigger_id"],
            view={
                "type": "modal",
                "callback_id": "resolve",
                "title": {"type": "plain_text", "text": "Resolve #12"},
                "submit": {"type": "plain_text", "text": "Resolve"},
                "blocks": [
                    {
                        "type": "input",
                        "block_id": "comment",
                        "label": {"type": "plain_text", "text": "Comment"},
                        "element": {"type": "rich_text_input", "action_id": "text"},
                    },
                    {
                        "type": "input",
                        "block_id": "project",
                        "optional": True,
                        "label": {"type": "plain_text", "text": "Project"},
                        "element": {
                            "type": "external_select",
                            "action_id": "project",
                            "min_query_length": 0,
                        },
                    },
                ],
            },
        )
        ack()

    @app.options("project")
    def projects(ack: Any, payload: dict[str, Any]) -> None:
        ack(options=[{"text": {"type": "plain_text", "text": payload["value"]}, "value": "p1"}])

    @app.view("resolve")
    def resolve(ack: Any, view: dict[str, Any]) -> None:
        values = view["state"]["values"]
        comments.append(values["comment"]["text"])
        if len(comments) == 1:
            ack(response_action="errors", errors={"comment": "Say more."})
        else:
            assert values["project"]["project"]["selected_option"]["value"] == "p1"
            ack()

    connect(app)
    assert ada.command("/incident", "resolve 12").message is None
    form = ada.wait_for_form("Resolve #12")
    assert form.submit().errors == {"Comment": "Please complete this required field."}
    form.fill("Comment", ["see ", bob]).choose("Project", "checkout")
    assert form.submit().errors == {"Comment": "Say more."}
    assert form.errors == {"Comment": "Say more."}
    assert form.value("Comment") == "see @Bob Ray"
    outcome = form.submit()
    assert outcome.closed and outcome.ok
    assert ada.form is None
    assert comments[0]["rich_text_value"]["elements"][0]["elements"] == [
        {"type": "text", "text": "see "},
        {"type": "user", "user_id": "U0002"},
    ]


def test_messages_threads_reactions_and_mentions_reach_the_app(slack: Sandbox, app: App, connect: Connect) -> None:
    ada = slack.person("U0001", name="Ada Obi")
    ops = slack.channel("C0001", name="checkout")
    heard: list[dict[str, Any]] = []

    @app.event({"type": "message", "subtype": None})
    @app.event({"type": "message", "subtype": "message_changed"})
    @app.event({"type": "message", "subtype": "message_deleted"})
    @app.event({"type": "message", "subtype": "thread_broadcast"})
    @app.event("app_mention")
    @app.event("reaction_added")
    @app.event("app_home_opened")
    def hear(event: dict[str, Any]) -> None:
        heard.append(event)

    connect(app)
    message = ada.say(ops, "hello & <goodbye>")
    ada.reply(message, "on it", broadcast=True)
    ada.edit(message, "hello again")
    ada.react(message, "eyes")
    ada.mention_bot(ops, "list")
    ada.delete(message.thread[0])
    ada.opens_home()
    slack.settle()
    slack.wait_until(lambda: len(heard) == 8)
    kinds = [(event["type"], event.get("subtype")) for event in heard]
    assert sorted(kinds, key=str) == sorted(
        [
            ("message", None),
            ("message", "thread_broadcast"),
            ("message", "message_changed"),
            ("reaction_added", None),
            ("message", None),
            ("app_mention", None),
            ("message", "message_deleted"),
            ("app_home_opened", None),
        ],
        key=str,
    )
    assert "hello &amp; &lt;goodbye&gt;" in [event.get("text") for event in heard]  # Bolt takes several at once


def test_the_app_posts_updates_and_deletes(slack: Sandbox, client: WebClient) -> None:
    ada = slack.person("U0001", name="Ada Obi")
    ops = slack.channel("C0001", name="checkout")
    posted = client.chat_postMessage(
        channel="C0001",
        text="card",
        blocks=[section("*#1* Fire")],
        metadata={"event_type": "card", "event_payload": {"id": 7}},
    )
    [card] = ada.sees(ops)
    assert card.metadata == {"event_type": "card", "event_payload": {"id": 7}}
    client.chat_update(channel="C0001", ts=posted["ts"], text="card", blocks=[section("*#1* Resolved")])
    assert card.text == "#1 Resolved"
    assert card.markup == "*#1* Resolved"
    history = client.conversations_history(channel="C0001", include_all_metadata=True)
    assert history["messages"][0]["metadata"]["event_payload"] == {"id": 7}
    direct = client.chat_postMessage(channel="U0001", text="psst")
    assert direct["channel"] == "D0001"
    assert ada.wait_for_message(containing="psst").ts == direct["ts"]
    client.chat_delete(channel="C0001", ts=posted["ts"])
    assert card.deleted and ada.sees(ops) == []


def test_an_app_that_stays_silent_is_reported(slack: Sandbox, app: App, connect: Connect) -> None:
    ada = slack.person("U0001", name="Ada Obi")
    slack.platform.deliveries.acknowledge_seconds = 0.2
    connect(app)
    with pytest.raises(NotAcknowledged):
        ada.command("/incident", "list")
    assert slack.problems.take("not_acknowledged")
