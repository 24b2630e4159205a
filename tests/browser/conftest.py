"""Windows on the page, in a real browser: Debian's chromium, driven by Playwright.

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
    """Opens a conversation, by its name in the list."""
    named = re.compile(rf"^{re.escape(name)}( \d+ unread for you)?$")
    page.get_by_role("navigation").get_by_role("link", name=named).click()
    expect(page.locator("[aria-current=page]").first).to_be_visible()


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


def type_command(page: Page, words: str) -> None:
    """Types something into the composer and sends it."""
    page.locator("#composer").fill(words)
    page.locator("#composer").press("Enter")


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
        page.locator("#page:not([aria-busy])").wait_for()
        pages.append(page)
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
