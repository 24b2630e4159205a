"""Everything that an app can put in front of people can be used on the page, and arrives as Slack would send it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from slack_bolt import App
from slack_sdk import WebClient

from sandbox import Person, Sandbox
from tests.browser.conftest import OpenWindow, Shot, expect_no_dialog, message, type_command, use_tool
from tests.sandbox.conftest import Connect, app, client, connect

__all__ = ["app", "client", "connect"]


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def options(*texts: str) -> list[dict[str, Any]]:
    return [{"text": plain(text), "value": text.lower()} for text in texts]


def input_block(block_id: str, label: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "input", "block_id": block_id, "label": plain(label), "element": element, "optional": True, **more}


FORM = {
    "type": "modal",
    "callback_id": "everything",
    "title": plain("Everything"),
    "submit": plain("Submit"),
    "blocks": [
        {
            "type": "section",
            "block_id": "more",
            "text": {"type": "mrkdwn", "text": "There is *more*."},
            "accessory": {"type": "button", "action_id": "push", "text": plain("Push")},
        },
        input_block("text", "Title", {"type": "plain_text_input", "action_id": "it"}, optional=False),
        input_block("rich", "Story", {"type": "rich_text_input", "action_id": "it"}),
        input_block(
            "static", "Severity", {"type": "static_select", "action_id": "it", "options": options("Low", "High")}
        ),
        input_block("external", "Project", {"type": "external_select", "action_id": "it", "min_query_length": 1}),
        input_block("people", "Who", {"type": "multi_users_select", "action_id": "it"}),
        input_block("place", "Where", {"type": "conversations_select", "action_id": "it"}),
        input_block("day", "Day", {"type": "datepicker", "action_id": "it"}),
        input_block("time", "Hour", {"type": "timepicker", "action_id": "it"}),
        input_block("moment", "Moment", {"type": "datetimepicker", "action_id": "it"}),
        input_block("boxes", "Boxes", {"type": "checkboxes", "action_id": "it", "options": options("One", "Two")}),
        input_block("radio", "Choice", {"type": "radio_buttons", "action_id": "it", "options": options("Yes", "No")}),
        input_block("number", "Count", {"type": "number_input", "action_id": "it", "is_decimal_allowed": False}),
    ],
}


@pytest.fixture
def ada(slack: Sandbox) -> Person:
    ada = slack.person("U0001", "Ada Obi", "ada@acme.test", tz="Europe/Berlin")
    slack.person("U0002", "Ben Tal", "ben@acme.test")
    slack.channel("C0001", "checkout")
    return ada


@pytest.fixture
def slack() -> Iterator[Sandbox]:
    """A workspace whose app may do anything."""
    with Sandbox() as sandbox:
        yield sandbox
        sandbox.expect_no_problems()


def test_every_field_of_a_form(ada: Person, app: App, connect: Connect, window: OpenWindow, shot: Shot) -> None:
    submitted: list[dict[str, Any]] = []

    @app.command("/form")
    def command(ack: Any, command: dict[str, Any], client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=command["trigger_id"], view=FORM)

    @app.options("it")
    def load(ack: Any, payload: dict[str, Any]) -> None:
        ack(options=[option for option in options("Checkout", "Catalogue") if payload["value"] in option["value"]])

    @app.action("push")
    def push(ack: Any, body: dict[str, Any], client: WebClient) -> None:
        ack()
        pushed = {"type": "modal", "title": plain("More"), "blocks": [{"type": "section", "text": plain("Pushed.")}]}
        client.views_push(trigger_id=body["trigger_id"], view=pushed)

    @app.view("everything")
    def view(ack: Any, view: dict[str, Any]) -> None:
        values = view["state"]["values"]
        if values["text"]["it"]["value"] == "taken":
            ack(response_action="errors", errors={"text": "That title is <taken>."})
        else:
            submitted.append(values)
            ack()

    connect(app)
    page = window(ada, place="C0001")
    type_command(page, "/form")
    form = page.get_by_role("dialog", name="Everything")
    form.get_by_label("Title").fill("taken")
    form.get_by_label("Story").press_sequentially("A *bold* word, `code`, @ben")
    form.get_by_label("Story").press("Tab")

    form.get_by_role("button", name="Push").click()
    more = page.get_by_role("dialog", name="More")
    expect(more).to_contain_text("Pushed.")
    more.get_by_role("button", name="Back").click()
    expect(form.get_by_label("Title")).to_have_value("taken")
    expect(form.get_by_label("Story")).to_have_value("A *bold* word, `code`, @ben")

    form.get_by_role("combobox", name="Severity").click()
    page.get_by_role("option", name="High").click()
    form.get_by_role("combobox", name="Project").press_sequentially("cata")
    page.get_by_role("option", name="Catalogue").click()
    people = form.get_by_role("combobox", name="Who")
    for name in ("Ben Tal", "Ada Obi"):
        people.press_sequentially(name[:3])
        page.get_by_role("option", name=name).click()
        expect(form.get_by_role("button", name=f"Remove {name}")).to_be_visible()
    form.get_by_role("combobox", name="Where").click()
    page.get_by_role("option", name="#checkout").click()
    form.get_by_label("Day").fill("2026-03-04")
    form.get_by_label("Hour").fill("17:30")
    form.get_by_label("Moment").fill("2026-07-01T12:00")
    form.get_by_label("Two").check()
    form.get_by_label("No", exact=True).check()
    form.get_by_label("Count").fill("12")
    shot(page, "filled")
    form.get_by_role("button", name="Submit").click()
    expect(form).to_contain_text("That title is <taken>.")
    expect(form.get_by_label("Title")).to_be_focused()
    expect(form.get_by_role("combobox", name="Severity")).to_have_value("High")
    form.get_by_label("Title").fill("free")
    form.get_by_role("button", name="Submit").click()
    expect_no_dialog(page)

    [values] = submitted
    held = {block: {k: v for k, v in one["it"].items() if k != "type"} for block, one in values.items()}
    rich = held.pop("rich")["rich_text_value"]
    assert rich["elements"][0]["elements"] == [
        {"type": "text", "text": "A "},
        {"type": "text", "text": "bold", "style": {"bold": True}},
        {"type": "text", "text": " word, "},
        {"type": "text", "text": "code", "style": {"code": True}},
        {"type": "text", "text": ", "},
        {"type": "user", "user_id": "U0002"},
    ]
    chosen = {block: one["selected_option"]["value"] for block, one in held.items() if "selected_option" in one}
    assert chosen == {"static": "high", "external": "catalogue", "radio": "no"}
    assert held["text"] == {"value": "free"}
    assert held["people"] == {"selected_users": ["U0002", "U0001"]}
    assert held["place"] == {"selected_conversation": "C0001"}
    assert held["day"] == {"selected_date": "2026-03-04"}
    assert held["time"]["selected_time"] == "17:30"
    assert held["moment"] == {"selected_date_time": 1782900000}, "noon in Berlin, where Ada is"
    assert [one["value"] for one in held["boxes"]["selected_options"]] == ["two"]
    assert held["number"] == {"value": "12"}


MENU = {
    "type": "static_select",
    "action_id": "menu",
    "placeholder": plain("Severity"),
    "options": options("Low", "High"),
}
CARD = [
    {"type": "header", "text": plain("A header :tada:")},
    {
        "type": "section",
        "text": {
            "type": "mrkdwn",
            "text": "*Bold* _italic_ ~gone~ `code` <https://example.com/?a=1&amp;b=2|a ~bad~ link> <@U0002> :eyes:"
            "\n&gt; quoted &lt;b&gt;\n<!date^1782900000^{date_num} {time}|then>",
        },
        "accessory": {"type": "overflow", "action_id": "overflow", "options": options("Archive", "Delete")},
    },
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "danger",
                "style": "danger",
                "text": plain("Destroy"),
                "value": "it",
                "confirm": {
                    "title": plain("Really?"),
                    "text": plain("It does not come back."),
                    "confirm": plain("Destroy it"),
                    "deny": plain("No"),
                },
            },
            MENU,
        ],
    },
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "small print"}]},
]


def test_what_stands_in_a_message(
    slack: Sandbox, ada: Person, app: App, connect: Connect, window: OpenWindow, shot: Shot
) -> None:
    done: list[tuple[str, object]] = []

    def note(ack: Any, action: dict[str, Any]) -> None:
        ack()
        done.append((action["action_id"], action.get("value") or action["selected_option"]["value"]))

    for action_id in ("danger", "menu", "overflow"):
        app.action(action_id)(note)
    connect(app)
    app.client.chat_postMessage(channel="C0001", text="card", attachments=[{"color": "#cc2200", "blocks": CARD}])

    page = window(ada, place="C0001")
    card = message(page, "A header")
    expect(card.locator("b")).to_have_text("Bold")
    expect(card.locator("i").first).to_have_text("italic")
    expect(card.locator("s")).to_have_text(["gone", "bad"])
    expect(card.locator("blockquote")).to_have_text("quoted <b>")
    expect(card.get_by_role("link", name="a bad link")).to_have_attribute("href", "https://example.com/?a=1&b=2")
    expect(card.locator(".mention")).to_have_text("@Ben Tal")
    expect(card).to_contain_text("2026-07-01 12:00 PM")
    expect(card.locator(".attachment")).to_have_css("border-left-color", "rgb(204, 34, 0)")
    shot(page, "message")

    card.get_by_role("button", name="Destroy").click()
    question = page.get_by_role("dialog", name="Really?")
    question.get_by_role("button", name="No").click()
    expect(question).to_have_count(0)
    card.get_by_role("button", name="Destroy").click()
    page.get_by_role("button", name="Destroy it").click()
    expect(question).to_have_count(0)
    card.get_by_role("combobox", name="Severity").click()
    page.get_by_role("option", name="Low").click()
    card.get_by_role("button", name="More actions").first.click()
    page.get_by_role("menuitem", name="Archive").click()
    slack.wait_until(lambda: len(done) == 3)
    assert sorted(done) == [("danger", "it"), ("menu", "low"), ("overflow", "archive")]


def test_shortcuts_reactions_files_and_edits(
    slack: Sandbox, ada: Person, app: App, connect: Connect, window: OpenWindow
) -> None:
    called: list[str] = []
    slack.platform.menu.shortcuts += [
        {"name": "Declare", "description": "Opens a form", "callback_id": "declare", "type": "global"},
        {"name": "Make it a comment", "description": "", "callback_id": "comment", "type": "message"},
    ]

    @app.shortcut("declare")
    def declare(ack: Any) -> None:
        ack()
        called.append("declare")

    @app.shortcut("comment")
    def comment(ack: Any, payload: dict[str, Any]) -> None:
        ack()
        called.append(payload["message"]["text"])

    for event in ("message", "reaction_added", "reaction_removed"):
        app.event(event)(lambda: None)
    connect(app)
    page = window(ada, place="C0001")
    type_command(page, "Look at this")
    said = message(page, "Look at this")
    use_tool(said, "React with eyes")
    reaction = said.get_by_role("button", name="eyes, 1: Ada Obi")
    expect(reaction).to_have_attribute("aria-pressed", "true")
    reaction.click()
    expect(reaction).to_have_count(0)

    use_tool(said, "More actions")
    page.get_by_role("menuitem", name="Make it a comment").click()
    slack.wait_until(lambda: called == ["Look at this"])
    page.get_by_role("button", name="Shortcuts").click()
    page.get_by_role("menuitem", name="Declare").click()
    slack.wait_until(lambda: called == ["Look at this", "declare"])

    use_tool(said, "More actions")
    page.get_by_role("menuitem", name="Edit message").click()
    page.get_by_label("Edit message").fill("Look at that")
    page.get_by_role("button", name="Save").click()
    expect(message(page, "Look at that")).to_contain_text("(edited)")

    picture = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
        "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
    )
    chooser = page.locator("input[type=file]").first
    chooser.set_input_files({"name": "graph.png", "mimeType": "image/png", "buffer": picture})
    shown = message(page, "graph.png").get_by_role("img", name="graph.png")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1

    use_tool(message(page, "Look at that"), "More actions")
    page.get_by_role("menuitem", name="Delete message").click()
    expect(message(page, "Look at that")).to_have_count(0)
