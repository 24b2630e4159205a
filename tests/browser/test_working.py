"""A responder works an incident on the page, as the guided path of the demo has it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import (
    OpenWindow,
    Shot,
    become,
    card,
    choose_in_menu,
    expect_answered,
    expect_no_dialog,
    leave_dialog,
    message,
    type_command,
    use_tool,
)
from tests.stories.conftest import World


def test_the_guided_path(world: World, window: OpenWindow, shot: Shot) -> None:
    """Somebody mentioned you; acknowledge; comment and mention a team; resolve."""
    number = world.declare("Checkout answers 502", by=world.ben, options="critical project:checkout")
    page = window(world.ada, place="C0003")
    world.ask(world.ben, f"comment {number} @ada can you help?")

    messages = page.get_by_role("link", name="Tocsin").first
    expect(messages.locator(".count")).to_have_text("1")
    messages.click()
    told = page.locator(".message", has_text="can you help?")
    expect(told).to_contain_text(f"#{number} Checkout answers 502")
    expect(messages.locator(".count")).to_have_count(0)
    shot(page, "mentioned")

    # Its link leads to the card, on this page.
    told.get_by_role("link", name="Open the card").click()
    expect(page.locator(".main .message.target")).to_contain_text(f"#{number} Checkout answers 502")
    assert len(page.context.pages) == 1
    expect(card(page, number)).to_contain_text("can you help?")
    card(page, number).get_by_role("button", name="Acknowledge").click()
    expect(card(page, number)).to_contain_text("Seen by Ada Obi and Ben Tal")

    choose_in_menu(card(page, number), "Comment")
    form = page.get_by_role("dialog", name=f"Comment #{number}")
    comment = form.get_by_label("Comment")
    comment.press_sequentially("A fix is on its way, @pay")
    option = page.get_by_role("option", name="@payments")
    expect(option).to_be_visible()
    comment.press("Enter")
    expect(comment).to_have_value("A fix is on its way, @payments ")
    shot(page, "comment")
    form.get_by_role("button", name="Comment", exact=True).click()
    expect_no_dialog(page)
    expect(card(page, number)).to_contain_text("A fix is on its way, @Payments")
    world.ben.wait_for_message(containing="A fix is on its way")

    card(page, number).get_by_role("button", name="Resolve").click()
    form = page.get_by_role("dialog", name=f"Resolve #{number}")
    form.get_by_label("Comment").fill("Rolled back.")
    form.get_by_role("button", name="Resolve").click()
    expect_no_dialog(page)
    expect(card(page, number).get_by_role("button", name="Reopen")).to_be_visible()
    expect(card(page, number)).to_contain_text("Resolved")
    shot(page, "resolved")


def test_two_windows_at_once(world: World, window: OpenWindow, shot: Shot) -> None:
    """What one person does stands in front of the other, without a reload."""
    number = world.declare("Checkout answers 502", by=world.ben)
    adas, bens = window(world.ada, place="C0001"), window(world.ben, place="C0001")
    card(bens, number).get_by_role("button", name="Acknowledge").click()
    expect(card(adas, number)).to_contain_text("Seen by Ben Tal")

    choose_in_menu(card(adas, number), "Comment")
    form = adas.get_by_role("dialog")
    form.get_by_label("Comment").fill("I look into it.")
    form.get_by_role("button", name="Comment", exact=True).click()
    expect(card(bens, number)).to_contain_text("I look into it.")
    expect_no_dialog(adas)
    expect_no_dialog(bens)

    # A reply in the card's thread is a comment; both have the thread open.
    for page in (adas, bens):
        card(page, number).get_by_role("button", name="1 reply").click()
    thread = bens.get_by_role("complementary", name="Thread")
    thread.get_by_label("Reply in the thread").fill("Found it.")
    thread.get_by_label("Reply in the thread").press("Enter")
    expect(adas.get_by_role("complementary", name="Thread")).to_contain_text("Found it.")
    expect(card(adas, number)).to_contain_text("2 replies")
    shot(adas, "ada")


def test_somebody_else_sees_something_else(world: World, window: OpenWindow, shot: Shot) -> None:
    """Payments' incident is there for Ada, and for Cyn of Search it does not exist."""
    number = world.declare("Checkout answers 502")
    page = window(world.ada, place="C0003")
    type_command(page, "/incident list")
    expect(message(page, "Open incidents")).to_contain_text(f"#{number} Checkout answers 502")
    expect(message(page, "Open incidents")).to_contain_text("Only visible to you")

    become(page, "Cyn Roe")
    expect(page.locator(".main .message", has_text="Open incidents")).to_have_count(0)
    type_command(page, "/incident list")
    expect(message(page, "No open incidents")).to_be_visible()
    type_command(page, f"/incident view {number}")
    expect(message(page, f"#{number}")).not_to_contain_text("Checkout answers 502")
    shot(page, "cyn")

    become(page, "Eve Out")
    type_command(page, "/incident list")
    expect(page.locator(".main .message.ephemeral")).to_be_visible()
    expect(page.locator(".main")).not_to_contain_text("Checkout answers 502")


