"""What comes while somebody types or presses takes nothing from them, however late the answers are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect
from slack_bolt import App
from slack_sdk import WebClient

from sandbox import Person, Sandbox
from sandbox.errors import SandboxError
from sandbox.page.actions import Actions
from tests.browser.conftest import (
    OpenWindow,
    expect_answered,
    expect_no_dialog,
    go_to,
    leave_dialog,
    message,
    type_command,
    use_tool,
)
from tests.patience import PATIENCE_S
from tests.sandbox.conftest import Connect, app, client, connect

__all__ = ["app", "client", "connect"]

Json = dict[str, Any]
Hold = Callable[[Callable[[Json], bool]], threading.Event]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": plain(text), **more}


def build_card(text: str) -> list[Json]:
    button = {"type": "button", "action_id": "press", "text": plain("Press"), "value": "it"}
    return [section(text), {"type": "actions", "elements": [button]}]


def build_form(*blocks: Json) -> Json:
    title = {"type": "input", "block_id": "title", "label": plain("Title")}
    severity = {"type": "input", "block_id": "severity", "label": plain("Severity"), "dispatch_action": True}
    options = [{"text": plain(text), "value": text.lower()} for text in ("Low", "High")]
    return {
        "type": "modal",
        "callback_id": "form",
        "title": plain("A form"),
        "submit": plain("Submit"),
        "blocks": [
            title | {"element": {"type": "plain_text_input", "action_id": "it"}},
            severity | {"element": {"type": "static_select", "action_id": "severity", "options": options}},
            *blocks,
        ],
    }


@pytest.fixture
def ada(slack: Sandbox) -> Person:
    ada = slack.person("U0001", "Ada Obi", "ada@acme.test")
    slack.person("U0002", "Ben Tal", "ben@acme.test")
    slack.channel("C0001", "checkout")
    slack.channel("C0002", "catalogue")
    return ada


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Has the workspace keep back those acts of the page that fit, until the event that it gives is set."""

    def holding(fits: Callable[[Json], bool]) -> threading.Event:
        released, perform = threading.Event(), Actions.perform

        def late(self: Actions, asked: Json) -> Json:
            if fits(asked):
                assert released.wait(PATIENCE_S)
            return perform(self, asked)

        monkeypatch.setattr(Actions, "perform", late)
        return released

    return holding


@pytest.mark.usefixtures("slack")
def test_a_command_is_typed_when_the_one_before_it_is_answered(
    ada: Person, app: App, connect: Connect, window: OpenWindow
) -> None:
    answered: list[str] = []
    second = threading.Event()

    @app.command("/incident")
    def incident(ack: Any, command: Json) -> None:
        if command["text"] == "first":
            second.wait(0.5)  # so long, the second would have overtaken it
        else:
            second.set()
        answered.append(command["text"])
        ack(text=f"the answer to {command['text']}")

    connect(app)
    page = window(ada, place="C0001")
    type_command(page, "/incident first")
    assert page.locator(".main .message", has_text="the answer to first").count() == 1
    type_command(page, "/incident second")
    assert answered == ["first", "second"]


def test_a_press_counts_though_its_message_is_drawn_anew(
    slack: Sandbox, ada: Person, app: App, connect: Connect, client: WebClient, window: OpenWindow
) -> None:
    """The pointer goes down, the card changes, the pointer goes up. The change is shown then."""
    pressed: list[str] = []

    @app.action("press")
    def press(ack: Any, action: Json) -> None:
        ack()
        pressed.append(action["value"])

    connect(app)
    ts = client.chat_postMessage(channel="C0001", text="card", blocks=build_card("a card"))["ts"]
    page, other = window(ada, place="C0001"), window(slack.who("U0002"), place="C0001")
    button = page.get_by_role("button", name="Press")
    button.hover()
    page.mouse.down()
    client.chat_update(channel="C0001", ts=ts, text="card", blocks=build_card("another card"))
    client.chat_update(channel="C0001", ts=ts, text="card", blocks=build_card("the latest card"))
    expect(message(other, "the latest card")).to_be_visible()
    page.mouse.up()
    slack.wait_until(lambda: pressed == ["it"])
    expect(message(page, "the latest card")).to_be_visible()


