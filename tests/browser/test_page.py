"""The page itself: what is typed or sent stays words, many messages, the inspector, a line that breaks."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import expect
from slack_sdk import WebClient

from sandbox import Person, Sandbox
from tests.browser.conftest import OpenWindow, Shot, card, go_to, leave_menu, message, type_command, use_tool
from tests.stories.conftest import World

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script><b>b</b>\"'"
HOSTILE_LINK = "javascript:alert(3)"


def test_nothing_that_is_typed_becomes_markup(world: World, window: OpenWindow, shot: Shot) -> None:
    """Titles, comments, names, files, links, topics: the window fails the test when any of it runs."""
    world.slack.change(world.ben, real_name=f"Ben {MARKUP}")
    with world.slack.platform.workspace.changing():
        world.cast.checkout.topic = MARKUP
    number = world.declare(MARKUP)
    page = window(world.ada, place="C0001")
    for words in (
        MARKUP,
        f"<{HOSTILE_LINK}|press> {HOSTILE_LINK}",
        "`<b>` ```<i>``` :<b>: <!date^1^{date}^javascript:alert(4)|x>",
    ):
        type_command(page, words)
    type_command(page, f"/incident comment {number} {MARKUP}")
    expect(message(page, "You commented on")).to_contain_text("<img src=x")
    type_command(page, f"/incident {MARKUP}")
    world.rest()
    world.ben.say(world.cast.checkout, f"{MARKUP} from Ben")
    world.ben.upload(world.cast.checkout, f"../../{MARKUP}.html", b"<script>alert(5)</script>", MARKUP)
    world.ben.upload(world.cast.checkout, "picture.png", b"<svg onload=alert(6)>")
    expect(message(page, "picture.png")).to_be_visible()

    page.goto(f"http://127.0.0.1:{world.slack.port}/?as={MARKUP}#{MARKUP}")
    page.locator("#page:not([aria-busy])").wait_for()
    go_to(page, "checkout")
    expect(message(page, "picture.png")).to_be_visible()
    expect(page.locator(".file-name")).to_have_count(2)
    assert page.locator(".main script, .main img[src=x], .main [onerror], .sidebar script").count() == 0
    hrefs = page.eval_on_selector_all("a", "links => links.map(a => a.protocol)")
    assert set(hrefs) <= {"http:", "https:", "mailto:"}
    shot(page, "words")
    for link in page.locator(".file-name").all():
        answer = page.request.get(f"http://127.0.0.1:{world.slack.port}{link.get_attribute('href')}")
        kind = answer.headers["content-type"]
        assert kind.startswith("image/png") or answer.headers["content-disposition"] == "attachment"
        assert answer.headers["content-security-policy"] == "sandbox"


@pytest.fixture
def crowded(slack: Sandbox) -> Person:
    """Somebody in a channel with two thousand messages."""
    ada = slack.person("U0001", "Ada Obi", "ada@acme.test")
    ben = slack.person("U0002", "Ben Tal", "ben@acme.test")
    crowded = slack.channel("C0001", "crowded")
    for index in range(2000):
        (ada, ben)[index % 3 == 0].say(crowded, f"message {index:04}")
    return ada


def test_two_thousand_messages(slack: Sandbox, crowded: Person, window: OpenWindow) -> None:
    """The newest are there at once, older ones come while one scrolls, and one stays where one is."""
    page = window(crowded, place="C0001")
    expect(message(page, "message 1999")).to_be_in_viewport()
    assert page.locator(".main .message").count() <= 50
    for _ in range(4):
        before = page.locator(".main .message").count()
        page.locator(".main .scroll").evaluate("box => box.scrollTo(0, 200)")
        page.wait_for_function("n => document.querySelectorAll('.main .message').length > n", arg=before)
    texts = page.locator(".main .message-body").all_text_contents()
    assert texts == [f"message {index:04}" for index in range(2000 - len(texts), 2000)]
    slack.who("U0002").say("C0001", "the newest")
    expect(message(page, "the newest")).to_be_attached()
    expect(message(page, "the newest")).not_to_be_in_viewport()


def test_unread_marks(slack: Sandbox, window: OpenWindow) -> None:
    """Bold where there is something new, a number where it concerns one, gone once it is read."""
    ada, ben = slack.person("U0001", "Ada Obi"), slack.person("U0002", "Ben Tal")
    one, other = slack.channel("C0001", "one"), slack.channel("C0002", "other")
    slack.usergroup("S0001", "team", "Team", [ada])
    ben.say(one, "before")
    slack.everything_is_read()
    page = window(ada, place="C0001")
    place = page.get_by_role("navigation").locator("a", has_text="other")
    expect(place).not_to_have_class(re.compile("unread"))
    ben.say(other, "something")
    expect(place).to_have_class(re.compile("unread"))
    expect(place.locator(".count")).to_have_count(0)
    ben.say(other, "something for @team and @ada")
    expect(place.locator(".count")).to_have_text("1")
    second = window(ada, place="C0001")
    expect(second.get_by_role("navigation").locator("a", has_text="other").locator(".count")).to_have_text("1")
    go_to(page, "other")
    expect(page.locator(".new")).to_be_visible()
    expect(place).not_to_have_class(re.compile("unread"))
    # What comes while one looks at it is read.
    go_to(page, "Tocsin")
    WebClient(slack.bot_token, base_url=slack.api_url).chat_postMessage(channel=ada.id, text="for your eyes")
    expect(message(page, "for your eyes")).to_be_visible()
    slack.wait_until(lambda: slack.unread(ada, "D0001") == 0)
    expect(page.get_by_role("navigation").locator(".count")).to_have_count(0)


def test_the_inspector(world: World, window: OpenWindow, shot: Shot) -> None:
    """The JSON of a message and the verdict on it, the wire in both directions, trouble and the clock."""
    number = world.declare("Checkout answers 502", by=world.ben)
    world.rest()
    page = window(world.ada, place="C0001", width=1400)
    page.get_by_role("navigation").get_by_role("button", name="Inspector").click()
    pane = page.get_by_role("complementary", name="Inspector")
    expect(pane.locator(".wire-line", has_text="slash_commands /incident").first).to_be_visible()
    line = pane.locator(".wire-line", has_text="chat.postMessage").first
    line.locator("summary").click()
    expect(line).to_contain_text(f"#{number} Checkout answers 502")
    shot(page, "wire")

    use_tool(card(page, number), "Inspect")
    expect(pane).to_contain_text("Slack would take this")
    expect(pane.locator(".json").first).to_contain_text('"blocks"')
    expect(pane.locator(".wire-line", has_text="chat.postMessage")).to_have_count(1)

    pane.get_by_role("tab", name="Trouble and time").click()
    pane.get_by_label("Which methods").fill("chat.update")
    pane.get_by_role("button", name="Rate limit (429)").click()
    expect(page.get_by_role("status").filter(has_text="Rate limit")).to_be_visible()
    card(page, number).get_by_role("button", name="Acknowledge").click()
    expect(card(page, number)).to_contain_text("Seen by Ada Obi and Ben Tal")
    answers = [exchange.answer or {} for exchange in world.slack.traffic if exchange.name == "chat.update"]
    assert "ratelimited" in [answer.get("error") for answer in answers]

    greeted = len(world.slack.calls("apps.connections.open"))
    pane.get_by_role("button", name="Ask to reconnect").click()
    world.slack.wait_until(lambda: len(world.slack.calls("apps.connections.open")) > greeted)
    world.slack.wait_until_connected()
    pane.get_by_role("button", name="one hour").click()
    expect(page.get_by_role("navigation")).to_contain_text("The clock is 1 h ahead.")


def test_what_goes_wrong_can_be_read(world: World, window: OpenWindow) -> None:
    """White words on the dark ground of a notice, not the red that errors in forms have."""
    page = window(world.ada, place="C0001")
    composer = page.get_by_label("Message", exact=True)
    composer.fill("a" * 40_001)
    composer.press("Enter")
    notice = page.get_by_role("status").get_by_text("That is too long")
    expect(notice).to_have_css("color", "rgb(255, 255, 255)")


def test_a_line_that_breaks_is_taken_up_again(slack: Sandbox, window: OpenWindow) -> None:
    """The workspace ends and begins again: the window says so, and goes on with what there is now."""

    def furnish(workspace: Sandbox, words: str) -> Person:
        ada = workspace.person("U0001", "Ada Obi")
        ada.say(workspace.channel("C0001", "ops"), words)
        return ada

    page = window(furnish(slack, "before"), place="C0001")
    expect(message(page, "before")).to_be_visible()
    slack.stop()
    expect(page.get_by_role("navigation")).to_contain_text("cannot be reached")
    type_command(page, "said into the void")
    expect(page.get_by_role("status").filter(has_text="cannot be reached; is it still running")).to_be_visible()
    expect(page.locator("#composer")).to_have_value("said into the void")
    again = Sandbox(port=slack.port)
    furnish(again, "after")
    with again:
        expect(message(page, "after")).to_be_visible()
        expect(page.get_by_role("navigation")).not_to_contain_text("cannot be reached")
        page.locator("#composer").press("Enter")
        expect(message(page, "said into the void")).to_be_visible()


def test_a_command_that_fails_gives_back_what_was_typed(slack: Sandbox, window: OpenWindow) -> None:
    """No app is there: the person is told, and can send it again."""
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "ops")
    slack.platform.deliveries.acknowledge_seconds = 0.3
    page = window(ada, place="C0001")
    expect(page.get_by_role("navigation")).to_contain_text("Tocsin is not connected")
    type_command(page, "/incident comment 1 a long story")
    expect(page.get_by_role("status").filter(has_text="no app is there")).to_be_visible()
    expect(page.locator("#composer")).to_have_value("/incident comment 1 a long story")


def test_a_day_without_messages_is_not_named(slack: Sandbox, window: OpenWindow) -> None:
    """The line above a day's messages goes with the last of them."""
    ada = slack.person("U0001", "Ada Obi")
    slack.channel("C0001", "one")
    ada.say("C0001", "said yesterday")
    slack.clock.advance(24 * 3600)
    page = window(ada, place="C0001")
    expect(page.locator(".main .day")).to_have_text(["Yesterday"])
    said = [ada.say("C0001", f"said today {number}") for number in range(2)]
    expect(page.locator(".main .day")).to_have_text(["Yesterday", "Today"])
    ada.delete(said[0])
    expect(page.locator(".main .message")).to_have_count(2)
    expect(page.locator(".main .day")).to_have_text(["Yesterday", "Today"])
    ada.delete(said[1])
    expect(page.locator(".main .day")).to_have_text(["Yesterday"])