def test_a_form_with_a_mistake(world: World, window: OpenWindow, shot: Shot) -> None:
    """What is wrong is said below its field, what was typed stays, and the focus is there."""
    number = world.declare("Checkout answers 502")
    page = window(world.ada, place="C0001")
    choose_in_menu(card(page, number), "Comment")
    form = page.get_by_role("dialog", name=f"Comment #{number}")
    form.get_by_role("button", name="Comment", exact=True).click()
    comment = form.get_by_label("Comment")
    expect(form.get_by_role("alert").filter(has_text="required")).to_be_visible()
    expect(comment).to_be_focused()

    comment.fill("please look @cyn")
    form.get_by_role("button", name="Comment", exact=True).click()
    expect(form).to_contain_text("Cyn Roe cannot see")
    expect(comment).to_have_value("please look @cyn")
    expect(comment).to_have_attribute("aria-invalid", "true")
    shot(page, "mistake")

    comment.fill("please look @ben")
    form.get_by_role("button", name="Comment", exact=True).click()
    expect_no_dialog(page)
    expect(card(page, number)).to_contain_text("please look @Ben Tal")


def test_paging(world: World, window: OpenWindow) -> None:
    """Ten incidents a page, and back."""
    for index in range(12):
        world.declare(f"Trouble {index:02}")
    page = window(world.ada, place="C0003")
    type_command(page, "/incident list")
    listed = message(page, "Open incidents")
    expect(listed).to_contain_text("Trouble 11")
    expect(listed).not_to_contain_text("Trouble 01")
    listed.get_by_role("button", name="Next").click()
    expect(listed).to_contain_text("Trouble 01")
    expect(listed).not_to_contain_text("Trouble 11")
    expect(listed.get_by_role("button", name="Next")).to_have_count(0)
    listed.get_by_role("button", name="Previous").click()
    expect(listed).to_contain_text("Trouble 11")


def test_keyboard_only(world: World, window: OpenWindow, shot: Shot) -> None:
    """An incident is declared, acknowledged and resolved without a pointer."""
    page = window(world.ada, place="C0001")
    keys = page.keyboard
    expect(page.locator("#composer")).to_be_focused()
    keys.type("/inc")
    expect(page.get_by_role("option", name="/incident")).to_be_visible()
    keys.press("Tab")
    keys.type("declare project:checkout By hand")
    keys.press("Enter")
    expect_answered(page)
    world.rest()
    expect(card(page, 1).get_by_role("button", name="Acknowledge")).to_be_visible()

    # Backwards from the composer to the last message, up to the card, into it.
    for _ in range(40):
        keys.press("Shift+Tab")
        if page.evaluate(
            "document.activeElement.matches('.main button') && document.activeElement.textContent === 'Acknowledge'"
        ):
            break
    keys.press("Enter")
    expect(message(page, "You already acknowledged #1 By hand")).to_be_visible()
    world.rest()
    expect(card(page, 1).get_by_role("button", name="Acknowledge")).to_be_focused()

    for label in ("Take it", "Resolve"):
        keys.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == label
    keys.press("Enter")
    form = page.get_by_role("dialog", name="Resolve #1")
    expect(form.get_by_label("Comment")).to_be_focused()
    leave_dialog(page)
    expect(card(page, 1).get_by_role("button", name="Resolve")).to_be_focused()  # it comes back
    keys.press("Enter")
    expect(form.get_by_label("Comment")).to_be_focused()
    keys.type("Mended")
    shot(page, "form")
    for _ in range(3):
        keys.press("Tab")
        if page.evaluate("document.activeElement.type") == "submit":
            break
    keys.press("Enter")
    expect_no_dialog(page)
    expect(card(page, 1)).to_contain_text("Resolved")


