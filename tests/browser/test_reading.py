"""Reading on the page: what comes into view, what stays, permalinks, drafts, mentions, pictures, long texts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from slack_bolt import App
from slack_sdk import WebClient

from sandbox import Person, Sandbox, SeenMessage
from tests.browser.conftest import OpenWindow, go_to, leave_dialog, leave_menu, message, type_command, use_tool
from tests.sandbox.conftest import Connect, app, client, connect

__all__ = ["app", "client", "connect"]

DAY_S = 24 * 3600


def section(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


@pytest.fixture
def ada(slack: Sandbox) -> Person:
    ada = slack.person("U0001", "Ada Obi", "ada@acme.test", tz="Europe/Berlin")
    slack.person("U0002", "Ben Tal", "ben@acme.test")
    slack.channel("C0001", "checkout")
    slack.channel("C0002", "catalogue")
    return ada


def say_many(slack: Sandbox, count: int) -> list[SeenMessage]:
    """Messages of two people in turn, in #checkout."""
    ada, ben = slack.who("U0001"), slack.who("U0002")
    return [(ada, ben)[index % 2].say("C0001", f"message {index:03}") for index in range(count)]


def scroll_to(page: Page, text: str) -> Locator:
    """Scrolls up to a message, and gives it; the page must have told that it is not at the end any more."""
    found = message(page, text)
    found.evaluate("node => node.scrollIntoView({ block: 'start' })")
    expect(found).to_be_in_viewport()
    wait_until_drawn(page)
    return found