def test_the_guided_path_leads_where_its_steps_are(slack: Sandbox, window: OpenWindow) -> None:
    """To another person, a conversation, the inspector; on a telephone it does not stand in front of them."""
    ada = slack.person("U0001", "Ada Obi", title="Owner · Payments")
    slack.person("U0002", "Ben Tal", title="Admin · Payments")
    slack.channel("C0001", "one")
    slack.channel("C0002", "other")

    pressed = threading.Event()

    def show(done: int) -> None:
        places = [
            ("Go", "U0001", "C0002"),
            ("Break", "U0001", "trouble"),
            ("Change", "U0002", "C0002"),
            ("End", "", ""),
        ]
        steps = [{"title": t, "text": t, "as": who, "place": place} for t, who, place in places]
        steps[-1]["button"] = "Blow"
        slack.guide([{**step, "done": index < done} for index, step in enumerate(steps)], {"Blow": pressed.set})

    show(0)
    page, phone = window(ada, place="C0001"), window(ada, place="C0001", width=390)
    phone.get_by_role("button", name="Guided path").click()
    for one in (page, phone):
        one.get_by_role("complementary", name="Guided path").get_by_role("link", name="Go there").click()
        expect(one.get_by_role("heading", name="# other")).to_be_visible()
    expect(phone.get_by_role("complementary", name="Guided path")).to_be_hidden()
    phone.get_by_role("button", name="Guided path").click()

    page.get_by_role("button", name="Blow").click()
    expect(page.get_by_text("Done. Look at the channel.")).to_be_visible()
    assert pressed.is_set()

    show(1)
    for one in (page, phone):
        guide = one.get_by_role("complementary", name="Guided path")
        expect(guide.get_by_role("listitem").first).to_contain_text("Done: Go")
        guide.get_by_role("button", name="Open the inspector").click()
        expect(one.get_by_role("button", name="Answer lost")).to_be_visible()
    expect(guide).to_be_hidden()
    phone.get_by_role("button", name="Close the inspector").click()
    expect(guide).to_be_visible()

    show(2)
    page.get_by_role("button", name="You are Ada Obi").click()
    expect(page.get_by_role("menuitem", name="Ada Obi (you) Owner · Payments")).to_be_focused()
    expect(page.get_by_role("menuitem", name="Ben Tal")).to_contain_text("Admin · Payments")
    leave_menu(page)
    page.get_by_role("link", name="Be Ben Tal").click()
    expect(page.get_by_role("button", name="You are Ben Tal")).to_contain_text("Admin · Payments")
    expect(page.get_by_role("heading", name="# other")).to_be_visible()