def test_narrow(world: World, window: OpenWindow, shot: Shot) -> None:
    """On a telephone: one thing at a time, nothing beyond the edge."""
    number = world.declare("Checkout answers 502 for one in ten orders of customers in several countries")
    world.ask(world.ben, f"comment {number} I look into it.")
    world.rest()
    page = window(world.ada, place="C0003", width=360, height=640)

    def fits() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        wide = page.evaluate(
            "[...document.querySelectorAll('.main *, dialog *')].filter(e => e.getClientRects().length"
            " && e.getBoundingClientRect().right > 361 && !e.closest('pre')).map(e => e.outerHTML.slice(0, 100))"
        )
        assert wide == []

    page.get_by_role("button", name="Show the list of conversations").click()
    page.get_by_role("navigation").get_by_role("link", name="checkout", exact=True).click()
    expect(card(page, number)).to_be_in_viewport()
    fits()
    shot(page, "card")
    card(page, number).get_by_role("button", name="Resolve").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    fits()
    shot(page, "form")
    page.get_by_role("button", name="Cancel").click()
    expect_no_dialog(page)
    card(page, number).get_by_role("button", name="1 reply").click()
    thread = page.get_by_role("complementary", name="Thread")
    expect(thread).to_contain_text("I look into it.")
    expect(page.locator(".main")).to_be_hidden()
    fits()
    page.get_by_role("button", name="Close the thread").click()
    expect(card(page, number)).to_be_visible()


def test_home(world: World, window: OpenWindow, shot: Shot) -> None:
    """The Home is drawn, its buttons work, and it follows what happens."""
    number = world.declare("Checkout answers 502")
    page = window(world.ada, place="home", dark=True)
    home = page.locator(".home")
    expect(home).to_contain_text(f"#{number} Checkout answers 502")
    home.get_by_role("button", name="Resolve").click()
    form = page.get_by_role("dialog", name=f"Resolve #{number}")
    form.get_by_role("button", name="Resolve").click()
    expect_no_dialog(page)
    expect(home).not_to_contain_text("Checkout answers 502")
    shot(page, "dark")


def test_a_digest_with_its_picture(world: World, window: OpenWindow, shot: Shot) -> None:
    """A digest that is asked for stands in the channel with its picture, and is scrolled to on a telephone too."""
    for index in range(12):
        world.declare(f"Trouble {index:02}", options="critical project:checkout")
    world.rest()
    page, phone = window(world.ada, place="C0001"), window(world.ben, place="C0001", width=360, height=640)
    type_command(page, '/incident digest add "0 9 * * 1-5"')
    made = message(page, "You created digest")
    expect(made).to_be_visible()
    number = made.inner_text().partition("You created digest ")[2].partition(".")[0]
    type_command(page, f"/incident digest now {number}")
    digest = page.locator(".main .message:not(.ephemeral)", has_text="12 open incidents")
    picture = digest.get_by_role("img", name="Incidents opened on each of the last")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    shot(page, "digest")
    expect(message(phone, "12 open incidents").locator(".block").last).to_be_in_viewport()
    shot(phone, "digest-narrow")


def test_what_is_typed_with_markup_becomes_rich_text(world: World, window: OpenWindow) -> None:
    """Bold words, lists and links in a thread: drawn as such, sent as Slack sends them, and kept in the comment."""
    number = world.declare("Checkout answers 502", by=world.ben)
    world.rest()
    page = window(world.ada, place="C0001")
    type_command(page, "this is *bad*, see [the board](https://board.test/7)\n- the _first_ thing\n- `rm -rf`")
    said = message(page, "see the board")
    expect(said.locator("b")).to_have_text("bad")
    expect(said.locator("li")).to_have_text(["the first thing", "rm -rf"])
    expect(said.get_by_role("link", name="the board")).to_have_attribute("href", "https://board.test/7")
    sent = world.ada.sees(world.cast.checkout)[-1].record.body
    assert sent["text"] == "this is *bad*, see <https://board.test/7|the board>\n• the _first_ thing\n• `rm -rf`\n"

    use_tool(said, "More actions")
    page.get_by_role("menuitem", name="Edit message").click()
    page.get_by_label("Edit message").fill("*all* is well")
    page.get_by_role("button", name="Save").click()
    expect(message(page, "all is well").locator("b")).to_have_text("all")

    use_tool(card(page, number), "Reply in thread")
    page.get_by_label("Reply in the thread").fill("it was *not* us")
    page.get_by_label("Reply in the thread").press("Enter")
    world.slack.wait_until(lambda: "it was not us" in world.ask(world.ben, f"activity {number}").text)
    type_command(page, f"/incident activity {number}")
    expect(page.locator(".main .message.ephemeral b", has_text=re.compile("^not$"))).to_be_visible()