def test_a_form_is_gone_when_it_is_left(
    slack: Sandbox,
    ada: Person,
    app: App,
    connect: Connect,
    client: WebClient,
    window: OpenWindow,
    hold: Hold,
) -> None:
    """What is typed next is for the page, however long the workspace takes to know of it."""

    @app.action("press")
    def press(ack: Any, body: Json) -> None:
        client.views_open(trigger_id=body["trigger_id"], view=build_form())
        ack()

    app.event("message")(lambda: None)
    connect(app)
    ts = client.chat_postMessage(channel="C0001", text="card", blocks=build_card("a card"))["ts"]
    page = window(ada, place="C0001")
    page.get_by_role("button", name="Press").click()
    expect(page.get_by_role("dialog").get_by_label("Title")).to_be_focused()
    page.keyboard.type("half a ti")
    # The button that it came from has been drawn anew meanwhile.
    client.chat_update(channel="C0001", ts=ts, text="card", blocks=build_card("another card"))
    expect(page.locator(".main .message", has_text="another card")).to_be_attached()
    closing = hold(lambda asked: asked.get("do") == "close")
    leave_dialog(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Press")).to_be_focused()
    slack.change(ada, title="Owner")  # with its news come the forms that the workspace knows of
    expect(page.get_by_role("button", name="You are Ada Obi")).to_contain_text("Owner")
    type_command(page, "typed at once")
    expect(message(page, "typed at once")).to_be_visible()
    assert ada.form is not None
    closing.set()
    slack.wait_until(lambda: ada.form is None)
    page.get_by_role("button", name="Press").click()
    expect(page.get_by_role("dialog").get_by_label("Title")).to_have_value("")
    leave_dialog(page)
    expect(page.locator(".toast")).to_have_count(0)


def test_what_is_typed_stays_when_its_form_is_drawn_anew(
    ada: Person, app: App, connect: Connect, window: OpenWindow, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = threading.Event()
    submitted: list[str] = []

    @app.command("/incident")
    def incident(ack: Any, command: Json, client: WebClient) -> None:
        client.views_open(trigger_id=command["trigger_id"], view=build_form())
        ack()

    @app.action("severity")
    def severity(ack: Any, body: Json, client: WebClient) -> None:
        assert typed.wait(PATIENCE_S)
        client.views_update(view_id=body["view"]["id"], view=build_form(section("It is high.")))
        ack()

    @app.view("form")
    def view(ack: Any, view: Json) -> None:
        value = view["state"]["values"]["title"]["it"]["value"]
        submitted.append(value)
        ack() if value == "another title" else ack(response_action="errors", errors={"title": "It is taken."})

    connect(app)
    page = window(ada, place="C0001")
    type_command(page, "/incident form")
    form = page.get_by_role("dialog", name="A form")
    title = form.get_by_label("Title")
    title.fill("half")
    form.get_by_role("combobox", name="Severity").click()
    page.get_by_role("option", name="High").click()
    filling = hold(lambda asked: asked.get("do") == "fill" and asked.get("value") == "half a title")
    title.press("End")
    page.keyboard.type(" a title")
    typed.set()
    expect(form).to_contain_text("It is high.")
    expect(title).to_have_value("half a title")
    expect(title).to_be_focused()
    filling.set()

    # What is wrong is shown before the submission has ended: it can be mended, and sent when that has.
    perform, shown = Actions.perform, threading.Event()

    def end_late(self: Actions, asked: Json) -> Json:
        answer = perform(self, asked)
        if asked.get("do") == "submit":
            assert shown.wait(PATIENCE_S)
        return answer

    monkeypatch.setattr(Actions, "perform", end_late)
    form.get_by_role("button", name="Submit").click()
    expect(form).to_contain_text("It is taken.")
    expect(title).to_have_value("half a title")
    title.fill("another title")
    expect(form.get_by_role("button", name="Submit")).to_be_disabled()
    shown.set()
    form.get_by_role("button", name="Submit").click()
    expect_no_dialog(page)
    assert submitted == ["half a title", "another title"]


def test_a_message_that_is_being_changed_may_be_drawn_anew(slack: Sandbox, ada: Person, window: OpenWindow) -> None:
    ben = slack.who("U0002")
    said = ada.say("C0001", "what was said")
    page = window(ada, place=f"C0001/{said.ts}")
    for place in (page.locator(".main"), page.get_by_role("complementary", name="Thread")):
        use_tool(place.locator(".message", has_text="what was said"), "More actions")
        page.get_by_role("menuitem", name="Edit message").click()
        editor = place.get_by_label("Edit message")
        editor.fill("what was said, ch")
        ben.react(said, "eyes")
        expect(place.get_by_role("button", name="eyes, 1: Ben Tal")).to_be_visible()
        expect(editor).to_be_focused()
        page.keyboard.type("anged")
        ben.unreact(said, "eyes")
        expect(page.get_by_role("button", name="eyes, 1")).to_have_count(0)
        expect(editor).to_have_value("what was said, changed")
        place.get_by_role("button", name="Save").click()
        expect(editor).to_have_count(0)
        expect(place.locator(".message", has_text="what was said, changed")).to_contain_text("(edited)")


def test_what_could_not_be_sent_is_there_again_where_it_was_typed(
    ada: Person, window: OpenWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has gone elsewhere, and writes there, when it turns out; or writes on while a file is on its way."""
    failing, perform = threading.Event(), Actions.perform

    def fail(self: Actions, asked: Json) -> Json:
        if asked.get("text") == "for checkout":
            assert failing.wait(PATIENCE_S)
            raise SandboxError("It was refused.")
        return perform(self, asked)

    monkeypatch.setattr(Actions, "perform", fail)
    page = window(ada, place="C0001")
    composer = page.locator("#composer")
    composer.fill("for checkout")
    composer.press("Enter")
    go_to(page, "catalogue")
    failing.set()
    expect(page.get_by_role("status").filter(has_text="It was refused.")).to_be_visible()
    expect_answered(page)
    expect(composer).to_have_value("")
    go_to(page, "checkout")
    expect(composer).to_have_value("for checkout")

    underway: list[Route] = []
    page.route("**/page/files?*", lambda route: underway.append(route))
    with page.expect_request("**/page/files?*"):
        page.locator("input[type=file]").first.set_input_files(
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"notes"}
        )
    composer.fill("typed meanwhile")
    underway[0].continue_()
    expect(message(page, "notes.txt")).to_contain_text("for checkout")
    expect(composer).to_have_value("typed meanwhile")
