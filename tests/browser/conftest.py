"""Windows on the page, in a real browser: Debian's chromium, driven by Playwright.

Playwright waits for what it presses, and for nothing else. What the next step relies on is waited for: by the helpers
here, or by what a person would see. Keys go to whatever has the focus, so no dialog may still be closing.

A window fails its test when a script of the page fails, when the browser refuses something, and when a dialog of
the browser's own opens, which only injected script would do.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, expect, sync_playwright

from bot.slack.manifest import manifest
from sandbox import Person, Sandbox
from tests.stories.conftest import COMMAND, store, world

__all__ = ["store", "world"]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 60_000
SCREENSHOTS = Path("screenshots")

OpenWindow = Callable[..., Page]
Shot = Callable[[Page, str], None]


def go_to(page: Page, name: str) -> None:
    """Opens a conversation, by its name in the list, and waits for its messages."""
    named = re.compile(rf"^{re.escape(name)}( \d+ unread for you)?$")
    link = page.get_by_role("navigation").get_by_role("link", name=named)
    link.click()
    expect(link).to_have_attribute("aria-current", "page")
    expect_loaded(page)


def visit(page: Page, address: str) -> None:
    """Opens a conversation, a thread or the Home by its address on the page, and waits for what is in it."""
    page.evaluate("address => { location.hash = address; }", address)
    place = page.locator(f"nav [data-key={address.partition('/')[0]}]")
    expect(place).to_have_attribute("aria-current", "page")
    expect_loaded(page)


def become(page: Page, name: str) -> None:
    """Makes the window somebody else's."""
    page.get_by_role("button", name="You are").click()
    page.get_by_role("menuitem", name=name).click()
    expect(page.get_by_role("button", name=f"You are {name}")).to_be_visible()
    expect_loaded(page)


def expect_loaded(page: Page) -> None:
    """Waits until the messages of the conversation are there, or the Home."""
    expect(page.locator(".main .messages, .main .home-body")).to_have_count(1)
    expect(page.locator(".beginning", has_text="Loading…")).to_have_count(0)


def message(page: Page, text: str) -> Locator:
    """The latest message that contains a text."""
    return page.locator(".main .message", has_text=text).last


def card(page: Page, number: int) -> Locator:
    """The card of an incident, in the channel that is open."""
    return page.locator(".main .message:not(.ephemeral)", has_text=f"#{number} ").last


def choose_in_menu(message: Locator, entry: str) -> None:
    """Chooses an entry of the `⋯` menu of a message."""
    message.locator("button.overflow").click()
    message.page.get_by_role("menuitem", name=entry, exact=True).click()


def use_tool(message: Locator, name: str) -> None:
    """Presses a button of the bar that stands at a message under the pointer."""
    message.hover()
    message.get_by_role("toolbar").get_by_role("button", name=name).click()


def type_command(page: Page, words: str) -> None:
    """Types something into the composer, sends it, and waits for the answer.

    What the app answers with its acknowledgement is there then; what it does later is not.
    """
    expect_no_dialog(page)
    composer = page.locator("#composer")
    composer.fill(words)
    composer.press("Enter")
    expect_answered(page)


def expect_answered(page: Page) -> None:
    """Waits until all that was sent from the composer has been answered."""
    expect(page.locator(".main .composer")).not_to_have_attribute("aria-busy", "true")


def leave_dialog(page: Page) -> None:
    """Closes the dialog in front by Escape, the only one."""
    expect(page.locator("dialog[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect_no_dialog(page)


def expect_no_dialog(page: Page) -> None:
    """Waits until no form, question or picture stands in front of the page."""
    expect(page.locator("dialog[open]")).to_have_count(0)


def leave_menu(page: Page) -> None:
    """Closes a menu or list by Escape."""
    expect(page.locator(".popup")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".popup")).to_have_count(0)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A chromium; where there is none, the test is skipped, but not where the tests are what decides."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        missing = "chromium is not installed (on Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        expect.set_options(timeout=WAIT_MS)
        yield running
        running.close()


@pytest.fixture
def slack() -> Iterator[Sandbox]:
    """A workspace with the bot's manifest installed, menus and all. It fails its test when the bot does wrong."""
    with Sandbox() as sandbox:
        sandbox.install(manifest(COMMAND, None))
        yield sandbox
        sandbox.expect_no_problems()


@pytest.fixture
def window(browser: Browser, slack: Sandbox) -> Iterator[OpenWindow]:
    """Opens windows: `window(ada)`, `window(ada, place="home", width=360)`. They must be without fault at the end."""
    faults: list[str] = []
    pages: list[Page] = []

    def said(message: ConsoleMessage) -> None:
        # A lost line is told in the console too, and a test may want it lost.
        if message.type in ("error", "warning") and "WebSocket" not in message.text:
            faults.append(f"console: {message.text}")

    def asked(dialog: Dialog) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open_window(
        person: Person, *, place: str = "", width: int = 1280, height: int = 800, dark: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("console", said)
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.on("dialog", asked)
        page.goto(f"http://127.0.0.1:{slack.port}/?as={person.id}{f'#{place}' if place else ''}")
        pages.append(page)
        page.locator("#page:not([aria-busy])").wait_for()
        expect_loaded(page)
        return page

    yield open_window
    for page in pages:
        page.context.close()
    assert not faults


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Shot:
    """Keeps a picture of a window in ./screenshots, under the test's name."""

    def take(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        test = re.sub(r"\W+", "-", request.node.name)
        page.screenshot(path=SCREENSHOTS / f"{test}-{name}.png")

    return take
