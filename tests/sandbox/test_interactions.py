"""Triggers, response URLs, forms on forms: what an app may do with an interaction, and until when."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from slack_bolt import App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox import Form, NotThere, Person, Sandbox, interactions
from tests.sandbox.bare import BareApp
from tests.sandbox.conftest import Connect


def text(words: str) -> dict[str, str]:
    return {"type": "plain_text", "text": words}


def button(label: str, action_id: str = "go") -> dict[str, Any]:
    return {"type": "button", "text": text(label), "action_id": action_id, "value": label}


def field(block_id: str, label: str, **more: Any) -> dict[str, Any]:
    element = {"type": "plain_text_input", "action_id": "text"} | more.pop("element", {})
    return {"type": "input", "block_id": block_id, "label": text(label), "element": element, **more}


def modal(title: str, *blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": text(title), "submit": text("Send"), "blocks": list(blocks), **more}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(SlackApiError) as caught:
        call()
    return str(caught.value.response["error"])


def respond(url: str, payload: Any) -> str:
    request = Request(url, json.dumps(payload).encode(), {"Content-Type": "application/json"})
    with urlopen(request) as response:
        return str(response.read().decode())


def response_error(url: str, payload: Any) -> tuple[int, str]:
    with pytest.raises(HTTPError) as caught:
        respond(url, payload)
    with caught.value as error:
        return error.code, str(json.load(error)["error"])


class Scene:
    """Ada in a workspace with an app that acknowledges everything and remembers the last payload and the last event.

    What somebody does waits for the app, but events arrive at any time after it.
    """

    def __init__(self, slack: Sandbox, app: App, connect: Connect, client: WebClient) -> None:
        self.slack, self.client = slack, client
        self.ada: Person = slack.person("U0001", "Ada Obi")
        self.ops = slack.channel("C0001", "checkout")
        self.payload: dict[str, Any] = {}
        self.event: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}

        @app.middleware
        def everything(body: dict[str, Any], ack: Any) -> Any:
            if "event" in body:
                self.event = body["event"]
                return ack()
            self.payload = body
            return ack(**self.answer) if self.answer else ack()

        connect(app)

    def command(self) -> dict[str, Any]:
        self.ada.command("/incident", "x", channel=self.ops)
        return self.payload

    def form(self, *blocks: dict[str, Any], title: str = "Form", **more: Any) -> Form:
        trigger = self.command()["trigger_id"]
        self.client.views_open(trigger_id=trigger, view=modal(title, *blocks, **more))
        return self.ada.wait_for_form(title)


@pytest.fixture
def scene(slack: Sandbox, app: App, connect: Connect, client: WebClient) -> Scene:
    return Scene(slack, app, connect, client)


def test_a_trigger_opens_one_form_within_its_time(scene: Scene) -> None:
    open_ = scene.client.views_open
    view = modal("Form", field("a", "A"))
    first = scene.command()["trigger_id"]
    open_(trigger_id=first, view=view)
    assert refused(lambda: open_(trigger_id=first, view=view)) == "exchanged_trigger_id"
    late = scene.command()["trigger_id"]
    scene.slack.clock.advance(interactions.TRIGGER_SECONDS + 0.1)
    assert refused(lambda: open_(trigger_id=late, view=view)) == "expired_trigger_id"
    assert refused(lambda: open_(trigger_id="1.2.abc", view=view)) == "invalid_trigger_id"
    wrong = modal("A title that is much too long for it", field("a", "A"))
    with pytest.raises(SlackApiError) as caught:
        open_(trigger_id=scene.command()["trigger_id"], view=wrong)
    assert caught.value.response["error"] == "invalid_arguments"
    assert "/view/title/text" in caught.value.response["response_metadata"]["messages"][0]
    assert len(scene.slack.problems) == 4
    scene.slack.problems.clear()


def test_a_response_url_takes_five_answers_in_thirty_minutes(scene: Scene) -> None:
    url = scene.command()["response_url"]
    assert respond(url, {"text": "one"}) == "ok"
    for number in range(4):
        respond(url, {"text": f"more {number}"})
    assert response_error(url, {"text": "six"}) == (404, "used_url")
    late = scene.command()["response_url"]
    scene.slack.clock.advance(30 * 60 + 1)
    assert response_error(late, {"text": "late"}) == (404, "expired_url")
    fresh = scene.command()["response_url"]
    assert response_error(fresh + "x", {"text": "x"}) == (404, "invalid_url")
    assert response_error(fresh, ["x"]) == (400, "invalid_payload")
    assert response_error(fresh, {"blocks": [{"type": "nonsense"}]}) == (404, "invalid_blocks")
    assert response_error(fresh, {"blocks": []}) == (404, "no_text")
    assert [m.text for m in scene.ada.sees(scene.ops)][:2] == ["one", "more 0"]
    assert len(scene.slack.problems) == 6
    scene.slack.problems.clear()


def test_a_response_url_changes_or_deletes_the_message_it_came_from(scene: Scene) -> None:
    ts = scene.client.chat_postMessage(
        channel="C0001", text="card", blocks=[{"type": "actions", "elements": [button("Go")]}]
    )["ts"]
    [card] = scene.ada.sees(scene.ops)
    scene.ada.press(card, "Go")
    url = scene.payload["response_url"]
    respond(url, {"replace_original": True, "text": "changed"})
    assert (card.ts, card.text, card.buttons) == (ts, "changed", [])
    respond(url, {"text": "to her alone"})
    respond(url, {"text": "to all", "response_type": "in_channel"})
    assert [m.text for m in scene.slack.messages(scene.ops)] == ["changed", "to all"]
    assert [m.text for m in scene.ada.sees(scene.ops)] == ["changed", "to her alone", "to all"]
    respond(url, {"delete_original": "true"})
    assert card.deleted


def test_an_ephemeral_message_is_changed_through_its_url_alone(scene: Scene) -> None:
    scene.answer = {"text": "list", "blocks": [{"type": "actions", "elements": [button("Go")]}]}
    answer = scene.ada.command("/incident", "list", channel=scene.ops)
    message = answer.message
    assert message is not None and message.ephemeral
    scene.answer = {}
    scene.ada.press(message, "Go")
    assert scene.payload["container"]["is_ephemeral"] and "message" not in scene.payload
    respond(scene.payload["response_url"], {"replace_original": True, "text": "page 2"})
    assert message.text == "page 2"
    update = scene.client.chat_update
    assert refused(lambda: update(channel="C0001", ts=message.ts, text="x")) == "message_not_found"
    respond(scene.payload["response_url"], {"delete_original": True})
    assert message.deleted and scene.ada.sees(scene.ops) == []


def test_a_command_s_url_has_no_original(scene: Scene) -> None:
    # github.com/slackapi/bolt-js/issues/2287: Slack posts a new message instead of replacing the first answer.
    url = scene.command()["response_url"]
    respond(url, {"text": "one"})
    respond(url, {"replace_original": True, "text": "two"})
    assert [m.text for m in scene.ada.sees(scene.ops)] == ["one", "two"]
    assert response_error(url, {"delete_original": True}) == (404, "no_original")
    assert len(scene.slack.problems.take("no_original")) == 2


def test_an_answer_to_a_click_in_a_thread_stands_in_the_channel(scene: Scene) -> None:
    root = scene.ada.say(scene.ops, "root")
    blocks = [{"type": "actions", "elements": [button("Go")]}]
    scene.client.chat_postMessage(channel="C0001", thread_ts=root.ts, text="x", blocks=blocks)
    scene.ada.press(root.thread[0], "Go")
    assert scene.payload["container"]["thread_ts"] == root.ts
    url = scene.payload["response_url"]
    respond(url, {"text": "in the channel", "response_type": "in_channel"})
    respond(url, {"text": "in the thread", "response_type": "in_channel", "thread_ts": root.ts})
    assert [m.text for m in scene.slack.messages(scene.ops)] == ["root", "in the channel"]
    assert [m.notification for m in root.thread] == ["x", "in the thread"]


def test_forms_stand_on_each_other_three_high(scene: Scene) -> None:
    bottom = scene.form(field("a", "A", optional=True), title="One")
    actions = {"type": "actions", "elements": [button("More")]}
    ids = [bottom.view.id]
    for title in ("Two", "Three"):
        top = scene.ada.form
        assert top is not None
        scene.client.views_update(view_id=ids[-1], view=modal(top.title, actions))
        scene.ada.press(top, "More")
        pushed = scene.client.views_push(trigger_id=scene.payload["trigger_id"], view=modal(title, actions))["view"]
        assert pushed["previous_view_id"] == ids[-1] and pushed["root_view_id"] == ids[0]
        ids.append(pushed["id"])
    assert scene.ada.form == scene.ada.wait_for_form("Three")
    scene.ada.press(scene.ada.wait_for_form(), "More")
    trigger = scene.payload["trigger_id"]
    assert refused(lambda: scene.client.views_push(trigger_id=trigger, view=modal("X", actions))) == (
        "push_limit_reached"
    )
    assert scene.ada.wait_for_form("Three").submit().closed
    two = scene.ada.wait_for_form("Two")
    scene.answer = {"response_action": "clear"}
    assert two.submit().closed
    forms = scene.slack.platform.views.stacks
    assert "U0001" not in forms
    assert refused(lambda: scene.client.views_update(view_id=ids[0], view=modal("X", actions))) == "not_found"
    assert scene.slack.problems.take("push_limit_reached")


def test_what_an_update_keeps_and_what_a_hash_guards(scene: Scene) -> None:
    form = scene.form(field("a", "A"), field("b", "B", optional=True))
    form.fill("A", "kept").fill("B", "lost")
    old = form.view.hash
    updated = scene.client.views_update(
        view_id=form.view.id, hash=old, view=modal("Form", field("a", "A"), field("c", "B", optional=True))
    )
    assert updated["view"]["state"]["values"]["a"]["text"]["value"] == "kept"
    assert form.value("B") is None
    conflict = modal("Form", field("a", "A"))
    update = scene.client.views_update
    assert refused(lambda: update(view_id=form.view.id, hash=old, view=conflict)) == "hash_conflict"
    assert refused(lambda: update(external_id="nobody", view=conflict)) == "not_found"


def test_external_ids_are_unique_among_open_forms(scene: Scene) -> None:
    form = scene.form(field("a", "A"), external_id="mine")
    trigger = scene.command()["trigger_id"]
    view = modal("Other", field("a", "A"), external_id="mine")
    assert refused(lambda: scene.client.views_open(trigger_id=trigger, view=view)) == "duplicate_external_id"
    scene.client.views_update(external_id="mine", view=modal("Updated", field("a", "A"), external_id="mine"))
    assert form.title == "Updated"
    assert scene.slack.problems.take("duplicate_external_id")


def test_closing_tells_where_the_app_asked_to_be_told(scene: Scene) -> None:
    form = scene.form(field("a", "A"), notify_on_close=True, private_metadata="12")
    form.close()
    assert scene.payload["type"] == "view_closed" and not scene.payload["is_cleared"]
    assert scene.payload["view"]["private_metadata"] == "12"
    with pytest.raises(NotThere, match="closed"):
        form.submit()


def test_a_submission_is_held_back_by_slack_itself(scene: Scene) -> None:
    form = scene.form(
        field("a", "A", element={"min_length": 3, "max_length": 5}),
        field("b", "B"),
    )
    before = len(scene.slack.sent)
    form.fill("A", "xx")
    assert form.submit().errors == {
        "A": "Must be at least 3 characters",
        "B": "Please complete this required field.",
    }
    form.fill("A", "xxxxxx").fill("B", "x")
    assert set(form.submit().errors) == {"A"}
    assert len(scene.slack.sent) == before


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"nowhere": "x"}},
        {"response_action": "errors", "errors": {}},
        {"response_action": "update"},
        {"response_action": "shout"},
        {"text": "hello"},
    ],
)
def test_an_answer_to_a_form_that_slack_does_not_know(
    slack: Sandbox, client: WebClient, sockets: ExitStack, answer: dict[str, Any]
) -> None:
    ada = slack.person("U0001", "Ada Obi")
    bare = BareApp(slack, sockets)
    ada.command("/incident")
    client.views_open(trigger_id=bare.last["trigger_id"], view=modal("Form", field("a", "A", optional=True)))
    form = ada.wait_for_form()
    bare.answer = answer
    assert form.submit().errors == {"": "We had some trouble connecting. Try again?"}
    assert form.open
    assert slack.problems.take("invalid_response_action")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"blocks": [{"type": "nonsense"}]}, "invalid_blocks"),
        ({"response_type": "ephemeral"}, "no_text"),
        ("hello", "invalid_acknowledgement"),
    ],
)
def test_an_answer_to_a_command_that_slack_does_not_show(
    slack: Sandbox, sockets: ExitStack, answer: Any, problem: str
) -> None:
    ada = slack.person("U0001", "Ada Obi")
    BareApp(slack, sockets).answer = answer
    assert ada.command("/incident").message is None
    assert slack.problems.take(problem)


def test_options_that_slack_does_not_show(slack: Sandbox, client: WebClient, sockets: ExitStack) -> None:
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "checkout")
    select = {
        "type": "external_select",
        "action_id": "pick",
        "placeholder": text("Pick one"),
        "min_query_length": 1,
    }
    client.chat_postMessage(channel="C0001", text="x", blocks=[{"type": "actions", "elements": [select]}])
    [message] = ada.sees("C0001")
    bare = BareApp(slack, sockets)
    slack.settle()
    options = [{"text": text("One"), "value": "1"}, {"text": text("Two"), "value": "2"}]
    for wrong in ({}, {"options": "x"}, {"options": options, "option_groups": []}, {"options": options * 51}):
        bare.answer = wrong
        assert ada.options(message, "Pick one", "o") == []
    assert len(slack.problems.take("invalid_options")) == 4
    bare.answer = {"options": options}
    assert ada.options(message, "Pick one", "o") == ["One", "Two"]
    with pytest.raises(NotThere, match="'Three'"):
        ada.choose(message, "Pick one", "Three")
    bare.answer = {"option_groups": [{"label": text("Numbers"), "options": options}]}
    assert ada.options(message, "Pick one", "T") == ["One", "Two"]
    assert ada.options(message, "Pick one", "") == []


def test_every_kind_of_field(scene: Scene) -> None:
    bob = scene.slack.person("U0002", "Bob Ray")
    options = [{"text": text(name), "value": name[0]} for name in ("alpha", "beta")]

    def chooser(kind: str, **more: Any) -> dict[str, Any]:
        element = {"type": kind, "action_id": "x", **more}
        return {"type": "input", "block_id": kind, "label": text(kind), "element": element}

    form = scene.form(
        chooser("static_select", options=options, initial_option=options[0]),
        chooser("multi_static_select", options=options),
        chooser("radio_buttons", options=options),
        chooser("checkboxes", options=options),
        chooser("users_select"),
        chooser("multi_users_select"),
        chooser("conversations_select"),
        chooser("channels_select"),
        chooser("datepicker"),
        chooser("timepicker"),
        chooser("datetimepicker"),
        chooser("number_input", is_decimal_allowed=False),
        chooser("email_text_input"),
        chooser("url_text_input"),
        chooser("rich_text_input"),
    )
    assert form.value("static_select") == "alpha"
    assert form.options("radio_buttons") == ["alpha", "beta"]
    form.choose("static_select", "beta").choose("multi_static_select", "alpha", "beta")
    form.choose("radio_buttons", "beta").check("checkboxes", "alpha")
    form.choose("users_select", bob).choose("multi_users_select", bob, scene.ada)
    form.choose("conversations_select", scene.ops).choose("channels_select", "C0001")
    form.pick("datepicker", "2026-11-23").pick("timepicker", "09:30").pick("datetimepicker", "1790000000")
    form.fill("number_input", "7").fill("email_text_input", "a@b.test").fill("url_text_input", "https://a.test")
    form.fill("rich_text_input", "hi @bob")
    assert form.submit().closed
    values = {kind: state["x"] for kind, state in scene.payload["view"]["state"]["values"].items()}
    assert values["static_select"]["selected_option"]["value"] == "b"
    assert [option["value"] for option in values["multi_static_select"]["selected_options"]] == ["a", "b"]
    assert values["checkboxes"]["selected_options"][0]["text"]["text"] == "alpha"
    assert values["users_select"] == {"type": "users_select", "selected_user": "U0002"}
    assert values["multi_users_select"]["selected_users"] == ["U0002", "U0001"]
    assert values["conversations_select"]["selected_conversation"] == "C0001"
    assert values["datepicker"] == {"type": "datepicker", "selected_date": "2026-11-23"}
    assert values["number_input"] == {"type": "number_input", "value": "7"}
    section = values["rich_text_input"]["rich_text_value"]["elements"][0]["elements"]
    assert section == [{"type": "text", "text": "hi "}, {"type": "user", "user_id": "U0002"}]


def test_the_home_tab(scene: Scene) -> None:
    home = {"type": "home", "blocks": [{"type": "actions", "elements": [button("Refresh")]}]}
    scene.client.views_publish(user_id="U0001", view=home)
    shown = scene.ada.opens_home()
    assert shown is not None and shown.buttons == ["Refresh"]
    scene.slack.settle()
    assert scene.event["view"]["type"] == "home"
    scene.ada.press(shown, "Refresh")
    assert scene.payload["container"] == {"type": "view", "view_id": shown.view.id}
    old = shown.view.hash
    scene.client.views_publish(user_id="U0001", view=home)
    assert refused(lambda: scene.client.views_publish(user_id="U0001", view=home, hash=old)) == "hash_conflict"
    wrong = modal("Form", field("a", "A"))
    assert refused(lambda: scene.client.views_publish(user_id="U0001", view=wrong)) == "invalid_arguments"
    scene.slack.problems.clear()


def test_shortcuts_and_replays(scene: Scene) -> None:
    bob = scene.slack.person("U0002", "Bob Ray")
    message = scene.ada.say(scene.ops, "look at this")
    scene.ada.shortcut("declare")
    assert scene.payload["type"] == "shortcut" and scene.payload["callback_id"] == "declare"
    scene.ada.message_shortcut(message, "add")
    mine = scene.payload
    assert mine["message"]["text"] == "look at this" and mine["message_ts"] == message.ts
    bob.replay(mine)
    assert scene.payload["user"]["id"] == "U0002" and scene.payload["message_ts"] == message.ts
    assert scene.payload["trigger_id"] != mine["trigger_id"]


def test_commands_are_written_as_slack_writes_them(scene: Scene) -> None:
    scene.slack.person("U0002", "Bob Ray")
    scene.slack.usergroup("S0001", "payments", "Payments", [scene.ada])
    typed = 'a & <b> @bob @payments #checkout @nobody https://a.test/?x=1&y <@U0002> mail@bob.test "q"'
    scene.ada.command("/incident", typed, channel=scene.ops)
    assert scene.payload["text"] == (
        "a &amp; &lt;b&gt; <@U0002|bob> <!subteam^S0001|@payments> <#C0001|checkout> @nobody "
        '<https://a.test/?x=1&amp;y> <@U0002|bob> mail@bob.test "q"'
    )
    scene.ada.command("/incident", "@bob & co", channel=scene.ops, resolve=False)
    assert scene.payload["text"] == "@bob &amp; co"
    scene.slack.platform.app.should_escape = False
    scene.ada.command("/incident", "@bob & co", channel=scene.ops)
    assert scene.payload["text"] == "@bob &amp; co"


def test_nobody_uses_what_is_not_in_front_of_them(scene: Scene) -> None:
    bob = scene.slack.person("U0002", "Bob Ray")
    scene.answer = {"text": "x", "blocks": [{"type": "actions", "elements": [button("Go")]}]}
    hers = scene.ada.command("/incident", channel=scene.ops).message
    assert hers is not None
    with pytest.raises(NotThere, match="in front of Bob Ray"):
        bob.press(hers, "Go")
    scene.answer = {}
    form = scene.form({"type": "actions", "elements": [button("More")]}, field("a", "A"))
    with pytest.raises(NotThere, match="in front of Bob Ray"):
        bob.press(form, "More")
    bob.replay(scene.slack.sent[-1].sent)  # a forged payload, though, may be sent by anybody
    scene.client.chat_postMessage(channel="C0001", text="x", blocks=[{"type": "actions", "elements": [button("Go")]}])
    [card] = scene.slack.messages(scene.ops)
    bob.leaves(scene.ops)
    with pytest.raises(NotThere, match="in front of Bob Ray"):
        bob.press(card, "Go")
    scene.client.chat_delete(channel="C0001", ts=card.ts)
    with pytest.raises(NotThere, match="in front of Ada Obi"):
        scene.ada.press(card, "Go")


def test_a_response_url_can_be_in_trouble_too(scene: Scene) -> None:
    url = scene.command()["response_url"]
    scene.slack.faults.rate_limit("response_url", retry_after=3)
    assert response_error(url, {"text": "x"}) == (429, "ratelimited")
    scene.slack.faults.cut("response_url")
    with pytest.raises(OSError):
        respond(url, {"text": "taken"})
    assert [m.text for m in scene.ada.sees(scene.ops)] == ["taken"]