def wait_until_drawn(page: Page) -> None:
    """Waits until the page is drawn as it is now, and has been told where it is scrolled to."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")


def top_of(found: Locator) -> float:
    box = found.bounding_box()
    assert box
    return box["y"]


def test_only_what_one_asked_for_moves_the_page(
    slack: Sandbox, ada: Person, app: App, connect: Connect, client: WebClient, window: OpenWindow
) -> None:
    @app.command("/incident")
    def incident(ack: Any, command: dict[str, Any]) -> None:
        rows = 40 if command["text"] == "long" else 1
        ack(text="answer", blocks=[section(f"answer {row:02}") for row in range(rows)])

    app.event("message")(lambda: None)
    connect(app)
    card = client.chat_postMessage(channel="C0001", text="card", blocks=[section("card")])
    say_many(slack, 40)
    page = window(ada, place="C0001")
    expect(message(page, "message 039")).to_be_in_viewport()
    pill = page.get_by_role("button", name="new message")
    expect(pill).to_be_hidden()

    # Somebody else writes, and a card above grows: what is read stays where it is.
    read = scroll_to(page, "message 015")
    before = top_of(read)
    slack.who("U0002").say("C0001", "news one")
    expect(page.get_by_role("button", name="1 new message")).to_be_visible()
    slack.who("U0002").say("C0001", "news two")
    expect(page.get_by_role("button", name="2 new messages")).to_be_visible()
    client.chat_update(
        channel="C0001", ts=card["ts"], text="card", blocks=[section(f"card line {row}") for row in range(4)]
    )
    expect(page.locator(".main .message", has_text="card line 3")).to_be_attached()
    slack.who("U0001").say("C0001", "Ada, from her phone")
    expect(page.get_by_role("button", name="3 new messages")).to_be_visible()
    wait_until_drawn(page)
    assert abs(top_of(read) - before) < 2

    # The pill leads to the end.
    page.get_by_role("button", name="3 new messages").click()
    expect(message(page, "from her phone")).to_be_in_viewport()
    expect(pill).to_be_hidden()

    # One's own command is answered in sight; a long answer is shown from its beginning.
    scroll_to(page, "message 015")
    type_command(page, "/incident list")
    expect(message(page, "answer 00")).to_be_in_viewport()
    scroll_to(page, "message 015")
    type_command(page, "/incident long")
    expect(message(page, "answer 39")).to_be_visible()
    expect(message(page, "answer 39").get_by_text("answer 00")).to_be_in_viewport()
    scroll_to(page, "message 015")
    type_command(page, "my own words")
    expect(message(page, "my own words")).to_be_in_viewport()


def test_a_permalink_stays_on_the_page(slack: Sandbox, ada: Person, client: WebClient, window: OpenWindow) -> None:
    """It opens the conversation at the message, however old, and the thread of a reply; Back leads back."""
    old = say_many(slack, 90)[3]
    reply = slack.who("U0002").reply(old, "the reply in question")
    links = [client.chat_getPermalink(channel="C0001", message_ts=ts)["permalink"] for ts in (old.ts, reply.ts)]
    gone = links[0].replace("/p1", "/p0")
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Open"}, "url": links[0]}
    client.chat_postMessage(
        channel="C0002",
        text="links",
        blocks=[
            section(
                f"<{links[0]}|The card>, <{links[1]}|the reply>, <{gone}|no message>, <{links[0][:-1]}/x|elsewhere>"
            ),
            section(f"<{links[0].replace('C0001', 'C0009')}|no channel>"),
            {"type": "actions", "elements": [button]},
        ],
    )
    page = window(ada, place="C0002")
    page.get_by_role("link", name="The card").click()
    expect(page).to_have_url(f"http://127.0.0.1:{slack.port}/?as=U0001#C0001/p{old.ts.replace('.', '')}")
    target = page.locator(".main .message.target")
    expect(target).to_contain_text("message 003")
    expect(target).to_be_in_viewport()
    expect(target).to_be_focused()
    assert len(page.context.pages) == 1

    page.go_back()
    expect(page.get_by_role("link", name="the reply")).to_be_visible()
    page.get_by_role("link", name="the reply").click()
    thread = page.get_by_role("complementary", name="Thread")
    expect(thread.locator(".target")).to_contain_text("the reply in question")
    expect(page.get_by_role("heading", name="# checkout")).to_be_visible()
    expect(target).to_have_count(0)

    page.go_back()
    page.get_by_role("link", name="no message").click()
    expect(page.get_by_role("status").filter(has_text="is not here any more")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="no channel").click()
    expect(page.get_by_role("status").filter(has_text="that you are not in")).to_be_visible()
    expect(page.get_by_role("heading", name="catalogue")).to_be_visible()
    expect(page.get_by_role("link", name="elsewhere")).to_have_attribute("target", "_blank")

    # In a new window too, and once more where one is already.
    page.goto(f"http://127.0.0.1:{slack.port}/?as=U0001#C0001/p{old.ts.replace('.', '')}")
    page.reload()
    expect(target).to_be_in_viewport()


def test_drafts_and_mentions(slack: Sandbox, ada: Person, window: OpenWindow) -> None:
    """What was typed is there after a reload, in each conversation; a name typed with @ becomes a mention."""
    root = ada.say("C0001", "a root")
    slack.usergroup("S0001", "payments", "Payments", [ada])
    page = window(ada, place=f"C0001/{root.ts}")
    page.get_by_label("Reply in the thread").fill("half a reply")
    page.get_by_role("button", name="Close the thread").click()
    page.locator("#composer").fill("half a thought")
    go_to(page, "catalogue")
    expect(page.locator("#composer")).to_have_value("")
    page.reload()
    go_to(page, "checkout")
    expect(page.locator("#composer")).to_have_value("half a thought")
    use_tool(message(page, "a root"), "Reply in thread")
    expect(page.get_by_label("Reply in the thread")).to_have_value("half a reply")
    page.goto(f"http://127.0.0.1:{slack.port}/?as=U0002#C0001")
    expect(page.get_by_role("button", name="You are Ben Tal")).to_be_visible()
    expect(page.locator("#composer")).to_have_value("")

    page.goto(f"http://127.0.0.1:{slack.port}/?as=U0001#C0001")
    expect(page.locator("#composer")).to_have_value("half a thought")
    page.locator("#composer").fill("")
    page.keyboard.type("@Toc")
    expect(page.get_by_role("option", name="Tocsin")).to_be_visible()
    page.keyboard.type("sin list for @Ben and @Payments")
    page.keyboard.press("Enter")
    expect(message(page, "list for").locator(".mention")).to_have_text(["@Tocsin", "@Ben Tal", "@payments"])
    text = ada.sees("C0001")[-1].record.body["text"]
    assert text == f"{slack.bot_mention} list for <@U0002> and <!subteam^S0001|@payments>"
    page.reload()
    expect(message(page, "list for")).to_be_visible()
    expect(page.locator("#composer")).to_have_value("")


def test_a_picture_opens_large_and_what_is_long_is_shown_in_part(
    ada: Person, client: WebClient, window: OpenWindow
) -> None:
    lines = "\n".join(f"line {number}" for number in range(1, 21))
    client.chat_postMessage(channel="C0001", text="a section", blocks=[section(lines), section("the end")])
    client.chat_postMessage(channel="C0001", text="whole", blocks=[section(lines.replace("line", "row"), expand=True)])
    blocks = [section(f"block {number}") for number in range(1, 9)]
    client.chat_postMessage(channel="C0001", text="attached", attachments=[{"blocks": blocks}, {"text": lines}])
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
        "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
    )
    ada.upload("C0001", "graph.png", png)
    page = window(ada, place="C0001", height=1400)
    long = message(page, "the end")
    expect(long.locator(".section-text").first).to_have_css("overflow", "hidden")
    long.get_by_role("button", name="See more").click()
    expect(long.locator(".section-text").first).to_have_css("overflow", "visible")
    expect(long.get_by_role("button", name="See more")).to_have_count(0)
    expect(message(page, "row 20").get_by_role("button", name="See more")).to_have_count(0)

    attached = message(page, "block 1")
    expect(attached.get_by_text("block 5")).to_be_visible()
    expect(attached.get_by_text("block 6")).to_be_hidden()
    expect(attached.get_by_role("button", name="Show more")).to_have_count(2)
    attached.get_by_role("button", name="Show more").first.click()
    expect(attached.get_by_text("block 8")).to_be_visible()
    # What was opened stays open when its message is drawn again.
    ada.react(next(seen for seen in ada.sees("C0001") if "block 1" in seen.text), "eyes")
    expect(attached.get_by_role("button", name="eyes, 1")).to_be_visible()
    expect(attached.get_by_text("block 8")).to_be_visible()

    picture = message(page, "graph.png").get_by_role("button", name="Show large: graph.png")
    picture.click()
    large = page.get_by_role("dialog", name="graph.png")
    expect(large.get_by_role("img", name="graph.png")).to_be_visible()
    leave_dialog(page)
    expect(picture).to_be_focused()


def test_a_moved_clock_moves_every_time_that_is_shown(slack: Sandbox, ada: Person, window: OpenWindow) -> None:
    root = ada.say("C0001", "said now")
    slack.who("U0002").reply(root, "a reply")
    page = window(ada, place="C0001")
    expect(page.locator(".main .day")).to_have_text("Today")
    expect(message(page, "said now")).to_contain_text("Last reply today at")
    slack.clock.advance(DAY_S)
    expect(page.locator(".main .day")).to_have_text("Yesterday")
    expect(message(page, "said now")).to_contain_text("Last reply yesterday")
    slack.clock.advance(DAY_S)
    expect(page.locator(".main .day")).not_to_have_text("Yesterday")
    ada.say("C0001", "said later")
    expect(page.locator(".main .day").last).to_have_text("Today")


def test_a_menu_by_keyboard(
    slack: Sandbox, ada: Person, app: App, connect: Connect, client: WebClient, window: OpenWindow
) -> None:
    """The focus goes in, moves by arrows and letters, and comes back; a dangerous choice is confirmed."""
    chosen: list[str] = []

    @app.action("menu")
    def menu(ack: Any, action: dict[str, Any]) -> None:
        ack()
        chosen.append(action["selected_option"]["value"])

    connect(app)
    options = [
        {"text": {"type": "plain_text", "text": text}, "value": text.lower()} for text in ("View", "Silence", "Delete")
    ]
    confirm = {
        "title": {"type": "plain_text", "text": "Delete it?"},
        "text": {"type": "plain_text", "text": "For good."},
        "confirm": {"type": "plain_text", "text": "Delete"},
        "deny": {"type": "plain_text", "text": "Keep"},
        "style": "danger",
    }
    overflow = {"type": "overflow", "action_id": "menu", "options": options, "confirm": confirm}
    client.chat_postMessage(channel="C0001", text="card", blocks=[section("a card", accessory=overflow)])
    page = window(ada, place="C0001")
    button = message(page, "a card").locator(".overflow")
    button.focus()
    for key, name in (
        ("ArrowDown", "View"),
        ("ArrowUp", "Delete"),
        ("s", "Silence"),
        ("Home", "View"),
        ("End", "Delete"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("menuitem", name=name)).to_be_focused()
    leave_menu(page)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    question = page.get_by_role("dialog", name="Delete it?")
    expect(question.get_by_role("button", name="Keep")).to_be_focused()
    leave_dialog(page)
    expect(button).to_be_focused()
    assert chosen == []
    button.click()
    page.get_by_role("menuitem", name="Delete").click()
    question.get_by_role("button", name="Delete").click()
    slack.wait_until(lambda: chosen == ["delete"])
